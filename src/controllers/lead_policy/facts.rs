//! What a run for a policy starts from: the leads and services of its namespace, what its expressions say, and
//! the names that are taken on the platform.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::eligibility::may_become_service;
use oc_domain::lead_policy::{
    Candidate, LeadMark, MadeService, NamedLikeLead, ONBOARDED_BY, ONBOARDING_FINALIZER, Progress, RuleMatch,
};
use oc_domain::names::{ShortNameRule, TenantId};
use oc_domain::policy::PlatformAccess;
use oc_domain::time::{Duration, Time};

use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::record::LEAD_POLICY_LABEL;
use crate::controllers::context::Context;
use crate::controllers::lead_policy::expression::{Evaluated, Expressions, deeply};
use crate::controllers::lead_policy::state::{Compiled, SpecVersion};
use crate::controllers::texts::ascii;
use crate::platform::index::{LeadIndex, ServiceIndex};
use crate::runtime::clock;
use oc_api::service::Mode;
use oc_api::{Lead, LeadPolicy, OcEssentialService};

/// How much older than `spec.observeInterval` the list of services may be: it is read in time or not at all.
const LATE: Duration = Duration::from_secs(60);

/// How many leads are looked at before other work has its turn.
const AT_A_TIME: usize = 256;

/// The version of a policy's spec.
pub fn spec_version(policy: &LeadPolicy) -> SpecVersion {
    (
        policy.metadata.uid.clone().unwrap_or_default(),
        policy.metadata.generation.unwrap_or_default(),
    )
}

/// The compiled expressions of a policy.
pub async fn compiled(context: &Context, key: &ObjectKey, policy: &LeadPolicy) -> Compiled {
    let version = spec_version(policy);
    if let Some(compiled) = context.policies.compiled(key, &version) {
        return compiled;
    }
    let spec = policy.spec.clone();
    let compiled = deeply(move || Expressions::compile(&spec)).await;
    let compiled = Arc::new(compiled.and_then(|compiled| compiled));
    context.policies.keep_compiled(key, &version, &compiled);
    compiled
}

/// The names on the platform.
pub enum Names {
    /// The lists, which are fresh and complete.
    Known(Arc<ServiceIndex>, Arc<LeadIndex>),
    /// They are not known, for this reason.
    Unknown(Trouble),
}

/// The rule for short names on a platform, and the names there.
pub async fn names(context: &Context, platform: &str, namespace: &str) -> (ShortNameRule, Names) {
    let policy = match context.connection(platform, namespace).await {
        PlatformAccess::Usable(policy) => policy,
        PlatformAccess::Unusable(trouble) | PlatformAccess::Unknown(trouble) => {
            return (ShortNameRule::default(), Names::Unknown(trouble));
        }
    };
    let known = known(context, platform, policy.observe_interval);
    (policy.short_name_rule, known.unwrap_or_else(Names::Unknown))
}

fn known(context: &Context, platform: &str, interval: Duration) -> Result<Names, Trouble> {
    let waits = || {
        let message = "Waiting for the platform's lists of leads and services.";
        Trouble::new(Reason::Progressing, message)
    };
    let connected = context.connections.of(platform).ok_or_else(waits)?;
    let inventory = connected.inventory.clone()?;
    if let Some(trouble) = inventory.budget().open_reason() {
        return Err(trouble);
    }
    let (read, services) = inventory.newest_services().ok_or_else(waits)?;
    let (_, leads) = inventory.newest_leads().ok_or_else(waits)?;
    if clock::now().since(read) > interval + LATE {
        return Err(waits());
    }
    if services.unreadable() > 0 {
        let message = "The platform's list of services has entries that can't be read, and they may have any short name, so no service is created. Ask the team that runs the Live Platform to fix that.";
        return Err(Trouble::new(Reason::PlatformUnavailable, message));
    }
    Ok(Names::Known(services, leads))
}

/// A policy with what it wants.
pub struct PolicyRules {
    key: ObjectKey,
    policy: Arc<LeadPolicy>,
    selector: Option<Selector>,
    compiled: Compiled,
}

