//! `spec.leadDiscovery`: leads found on the platform get a `Lead` object.
//!
//! The objects are only created, never removed, because people may have edited them since. A deleted object
//! is created again while the lead exists.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use oc_domain::competition::Access;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::discovery::{Attempts, Name, Rules, Told, Used, name, platform_label};
use oc_domain::model::{Lead as Fact, MicrosoftStatus};
use oc_domain::names::TenantId;
use oc_domain::service::lead_that_counts;
use oc_domain::time::Time;

use crate::cluster::key::Kind;
use crate::cluster::patch;
use crate::cluster::record::{DISCOVERED_LABEL, PLATFORM_LABEL};
use crate::controllers::context::Context;
use crate::controllers::events;
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use oc_api::{DiscoveredStatus, Lead, LeadDiscovery, LeadOrigin, LeadSpec, LivePlatform};

/// How many characters of the API server's message are quoted.
const SENTENCE: usize = 400;

/// How much of a company's name is read. Less of it goes into the object's name.
const LETTERS: usize = 200;

/// Creates the missing objects. Returns when to try again, if needed.
pub async fn discover(
    context: &Arc<Context>,
    platform: &LivePlatform,
    inventory: &Inventory,
) -> Option<Time> {
    let (Some(rules), Some(known)) = (&platform.spec.lead_discovery, inventory.known_leads()) else {
        context
            .memory
            .with_attempts(&platform.name_any(), |attempts| *attempts = Attempts::default());
        return None;
    };
    if unwatched_namespace(context, platform).is_some() {
        return None;
    }
    let own = platform.name_any();
    let wanted = wanted(rules);
    let mut missing: Vec<&Fact> = Vec::new();
    for lead in known
        .tenants()
        .filter_map(lead_that_counts)
        .filter(|lead| wanted.want(lead))
    {
        if !there(context, &own, rules, &lead.tenant).await {
            missing.push(lead);
        }
    }
    let mut attempts = context.memory.with_attempts(&own, |attempts| attempts.clone());
    if missing.is_empty() {
        attempts = Attempts::default();
    }
    let now = clock::now();
    let tenants: BTreeSet<TenantId> = missing.iter().map(|lead| lead.tenant).collect();
    attempts.begin(now, |tenant| tenants.contains(tenant));
    if attempts.may_run(now) {
        let mut due: Vec<(u32, &Fact)> = missing
            .into_iter()
            .filter_map(|lead| Some((attempts.turn(now, &lead.tenant)?, lead)))
            .collect();
        due.sort_by(|one, two| (one.0, &one.1.tenant).cmp(&(two.0, &two.1.tenant)));
        for (_, lead) in due {
            if !make(context, rules, &own, lead, &mut attempts).await {
                break;
            }
        }
    }
    let next = attempts.next();
    context.memory.with_attempts(&own, |before| *before = attempts);
    next
}

/// Creates one object and returns whether another may be tried.
async fn make(
    context: &Context,
    rules: &LeadDiscovery,
    platform: &str,
    lead: &Fact,
    attempts: &mut Attempts,
) -> bool {
    let now = clock::now();
    let used = |name: &str| {
        if attempts.has_just_used(name, &lead.tenant) {
            return Some(Used::ForAnother);
        }
        let object = context.cache.leads.get(&rules.namespace, name)?;
        let same = object.spec.platform == platform
            && TenantId::parse(&object.spec.ms_tenant_id).ok().as_ref() == Some(&lead.tenant);
        Some(if same { Used::ForThis } else { Used::ForAnother })
    };
    let name = match name(platform, &company(lead), &lead.tenant, used) {
        Name::There => return true,
        Name::Free(name) => name,
        Name::Taken(name) => {
            let said = format!(
                "the names for tenant {} are in use for something else, {name} the last of them",
                lead.tenant
            );
            return attempts.refused(now, &lead.tenant, &said);
        }
    };
    match patch::create(&context.client, &object(rules, platform, &name, lead)).await {
        Ok(made) => {
            attempts.made(now, &lead.tenant, &name);
            events::discovered(context, &made, platform);
            tracing::info!(kind = "Lead", namespace = rules.namespace, name, tenant = %lead.tenant, "made an object for a lead that was found on the platform");
            true
        }
        Err(error) => {
            tracing::warn!(namespace = rules.namespace, name, tenant = %lead.tenant, %error, "an object for a lead could not be made and is tried again");
            match &error {
                kube::Error::Api(status) if status.code == 404 => {
                    attempts.blocked(now, Some(&sentence(&status.message)))
                }
                kube::Error::Api(status) if status.code < 500 && !matches!(status.code, 401 | 429) => {
                    return attempts.refused(now, &lead.tenant, &sentence(&status.message));
                }
                // The API server does not answer. That passes, and until then the status cannot be written
                // either.
                _ => attempts.blocked(now, None),
            }
            false
        }
    }
}

fn sentence(text: &str) -> String {
    text.chars().take(SENTENCE).collect()
}

/// Whether the lead has an object. An object that may not use the platform does not count, unless discovery
/// created it.
async fn there(context: &Context, platform: &str, rules: &LeadDiscovery, tenant: &TenantId) -> bool {
    let keys = context.cache.index.of_tenant(platform, tenant);
    for key in keys.into_iter().filter(|key| key.kind() == Kind::Lead) {
        let of = context.cache.index.platform_of(&key).unwrap_or_default();
        if (of == platform && key.namespace() == rules.namespace)
            || context.may_use(&of, key.namespace()).await != Access::MayNot
        {
            return true;
        }
    }
    false
}

