//! `spec.leadDiscovery`: leads found on the platform get a `Lead` object.
//!
//! The objects are only created, never removed, because people may have edited them since. A deleted object
//! is created again while the lead exists.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use kube::ResourceExt;
use oc_domain::competition::Access;
use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::discovery::{Attempts, ClusterRefusal, Name, Rules, Used, name, platform_label};
use oc_domain::eligibility::lead_that_counts;
use oc_domain::model::{Lead as Fact, MicrosoftStatus};
use oc_domain::names::TenantId;
use oc_domain::time::{Duration, Time};

use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::patch;
use crate::cluster::record::{DISCOVERED_LABEL, PLATFORM_LABEL, requested};
use crate::controllers::beside;
use crate::controllers::context::Context;
use crate::controllers::events;
use crate::controllers::memory::Discovery;
use crate::controllers::texts::{ascii, sentence};
use crate::platform::index::LeadIndex;
use crate::runtime::clock;
use crate::runtime::rate::Rate;
use crate::runtime::workqueue::Priority;
use oc_api::{
    Condition, ConditionType, DiscoveredStatus, Lead, LeadDiscovery, LeadDiscoveryStatus, LeadOrigin,
    LeadSpec, LivePlatform,
};

/// How many characters of a message status holds.
const MESSAGE: usize = 1000;

/// How often a long run reports how far it has come.
const REPORT: Duration = Duration::from_secs(5);

/// Discovers leads, beside the passes: a pass over a platform only says that its lists are new.
///
/// # Errors
/// When a run panics. It does not end otherwise.
pub async fn run(context: Arc<Context>) -> anyhow::Result<Infallible> {
    beside::runs(context, "discovery", |context| &context.discoveries, run_for).await
}

/// Has discovery look at the lists of a platform that were just read.
pub fn look(context: &Context, key: &ObjectKey, platform: &LivePlatform) {
    if platform.spec.lead_discovery.is_some() {
        let group = context.group(key);
        context.discoveries.add(key.clone(), group, Priority::Observe);
    } else {
        let forget = |known: &mut Discovery| *known = Discovery::default();
        context.memory.with_discovery(key.name(), forget);
    }
}

/// One run, for one platform.
async fn run_for(context: Arc<Context>, key: ObjectKey, rate: Arc<Rate>) {
    let platform = context.cache.platforms.of(&key);
    let connected = context.connections.of(key.name());
    let known = connected
        .as_ref()
        .and_then(|connected| connected.inventory.as_ref().ok())
        .and_then(|inventory| inventory.known_leads());
    if let (Some(platform), Some(known)) = (platform, known)
        && let Some(rules) = &platform.spec.lead_discovery
    {
        let run = DiscoveryRun {
            context: &context,
            key: &key,
            platform: &platform,
            rules,
            rate: &rate,
        };
        if let Some(again) = run.make_missing(&known).await {
            let group = context.group(&key);
            context
                .discoveries
                .add_at(again, key.clone(), group, Priority::Observe);
        }
    }
    context.discoveries.done(&key);
}

/// The leads that the rules want.
#[derive(Default)]
struct WantedLeads {
    /// Those that have an object.
    present: usize,
    /// Those whose object the operator has created.
    made: usize,
    /// Those without an object.
    missing: BTreeMap<TenantId, Arc<Fact>>,
}

impl WantedLeads {
    fn is_there(&mut self, ours: bool) {
        self.present += 1;
        self.made += usize::from(ours);
    }
}

/// What a run works with.
struct DiscoveryRun<'a> {
    context: &'a Context,
    key: &'a ObjectKey,
    platform: &'a LivePlatform,
    rules: &'a LeadDiscovery,
    rate: &'a Rate,
}