impl PolicyRules {
    /// Compiles the expressions of a policy.
    pub async fn of(context: &Context, key: &ObjectKey, policy: &Arc<LeadPolicy>) -> Self {
        let selector = policy.spec.selector.clone();
        Self {
            key: key.clone(),
            policy: Arc::clone(policy),
            // The schema accepts no selector that can't be converted.
            selector: selector.and_then(|selector| Selector::try_from(selector).ok()),
            compiled: compiled(context, key, policy).await,
        }
    }

    /// What is wrong with the expressions.
    pub fn wrong(&self) -> Option<&str> {
        self.compiled.as_ref().as_ref().err().map(String::as_str)
    }

    /// Whether the selector and the platform want a lead. One whose status does not show yet what the platform
    /// has is not looked at: an expression would fail for it.
    fn selects(&self, lead: &Lead) -> bool {
        let is_known = lead
            .status
            .as_ref()
            .is_some_and(|status| status.lead_id.is_some());
        let none = std::collections::BTreeMap::new();
        let labels = lead.metadata.labels.as_ref().unwrap_or(&none);
        is_known
            && lead.metadata.deletion_timestamp.is_none()
            && lead.spec.platform == self.policy.spec.platform
            && self
                .selector
                .as_ref()
                .is_none_or(|selector| selector.matches(labels))
    }

    /// Evaluates the expressions for the leads that it selects.
    async fn evaluate(&self, context: &Context, leads: &[Arc<Lead>]) -> ByLead {
        let (mut all, mut new) = (HashMap::new(), Vec::new());
        for lead in leads.iter().filter(|lead| self.selects(lead)) {
            match context.policies.evaluated(&self.key, &uid(lead), &version(lead)) {
                Some(known) => drop(all.insert(lead.name_any(), known)),
                None => new.push(Arc::clone(lead)),
            }
        }
        if !new.is_empty() && self.wrong().is_none() {
            let (compiled, batch) = (Arc::clone(&self.compiled), new.clone());
            let evaluated = deeply(move || match compiled.as_ref() {
                Ok(expressions) => batch.iter().map(|lead| expressions.evaluate(lead)).collect(),
                Err(_) => Vec::new(),
            });
            match evaluated.await {
                Ok(evaluated) => {
                    for (lead, evaluated) in new.iter().zip(evaluated) {
                        let evaluated = Arc::new(evaluated);
                        let (uid, version) = (uid(lead), version(lead));
                        context
                            .policies
                            .keep_evaluated(&self.key, &uid, &version, &evaluated);
                        all.insert(lead.name_any(), evaluated);
                    }
                }
                Err(why) => tracing::error!(policy = %self.key, why, "expressions were not evaluated"),
            }
        }
        all
    }
}

fn uid(lead: &Lead) -> String {
    lead.metadata.uid.clone().unwrap_or_default()
}

fn version(lead: &Lead) -> String {
    lead.resource_version().unwrap_or_default()
}

/// The other policies of the namespace for the same platform that are older than this one, the oldest first.
async fn older(context: &Context, rules: &PolicyRules) -> Vec<PolicyRules> {
    let age = |policy: &LeadPolicy| {
        let created = policy.creation_timestamp().map(|time| time.0);
        (created, policy.name_any())
    };
    let mut older: Vec<(ObjectKey, Arc<LeadPolicy>)> = context
        .policies
        .of_namespace(rules.key.namespace())
        .into_iter()
        .filter(|key| context.cache.policies.wrong(key).is_none())
        .filter_map(|key| Some((key.clone(), context.cache.policies.of(&key)?)))
        .filter(|(_, policy)| {
            policy.metadata.deletion_timestamp.is_none()
                && policy.spec.platform == rules.policy.spec.platform
                && age(policy) < age(&rules.policy)
        })
        .collect();
    older.sort_by_key(|(_, policy)| age(policy));
    let mut all = Vec::with_capacity(older.len());
    for (key, policy) in older {
        all.push(PolicyRules::of(context, &key, &policy).await);
    }
    all
}

/// What expressions say, by the name of the lead. Leads that are not in it are not wanted.
type ByLead = HashMap<String, Arc<Evaluated>>;

