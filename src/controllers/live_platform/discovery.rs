//! `spec.leadDiscovery`: leads found on the platform get a `Lead` object.
//!
//! The objects are only created, never removed, because people may have edited them since. A deleted object
//! is created again while the lead exists.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use oc_domain::competition::Access;
use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::discovery::{Attempts, ClusterRefusal, Name, Rules, Used, name, platform_label};
use oc_domain::model::{Lead as Fact, MicrosoftStatus};
use oc_domain::names::TenantId;
use oc_domain::service::lead_that_counts;
use oc_domain::time::Time;

use crate::cluster::key::Kind;
use crate::cluster::patch;
use crate::cluster::record::{DISCOVERED_LABEL, PLATFORM_LABEL, requested};
use crate::controllers::context::Context;
use crate::controllers::events;
use crate::controllers::memory::Discovery;
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use oc_api::{
    ConditionType, DiscoveredStatus, Lead, LeadDiscovery, LeadDiscoveryStatus, LeadOrigin, LeadSpec,
    LivePlatform,
};

/// How many characters of the API server's message are quoted.
const SENTENCE: usize = 400;

/// How many characters of a message status holds.
const MESSAGE: usize = 1000;

/// How much of a company's name is read. Less of it goes into the object's name.
const LETTERS: usize = 200;

/// Creates the missing objects. Returns when to try again, if needed.
pub async fn discover(
    context: &Arc<Context>,
    platform: &LivePlatform,
    inventory: &Inventory,
) -> Option<Time> {
    let own = platform.name_any();
    let (Some(rules), Some(known)) = (&platform.spec.lead_discovery, inventory.known_leads()) else {
        context
            .memory
            .with_discovery(&own, |known| *known = Discovery::default());
        return None;
    };
    let wanted = wanted(rules);
    let (mut missing, mut present, mut made) = (Vec::new(), 0, 0);
    for lead in known
        .tenants()
        .filter_map(lead_that_counts)
        .filter(|lead| wanted.want(lead))
    {
        match there(context, &own, rules, &lead.tenant).await {
            None => missing.push(lead),
            Some(ours) => {
                present += 1;
                made += usize::from(ours);
            }
        }
    }
    let mut attempts = context
        .memory
        .with_discovery(&own, |known| known.attempts.clone());
    let asked = (platform.metadata.generation, requested(platform));
    attempts.ask(&format!("{asked:?}"));
    make_all(context, rules, &own, &missing, &mut attempts).await;
    let report = attempts.report(present + missing.len(), missing.len(), made);
    let next = attempts.next();
    context.memory.with_discovery(&own, |known| {
        *known = Discovery {
            attempts,
            report: Some(report),
        };
    });
    next
}

/// Creates the objects whose turn it is.
async fn make_all(
    context: &Context,
    rules: &LeadDiscovery,
    platform: &str,
    missing: &[&Fact],
    attempts: &mut Attempts,
) {
    let now = clock::now();
    let tenants: BTreeSet<TenantId> = missing.iter().map(|lead| lead.tenant).collect();
    attempts.begin(now, |tenant| tenants.contains(tenant));
    if !attempts.may_run(now) {
        return;
    }
    let mut due: Vec<(u32, &Fact)> = missing
        .iter()
        .filter_map(|lead| Some((attempts.turn(now, &lead.tenant)?, *lead)))
        .collect();
    due.sort_by(|one, two| (one.0, &one.1.tenant).cmp(&(two.0, &two.1.tenant)));
    for (_, lead) in due {
        if !make(context, rules, platform, lead, attempts).await {
            break;
        }
    }
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
    if !context.config.scope.holds(&rules.namespace) {
        // The operator would not see the object, and create it again and again.
        let said = format!(
            "the operator does not watch that namespace (--watch-namespaces: {})",
            context.config.scope
        );
        return attempts.refused(now, &lead.tenant, ClusterRefusal::NotWatched, &said);
    }
    let name = match name(platform, &company(lead), &lead.tenant, used) {
        Name::There => return true,
        Name::Free(name) => name,
        Name::Taken(name) => {
            let said = format!(
                "every name that its object could get is in use for something else, {name} is the last"
            );
            return attempts.refused(now, &lead.tenant, ClusterRefusal::NameTaken, &said);
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
            let refused = match &error {
                kube::Error::Api(status) => {
                    ClusterRefusal::parse(status.code, &status.message).zip(Some(sentence(&status.message)))
                }
                _ => None,
            };
            let Some((refusal, said)) = refused else {
                attempts.unanswered(now);
                return false;
            };
            attempts.refused(now, &lead.tenant, refusal, &said)
        }
    }
}