/// What the status reports about objects that could not be created: the trouble that blocks all of them, or a
/// remark on some.
pub fn told(context: &Context, platform: &LivePlatform) -> (Option<Trouble>, Option<String>) {
    let Some(rules) = &platform.spec.lead_discovery else {
        return (None, None);
    };
    let namespace = &rules.namespace;
    match context
        .memory
        .with_attempts(&platform.name_any(), |attempts| attempts.told())
    {
        None => (None, None),
        Some(Told::None(said)) => {
            let message = format!(
                "spec.leadDiscovery: no Lead objects can be made in the namespace {namespace}: {said}. Put that in order there, or change spec.leadDiscovery; everything else goes on."
            );
            (Some(Trouble::new(Reason::InvalidSpec, message)), None)
        }
        Some(Told::Some(count, said)) => {
            let leads = if count == 1 {
                "1 lead has".to_owned()
            } else {
                format!("{count} leads have")
            };
            (
                None,
                Some(format!(
                    "{leads} no Lead object in the namespace {namespace} (spec.leadDiscovery), and making it is tried again: {said}."
                )),
            )
        }
    }
}

/// The trouble to report when discovery's namespace is not watched. The operator would see none of the
/// objects and create them again and again.
pub fn unwatched_namespace(context: &Context, platform: &LivePlatform) -> Option<Trouble> {
    let namespace = &platform.spec.lead_discovery.as_ref()?.namespace;
    let message = || {
        let watched = &context.config.scope;
        format!(
            "spec.leadDiscovery.namespace: the operator does not watch the namespace {namespace} (--watch-namespaces: {watched}), so no lead objects are made there. Name one that it watches, or have it watch this one; everything else goes on."
        )
    };
    (!context.config.scope.holds(namespace)).then(|| Trouble::new(Reason::InvalidSpec, message()))
}

/// The rules as the decision takes them. The schema refuses a tenant id that can't be read.
fn wanted(spec: &LeadDiscovery) -> Rules {
    let status = |status: &DiscoveredStatus| match status {
        DiscoveredStatus::Active => MicrosoftStatus::Active,
        DiscoveredStatus::Suspended => MicrosoftStatus::Suspended,
        DiscoveredStatus::NotActive => MicrosoftStatus::NotActive,
        DiscoveredStatus::Removed => MicrosoftStatus::Removed,
    };
    let excluded = spec.exclude_tenants.iter().flatten();
    Rules {
        consented: spec.origins.contains(&LeadOrigin::Consented),
        consentless: spec.origins.contains(&LeadOrigin::Consentless),
        countries: spec.countries.clone(),
        channels: spec.channels.clone(),
        statuses: spec
            .microsoft_statuses
            .as_ref()
            .map(|wanted| wanted.iter().map(status).collect()),
        excluded: excluded
            .filter_map(|tenant| TenantId::parse(tenant).ok())
            .collect(),
    }
}

fn object(rules: &LeadDiscovery, platform: &str, name: &str, lead: &Fact) -> Lead {
    let spec = LeadSpec {
        platform: platform.to_owned(),
        ms_tenant_id: lead.tenant.to_string(),
        consentless: None,
        channel_id: None,
        deletion_policy: oc_api::DeletionPolicy::Retain,
        suspend: false,
    };
    let mut object = Lead::new(name, spec);
    object.metadata.namespace = Some(rules.namespace.clone());
    let own = [
        (PLATFORM_LABEL, platform_label(platform)),
        (DISCOVERED_LABEL, "true"),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    object.metadata.labels = Some(rules.labels.clone().into_iter().chain(own).collect());
    object
}

/// The company's name in ASCII, by sound where there is no such letter. Empty if there is no name.
fn company(lead: &Fact) -> String {
    let name = lead.company_name.as_deref().unwrap_or_default();
    let beginning: String = name.chars().take(LETTERS).collect();
    deunicode::deunicode_with_tofu(&beginning, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_is_spelt_in_ascii() {
        for (name, spelt) in [
            (None, ""),
            (Some("Contoso Netherlands B.V."), "Contoso Netherlands B.V."),
            (Some("Müller & Söhne"), "Muller & Sohne"),
            (Some("Škoda Łódź"), "Skoda Lodz"),
            (Some("Ørsted Île"), "Orsted Ile"),
            (Some("Straße 7"), "Strasse 7"),
            (Some("Αθήνα"), "Athena"),
            (Some("\u{10ffff}"), " "),
        ] {
            assert_eq!(company(&lead(name)), spelt, "{name:?}");
        }
    }

    fn lead(company: Option<&str>) -> Fact {
        Fact {
            id: oc_domain::names::LeadId::parse("bbbbbbbb-0000-4000-8000-000000000001").unwrap(),
            tenant: TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap(),
            status: MicrosoftStatus::Active,
            consentless: false,
            service: None,
            channel: None,
            company_name: company.map(str::to_owned),
            company_size: None,
            countries: Vec::new(),
            consented: None,
            last_modified: None,
            contact: oc_domain::model::Contact::default(),
        }
    }
}