/// What the expressions of a policy say about the leads, and those of each older policy, by its name.
async fn said(
    context: &Context,
    rules: &PolicyRules,
    leads: &[Arc<Lead>],
) -> (ByLead, Vec<(String, ByLead)>) {
    let evaluated = rules.evaluate(context, leads).await;
    let mut before = Vec::new();
    for older in older(context, rules).await {
        let name = older.key.name().to_owned();
        before.push((name, older.evaluate(context, leads).await));
    }
    let uids = leads.iter().filter_map(|lead| lead.metadata.uid.as_deref());
    context.policies.forget_leads_but(&rules.key, &uids.collect());
    (evaluated, before)
}

/// One lead, with what the decision needs to know of it.
struct LeadFacts {
    object: Arc<Lead>,
    name: String,
    tenant: TenantId,
    evaluated: Option<Arc<Evaluated>>,
    /// The text for the short name, in ASCII.
    short_name: String,
    eligible: bool,
    served: bool,
    older: Option<String>,
    named: Named,
}

/// Which service object has the name of a lead.
enum Named {
    None,
    Made(usize),
    Other,
}

/// One service that the policy has created.
struct MadeFacts {
    object: Arc<OcEssentialService>,
    name: String,
}

/// The leads and the services of a namespace, for one policy.
pub struct NamespaceFacts {
    leads: Vec<LeadFacts>,
    made: Vec<MadeFacts>,
    policies: HashSet<String>,
}

impl NamespaceFacts {
    /// Collects them. Without rules, because the policy is gone, no lead is wanted.
    pub async fn of(
        context: &Context,
        key: &ObjectKey,
        rules: Option<&PolicyRules>,
        names: Option<&Names>,
    ) -> Self {
        let namespace = key.namespace();
        let mut objects = Vec::new();
        context.cache.leads.for_each(|lead| {
            if lead.metadata.namespace.as_deref() == Some(namespace) {
                objects.push(Arc::clone(lead));
            }
        });
        let (mut evaluated, before) = match rules {
            Some(rules) => said(context, rules, &objects).await,
            None => Default::default(),
        };
        // After the last wait for expressions, so that it is no older than the leads.
        let made = made(context, namespace, key.name());
        let by_name: HashMap<&str, usize> = (made.iter().enumerate())
            .map(|(at, made)| (made.name.as_str(), at))
            .collect();
        let now = clock::now();
        let mut leads = Vec::with_capacity(objects.len());
        for (count, object) in objects.into_iter().enumerate() {
            if count % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
            let Ok(tenant) = TenantId::parse(&object.spec.ms_tenant_id) else {
                continue;
            };
            let name = object.name_any();
            let said = evaluated.remove(&name);
            let wanted = said.as_deref().is_some_and(|said| *said != Evaluated::No);
            let platform = object.spec.platform.as_str();
            let of_older = |(_, all): &&(String, ByLead)| {
                matches!(all.get(&name).map(|said| &**said), Some(Evaluated::Yes { .. }))
            };
            leads.push(LeadFacts {
                short_name: match said.as_deref() {
                    Some(Evaluated::Yes { short_name, .. }) => ascii(short_name),
                    _ => String::new(),
                },
                eligible: wanted && names.is_some_and(|names| eligible(names, &tenant)),
                served: served(context, platform, &tenant)
                    || context.policies.others_have_under_way(key, now, &name),
                older: before.iter().find(of_older).map(|(older, _)| older.clone()),
                named: match by_name.get(name.as_str()) {
                    Some(at) => Named::Made(*at),
                    None if context.cache.services.get(namespace, &name).is_some() => Named::Other,
                    None => Named::None,
                },
                evaluated: said,
                tenant,
                name,
                object,
            });
        }
        let known = context.policies.of_namespace(namespace);
        let policies = known.into_iter().map(|key| key.name().to_owned()).collect();
        Self {
            leads,
            made,
            policies,
        }
    }