impl DiscoveryRun<'_> {
    /// Creates the missing objects. Returns when to try again, if needed.
    async fn make_missing(&self, known: &LeadIndex) -> Option<Time> {
        let mut found = self.find(known).await;
        let memory = &self.context.memory;
        let mut attempts = memory.with_discovery(self.key.name(), |known| known.attempts.clone());
        let asked = (self.platform.metadata.generation, requested(self.platform));
        attempts.ask(&format!("{asked:?}"));
        let now = clock::now();
        attempts.begin(now, |tenant| found.missing.contains_key(tenant));
        if attempts.may_run(now) {
            self.make_due(&mut found, &mut attempts).await;
        }
        self.tell(&found, &attempts);
        attempts.next()
    }

    /// Finds the leads that the rules want.
    async fn find(&self, known: &LeadIndex) -> WantedLeads {
        let wanted = wanted(self.rules);
        let mut found = WantedLeads::default();
        for lead in known
            .tenants()
            .filter_map(|leads| {
                let counts = lead_that_counts(&leads)?.id;
                leads.into_iter().find(|lead| lead.id == counts)
            })
            .filter(|lead| wanted.want(lead))
        {
            match self.there(&lead.tenant).await {
                Some(ours) => found.is_there(ours),
                None => drop(found.missing.insert(lead.tenant, lead)),
            }
        }
        found
    }

    /// Creates the objects whose turn it is, until something concerns them all.
    async fn make_due(&self, found: &mut WantedLeads, attempts: &mut Attempts) {
        let now = clock::now();
        let mut due: Vec<(u32, TenantId)> = found
            .missing
            .keys()
            .filter_map(|tenant| Some((attempts.turn(now, tenant)?, *tenant)))
            .collect();
        due.sort_unstable();
        let mut told = now;
        for (_, tenant) in due {
            self.rate.wait().await;
            // Both may have changed while the others were created.
            if !self.is_current() {
                break;
            }
            if let Some(ours) = self.there(&tenant).await {
                found.is_there(ours);
                found.missing.remove(&tenant);
                continue;
            }
            let goes_on = match found.missing.get(&tenant) {
                Some(lead) => self.make(lead, attempts).await,
                None => true,
            };
            if !goes_on {
                break;
            }
            if clock::now().since(told) >= REPORT {
                self.tell(found, attempts);
                told = clock::now();
            }
        }
    }

    /// Whether the platform object still has the spec that this run follows.
    fn is_current(&self) -> bool {
        let now = self.context.cache.platforms.of(self.key);
        now.is_some_and(|now| now.metadata.generation == self.platform.metadata.generation)
    }

    /// Keeps the result for the passes over the platform object, and has one report it if it is new.
    fn tell(&self, found: &WantedLeads, attempts: &Attempts) {
        let missing = found.missing.len();
        let report = attempts.report(found.present + missing, missing, found.made);
        let is_new = self.context.memory.with_discovery(self.key.name(), |known| {
            let is_new = known.report.as_ref() != Some(&report);
            *known = Discovery {
                attempts: attempts.clone(),
                report: Some(report),
            };
            is_new
        });
        if is_new {
            self.context.enqueue(self.key, Priority::Effect);
        }
    }

    /// Creates one object and returns whether another may be tried.
    async fn make(&self, lead: &Fact, attempts: &mut Attempts) -> bool {
        let (context, rules, platform, now) = (self.context, self.rules, self.key.name(), clock::now());
        if !context.config.scope.holds(&rules.namespace) {
            // The operator would not see the object, and create it again and again.
            let said = format!(
                "the operator does not watch that namespace (--watch-namespaces: {})",
                context.config.scope
            );
            return attempts.refused(now, &lead.tenant, ClusterRefusal::NotWatched, &said);
        }
        let used = |name: &str| self.used(name, lead, attempts);
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
        let made = patch::create(&context.client, &object(rules, platform, &name, lead)).await;
        match made {
            Ok(made) => {
                attempts.made(now, &lead.tenant, &name);
                events::discovered(context, &made, platform);
                tracing::info!(kind = "Lead", namespace = rules.namespace, name, tenant = %lead.tenant, "made an object for a lead that was found on the platform");
                true
            }
            Err(error) => {
                tracing::warn!(namespace = rules.namespace, name, tenant = %lead.tenant, %error, "an object for a lead could not be made and is tried again");
                not_made(&error, &lead.tenant, attempts)
            }
        }
    }

    /// What a name is used for.
    fn used(&self, name: &str, lead: &Fact, attempts: &Attempts) -> Option<Used> {
        if attempts.has_just_used(name, &lead.tenant) {
            return Some(Used::ForAnother);
        }
        let object = self.context.cache.leads.get(&self.rules.namespace, name)?;
        let same = object.spec.platform == self.key.name()
            && TenantId::parse(&object.spec.ms_tenant_id).ok().as_ref() == Some(&lead.tenant);
        Some(if same { Used::ForThis } else { Used::ForAnother })
    }

    /// Whether the lead has an object, and if so, whether the operator has created it. An object that may not
    /// use the platform does not count, unless discovery created it.
    async fn there(&self, tenant: &TenantId) -> Option<bool> {
        let (context, platform) = (self.context, self.key.name());
        let keys = context.cache.index.of_tenant(platform, tenant);
        for key in keys.into_iter().filter(|key| key.kind() == Kind::Lead) {
            let of = context.cache.index.platform_of(&key).unwrap_or_default();
            if (*of == *platform && key.namespace() == self.rules.namespace)
                || context.may_use(&of, key.namespace()).await != Access::MayNot
            {
                let object = context.cache.leads.of(&key);
                return Some(object.is_some_and(|object| object.labels().contains_key(DISCOVERED_LABEL)));
            }
        }
        None
    }
}

/// Records why an object was not created. Returns whether another may be tried.
fn not_made(error: &kube::Error, tenant: &TenantId, attempts: &mut Attempts) -> bool {
    let now = clock::now();
    if let kube::Error::Api(status) = error
        && let Some(refusal) = ClusterRefusal::parse(status.code, &status.message)
    {
        return attempts.refused(now, tenant, refusal, &sentence(&status.message));
    }
    attempts.unanswered(now);
    false
}

/// What a platform object says about discovery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The counts.
    pub status: Option<LeadDiscoveryStatus>,
    /// The value of `LeadsDiscovered`.
    pub condition: Option<(ConditionStatus, Reason, Cow<'static, str>)>,
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
            let message = "Waiting for the platform's list of leads.".into();
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
        condition: Some({
            let (truth, reason, message) = report.condition(&rules.namespace);
            (truth, reason, message.into())
        }),
        trouble: unwatched.or_else(|| report.trouble(&rules.namespace)),
    }
}

/// The value of the condition `LeadsDiscovered` as it was last written.
fn said(conditions: &[Condition]) -> Option<(ConditionStatus, Reason, Cow<'static, str>)> {
    let is_ours = |condition: &&Condition| condition.type_ == ConditionType::LeadsDiscovered.as_str();
    let said = conditions.iter().find(is_ours)?;
    let truth = [ConditionStatus::True, ConditionStatus::False]
        .into_iter()
        .find(|truth| truth.as_str() == said.status)?;
    Some((
        truth,
        Reason::parse(&said.reason)?,
        said.message.to_string().into(),
    ))
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
    ascii(lead.company_name.as_deref().unwrap_or_default())
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
            company_name: company.map(Box::from),
            company_size: None,
            countries: Box::default(),
            consented: None,
            last_modified: None,
            contact: None,
        }
    }
}