/// The API server's sentence, cut, without a full stop.
fn sentence(text: &str) -> String {
    let cut: String = text.chars().take(SENTENCE).collect();
    cut.trim_end_matches('.').to_owned()
}

/// Whether the lead has an object, and if so, whether the operator has created it. An object that may not use
/// the platform does not count, unless discovery created it.
async fn there(context: &Context, platform: &str, rules: &LeadDiscovery, tenant: &TenantId) -> Option<bool> {
    let keys = context.cache.index.of_tenant(platform, tenant);
    for key in keys.into_iter().filter(|key| key.kind() == Kind::Lead) {
        let of = context.cache.index.platform_of(&key).unwrap_or_default();
        if (of == platform && key.namespace() == rules.namespace)
            || context.may_use(&of, key.namespace()).await != Access::MayNot
        {
            let object = context.cache.leads.of(&key);
            return Some(object.is_some_and(|object| object.labels().contains_key(DISCOVERED_LABEL)));
        }
    }
    None
}

/// What a platform object says about discovery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The counts.
    pub status: Option<LeadDiscoveryStatus>,
    /// The value of `LeadsDiscovered`.
    pub condition: Option<(ConditionStatus, Reason, String)>,
    /// What is wrong with the spec of the platform object.
    pub trouble: Option<Trouble>,
}

/// What the platform object says about discovery: the result of the last run, or what it says already.
pub fn told(context: &Context, platform: &LivePlatform) -> Told {
    let Some(rules) = &platform.spec.lead_discovery else {
        return Told::default();
    };
    let unwatched = unwatched_namespace(context, platform);
    let report = context
        .memory
        .with_discovery(&platform.name_any(), |known| known.report.clone());
    let Some(report) = report else {
        let status = platform.status.as_ref();
        let said = status.and_then(|status| said(&status.conditions));
        let waits = || {
            let message = "Waiting for the platform's list of leads.".to_owned();
            (ConditionStatus::False, Reason::Progressing, message)
        };
        return Told {
            status: status.and_then(|status| status.lead_discovery.clone()),
            condition: Some(said.unwrap_or_else(waits)),
            trouble: unwatched,
        };
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let words = report.words(&rules.namespace);
    Told {
        status: Some(LeadDiscoveryStatus {
            matched: count(report.matched),
            present: count(report.present),
            made: count(report.made),
            failed: count(report.failed),
            message: (!words.is_empty()).then(|| words.chars().take(MESSAGE).collect()),
        }),
        condition: Some(report.condition(&rules.namespace)),
        trouble: unwatched.or_else(|| report.trouble(&rules.namespace)),
    }
}

/// The value of the condition `LeadsDiscovered` as it was last written.
fn said(conditions: &[Condition]) -> Option<(ConditionStatus, Reason, String)> {
    let is_ours = |condition: &&Condition| condition.type_ == ConditionType::LeadsDiscovered.as_str();
    let said = conditions.iter().find(is_ours)?;
    let truth = [ConditionStatus::True, ConditionStatus::False]
        .into_iter()
        .find(|truth| truth.as_str() == said.status)?;
    Some((truth, Reason::parse(&said.reason)?, said.message.clone()))
}

/// The trouble to report when discovery's namespace is not watched. The operator would see none of the
/// objects and create them again and again.
fn unwatched_namespace(context: &Context, platform: &LivePlatform) -> Option<Trouble> {
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
