//! Gathers the objects that compete for a tenant or a short name, as `oc_domain::competition` needs them:
//! their records, their specs, and whether their namespaces may use the platform.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use kube::Resource;
use oc_domain::competition::{self, Access, Contender, Contest, ContestSpec, Other, Rank, contest};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::policy::{PlatformAccess, Policy};

use crate::cluster::index::Entry;
use crate::cluster::key::{Kind, ObjectKey};
use crate::controllers::context::Context;
use crate::controllers::{observe, pace};
use crate::runtime::clock;
use oc_api::{Lead, OcEssentialService};

/// How many namespaces one pass may check for access to the platform. An object with more competitors'
/// namespaces to check waits for the next pass.
const MOST_ASKED: usize = 16;

/// Whether the objects of a namespace may use a platform. Arguments: platform, namespace.
pub type KnownAccess<'a> = &'a dyn Fn(&str, &str) -> Access;

/// The contest of a service object against the others with its tenant or short name.
pub fn of_service(
    context: &Context,
    policy: &Policy,
    (own, object): (&ObjectKey, &OcEssentialService),
    entry: &Entry,
    known: KnownAccess<'_>,
) -> Contest<ObjectKey> {
    let now = clock::now();
    // Few contenders need the grace, and all need the same one.
    let slowest = OnceCell::new();
    let grace = || *slowest.get_or_init(|| pace::longest(context, policy, &entry.platform));
    let keys = context
        .cache
        .index
        .neighbours(entry)
        .into_iter()
        .filter(|key| key.kind() == Kind::OcEssentialService && key != own);
    let others: Vec<_> = keys
        .filter_map(|key| {
            let other = context.cache.services.of(&key)?;
            let theirs = context.cache.index.entry(&key)?;
            let record = context.memory.reminded(
                &key,
                other.meta().uid.as_deref(),
                context.cache.record_of_service(&key, &other),
            );
            Some((key, other, theirs, record))
        })
        .collect();
    let candidates = others.iter().map(|(key, other, theirs, record)| Contender {
        object: (key, theirs),
        record,
        spec: ContestSpec {
            going: other.meta().deletion_timestamp.is_some(),
            suspended: other.spec.suspend,
            applies: other.spec.mode == oc_api::service::Mode::Apply,
            has_tenant: theirs.tenant.is_some(),
            short_name: Some((&other.spec.short_name, policy.short_name_rule)),
        },
        age: observe::age(&**other),
    });
    let record = context.memory.reminded(
        own,
        object.meta().uid.as_deref(),
        context.cache.record_of_service(own, object),
    );
    let access = |(key, theirs): &(&ObjectKey, &Entry)| known(&theirs.platform, key.namespace());
    match competition::of_service(now, (&record, &observe::age(object)), candidates, access, grace) {
        Contest::Won => Contest::Won,
        Contest::Lost((key, _)) => Contest::Lost(key.clone()),
        Contest::Open((key, _)) => Contest::Open(key.clone()),
    }
}

/// The contest of a lead object against the others with its tenant.
pub fn of_lead(
    context: &Context,
    policy: &Policy,
    (own, object): (&ObjectKey, &Lead),
    entry: &Entry,
    known: KnownAccess<'_>,
) -> Contest<ObjectKey> {
    let (now, grace) = (clock::now(), || policy.create_grace);
    let spec = |lead: &Lead, has_tenant| ContestSpec {
        going: lead.meta().deletion_timestamp.is_some(),
        suspended: lead.spec.suspend,
        applies: true,
        has_tenant,
        short_name: None,
    };
    let Some(tenant) = entry.tenant.as_ref() else {
        return Contest::Won;
    };
    let keys = context
        .cache
        .index
        .of_tenant(&entry.platform, tenant)
        .into_iter()
        .filter(|key| key.kind() == Kind::Lead && key != own);
    let others: Vec<_> = keys
        .filter_map(|key| {
            let other = context.cache.leads.of(&key)?;
            Some((key, other))
        })
        .collect();
    let others = others.iter().filter_map(|(key, other)| {
        let record = context.memory.reminded(
            key,
            other.meta().uid.as_deref(),
            context.cache.record_of_lead(key, other),
        );
        let rank = Rank::of_lead(now, &record, &spec(other, true), grace)?;
        Some(Other::new(key.clone(), rank, observe::age(&**other), |key| {
            known(&other.spec.platform, key.namespace())
        }))
    });
    let record = context.memory.reminded(
        own,
        object.meta().uid.as_deref(),
        context.cache.record_of_lead(own, object),
    );
    let holds = Rank::of_lead(now, &record, &spec(object, true), grace) == Some(Rank::Holder);
    contest(holds, &observe::age(object), others)
}

/// Finds the object that outranks this one, for one pass, and checks access for the namespaces on which the
/// result depends. When the result is unknown, the pass treats platform access as unknown: it requests
/// nothing and gives up nothing.
pub async fn first(
    context: &Context,
    connection: PlatformAccess,
    compete: impl Fn(&Policy, KnownAccess<'_>) -> Contest<ObjectKey>,
) -> (PlatformAccess, Option<ObjectKey>) {
    let PlatformAccess::Usable(policy) = connection else {
        return (connection, None);
    };
    let mut asked: HashMap<(Arc<str>, String), Access> = HashMap::new();
    for _ in 0..MOST_ASKED {
        let known = |platform: &str, namespace: &str| {
            let it = |(of, its): &(Arc<str>, String)| **of == *platform && its == namespace;
            let asked = asked.iter().find(|(of, _)| it(of));
            asked.map_or_else(|| context.access(platform, namespace), |(_, access)| *access)
        };
        let key = match compete(&policy, &known) {
            Contest::Won => return (PlatformAccess::Usable(policy), None),
            Contest::Lost(key) => return (PlatformAccess::Usable(policy), Some(key)),
            Contest::Open(key) => key,
        };
        let platform = context.cache.index.platform_of(&key).unwrap_or_default();
        let access = context.may_use(&platform, key.namespace()).await;
        // Checked, and still open: its create has just failed and may have left a service.
        if access == Access::Unknown
            || asked
                .insert((platform, key.namespace().to_owned()), access)
                .is_some()
        {
            break;
        }
    }
    let message = "The operator does not know yet whether another object has, or may have, this tenant or short name. It tries again.";
    (
        PlatformAccess::Unknown(Trouble::new(Reason::ProgressingWithRetry, message)),
        None,
    )
}

/// Whether the object wins its contest and its own namespace may still use the platform. Uses only what is
/// known, at the moment of writing the intent.
pub fn still_first(
    context: &Context,
    key: (&str, &str),
    compete: impl Fn(KnownAccess<'_>) -> Contest<ObjectKey>,
) -> bool {
    let (platform, namespace) = key;
    context.access(platform, namespace) == Access::May
        && compete(&|platform, namespace| context.access(platform, namespace)) == Contest::Won
}