    /// The services, as the decision takes them.
    pub fn services(&self) -> Vec<MadeService<'_>> {
        self.made.iter().map(MadeFacts::service).collect()
    }

    /// The leads, as the decision takes them.
    pub fn candidates<'a>(&'a self, services: &'a [MadeService<'a>]) -> impl Iterator<Item = Candidate<'a>> {
        self.leads.iter().map(move |lead| Candidate {
            name: &lead.name,
            created: created(&*lead.object),
            tenant: lead.tenant,
            matches: match lead.evaluated.as_deref() {
                None | Some(Evaluated::No) => RuleMatch::No,
                Some(Evaluated::Failed(why)) => RuleMatch::Failed(why),
                Some(Evaluated::Yes { full_name, .. }) => RuleMatch::Yes {
                    short_name: &lead.short_name,
                    full_name,
                },
            },
            eligible: lead.eligible,
            served: lead.served,
            mark: self.mark(&lead.object),
            older_policy: lead.older.as_deref(),
            object: match lead.named {
                Named::None => NamedLikeLead::None,
                Named::Made(at) => services.get(at).map_or(NamedLikeLead::None, NamedLikeLead::Made),
                Named::Other => NamedLikeLead::Other,
            },
        })
    }

    fn mark<'a>(&self, lead: &'a Lead) -> LeadMark<'a> {
        let exists = |policy: &str| self.policies.contains(policy);
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok().map(clock::time);
        match lead.annotations().get(ONBOARDED_BY) {
            None => LeadMark::None,
            Some(text) => LeadMark::parse(text, exists, time),
        }
    }

    /// The version of a lead that the decision was given.
    pub fn lead(&self, name: &str) -> Option<&Arc<Lead>> {
        let found = self.leads.iter().find(|lead| lead.name == name);
        found.map(|lead| &lead.object)
    }

    /// The version of a service that the decision was given.
    pub fn service(&self, name: &str) -> Option<&Arc<OcEssentialService>> {
        let found = self.made.iter().find(|made| made.name == name);
        found.map(|made| &made.object)
    }
}

impl MadeFacts {
    fn service(&self) -> MadeService<'_> {
        let object = &*self.object;
        let generation = object.metadata.generation.unwrap_or_default();
        let deleting = object.metadata.deletion_timestamp.is_some();
        let conditions = object
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let ready = conditions.iter().find(|condition| {
            condition.type_ == "Ready" && condition.observed_generation == Some(generation)
        });
        MadeService {
            name: &self.name,
            created: created(object),
            progress: Progress::of(
                deleting,
                ready.is_some_and(|ready| ready.status == "True"),
                ready.and_then(|ready| Reason::parse(&ready.reason)),
            ),
            held: object
                .finalizers()
                .iter()
                .any(|name| name == ONBOARDING_FINALIZER),
            untouched_plan: object.spec.mode == Mode::Plan && generation == 1 && !deleting,
        }
    }
}

fn created<K: kube::Resource>(object: &K) -> Time {
    let created = object.creation_timestamp();
    created.map(|time| clock::time(time.0)).unwrap_or_default()
}

/// The services in a namespace that a policy has created.
fn made(context: &Context, namespace: &str, policy: &str) -> Vec<MadeFacts> {
    let mut made = Vec::new();
    context.cache.services.for_each(|object| {
        let ours = object.metadata.namespace.as_deref() == Some(namespace)
            && object
                .labels()
                .get(LEAD_POLICY_LABEL)
                .is_some_and(|label| label == policy);
        if ours {
            made.push(MadeFacts {
                name: object.name_any(),
                object: Arc::clone(object),
            });
        }
    });
    made
}

/// Whether the platform's lists say that the tenant may become a service.
fn eligible(names: &Names, tenant: &TenantId) -> bool {
    match names {
        Names::Known(services, leads) => may_become_service(
            &leads.view(Some(tenant)).leads,
            &services.view(Some(tenant), None, None),
        ),
        Names::Unknown(_) => false,
    }
}

/// Whether a service object stands for the tenant.
fn served(context: &Context, platform: &str, tenant: &TenantId) -> bool {
    let keys = context.cache.index.of_tenant(platform, tenant);
    keys.iter().any(|key| key.kind() == Kind::OcEssentialService)
}
