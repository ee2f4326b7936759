//! What a run for a policy starts from: the leads and services of its namespace, what its expressions say, and
//! the names that are taken on the platform.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::eligibility::may_become_service;
use oc_domain::lead_policy::{Candidate, LeadMark, MadeService, NamedLikeLead, RuleMatch};
use oc_domain::names::{ShortNameRule, TenantId};
use oc_domain::policy::PlatformAccess;
use oc_domain::time::Duration;

use crate::cluster::key::{Kind, ObjectKey, QualifiedName};
use crate::controllers::context::Context;
use crate::controllers::lead_policy::expression::{Evaluated, Expressions, deeply};
use crate::controllers::lead_policy::notes::{AT_A_TIME, LeadNote, NotedVersion, ServiceNote};
use crate::controllers::lead_policy::state::{Compiled, SpecVersion};
use crate::controllers::texts::ascii;
use crate::platform::index::{LeadIndex, ServiceIndex};
use crate::runtime::clock;
use oc_api::{Lead, LeadPolicy};

/// How much older than `spec.observeInterval` the list of services may be: it is read in time or not at all.
const LATE: Duration = Duration::from_secs(60);

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
    async fn evaluate(&self, context: &Context, leads: &[NotedVersion<LeadNote>]) -> ByLead {
        let mut all = HashMap::new();
        if self.wrong().is_some() {
            return all;
        }
        for some in leads.chunks(AT_A_TIME) {
            let mut new = Vec::new();
            for lead in some
                .iter()
                .filter(|lead| *lead.note.platform == *self.policy.spec.platform)
            {
                match context.policies.evaluated(&self.key, lead) {
                    Some(known) => all.extend(known.map(|known| (Arc::clone(&lead.place), known))),
                    // By now it may have another version. Then a run follows, and this one writes nothing to it.
                    None => new.extend(
                        context
                            .cache
                            .leads
                            .look(&lead.place)
                            .map(|(_, object)| (lead, object)),
                    ),
                }
            }
            if new.is_empty() {
                tokio::task::yield_now().await;
            } else {
                self.evaluate_new(context, new, &mut all).await;
            }
        }
        context.policies.forget_leads_but(&self.key, leads);
        all
    }

    /// Evaluates the expressions for leads that have changed.
    async fn evaluate_new(
        &self,
        context: &Context,
        new: Vec<(&NotedVersion<LeadNote>, Arc<Lead>)>,
        all: &mut ByLead,
    ) {
        let (selected, others): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|(_, object)| self.selects(object));
        for (lead, _) in others {
            context.policies.keep_evaluated(&self.key, lead, None);
        }
        let (leads, objects): (Vec<_>, Vec<_>) = selected.into_iter().unzip();
        if objects.is_empty() {
            return;
        }
        let compiled = Arc::clone(&self.compiled);
        let evaluated = deeply(move || match compiled.as_ref() {
            Ok(expressions) => objects.iter().map(|lead| expressions.evaluate(lead)).collect(),
            Err(_) => Vec::new(),
        });
        match evaluated.await {
            Ok(evaluated) => {
                for (lead, evaluated) in leads.into_iter().zip(evaluated) {
                    let evaluated = Arc::new(evaluated);
                    context.policies.keep_evaluated(&self.key, lead, Some(&evaluated));
                    all.insert(Arc::clone(&lead.place), evaluated);
                }
            }
            Err(why) => tracing::error!(policy = %self.key, why, "expressions were not evaluated"),
        }
    }
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

/// What expressions say, by the lead. Leads that are not in it are not wanted.
type ByLead = HashMap<QualifiedName, Arc<Evaluated>>;

/// What the expressions of a policy say about the leads, and those of each older policy, by its name.
async fn said(
    context: &Context,
    rules: &PolicyRules,
    leads: &[NotedVersion<LeadNote>],
) -> (ByLead, Vec<(String, ByLead)>) {
    let evaluated = rules.evaluate(context, leads).await;
    let mut before = Vec::new();
    for older in older(context, rules).await {
        let name = older.key.name().to_owned();
        before.push((name, older.evaluate(context, leads).await));
    }
    (evaluated, before)
}

/// One lead, with what the decision needs to know of it.
struct LeadFacts {
    lead: NotedVersion<LeadNote>,
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

fn by_name<'a>(
    made: &'a [NotedVersion<ServiceNote>],
    others: &'a [NotedVersion<ServiceNote>],
) -> HashMap<&'a str, Named> {
    let others = others.iter().map(|other| (other.name(), Named::Other));
    let made = made.iter().enumerate();
    others
        .chain(made.map(|(at, made)| (made.name(), Named::Made(at))))
        .collect()
}

/// The leads and the services of a namespace, for one policy.
pub struct NamespaceFacts {
    leads: Vec<LeadFacts>,
    /// The services that the policy has created.
    made: Vec<NotedVersion<ServiceNote>>,
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
        let policies = &context.policies;
        let noted = policies
            .leads
            .of(&context.cache.leads, namespace, LeadNote::of)
            .await;
        let (evaluated, before) = match rules {
            Some(rules) => said(context, rules, &noted).await,
            None => Default::default(),
        };
        // After the last wait for expressions, so that they are no older than the leads.
        let services = policies
            .services
            .of(&context.cache.services, namespace, ServiceNote::of);
        let services = services.await;
        policies.forget_unless_used(namespace);
        let is_ours =
            |service: &NotedVersion<ServiceNote>| service.note.policy.as_deref() == Some(key.name());
        let (made, others): (Vec<_>, Vec<_>) = services.into_iter().partition(is_ours);
        let mut named = by_name(&made, &others);
        let now = clock::now();
        let mut leads = Vec::with_capacity(noted.len());
        for (count, lead) in noted.into_iter().enumerate() {
            if count % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
            let Some(tenant) = lead.note.tenant else { continue };
            let said = evaluated.get(&lead.place).cloned();
            let wanted = said.as_deref().is_some_and(|said| *said != Evaluated::No);
            let of_older = |(_, all): &&(String, ByLead)| {
                matches!(
                    all.get(&lead.place).map(|said| &**said),
                    Some(Evaluated::Yes { .. })
                )
            };
            leads.push(LeadFacts {
                short_name: match said.as_deref() {
                    Some(Evaluated::Yes { short_name, .. }) => ascii(short_name),
                    _ => String::new(),
                },
                eligible: wanted && names.is_some_and(|names| eligible(names, &tenant)),
                served: served(context, &lead.note.platform, &tenant)
                    || policies.others_have_under_way(key, now, lead.name()),
                older: before.iter().find(of_older).map(|(older, _)| older.clone()),
                named: named.remove(lead.name()).unwrap_or(Named::None),
                evaluated: said,
                tenant,
                lead,
            });
        }
        drop(named);
        let known = policies.of_namespace(namespace);
        Self {
            leads,
            made,
            policies: known.into_iter().map(|key| key.name().to_owned()).collect(),
        }
    }

    /// The services, as the decision takes them.
    pub fn services(&self) -> Vec<MadeService<'_>> {
        self.made.iter().map(made_service).collect()
    }

    /// The leads, as the decision takes them.
    pub fn candidates<'a>(&'a self, services: &'a [MadeService<'a>]) -> impl Iterator<Item = Candidate<'a>> {
        self.leads.iter().map(move |facts| Candidate {
            name: facts.lead.name(),
            created: facts.lead.note.created,
            tenant: facts.tenant,
            matches: match facts.evaluated.as_deref() {
                None | Some(Evaluated::No) => RuleMatch::No,
                Some(Evaluated::Failed(why)) => RuleMatch::Failed(why),
                Some(Evaluated::Yes { full_name, .. }) => RuleMatch::Yes {
                    short_name: &facts.short_name,
                    full_name,
                },
            },
            eligible: facts.eligible,
            served: facts.served,
            mark: self.mark(&facts.lead.note),
            older_policy: facts.older.as_deref(),
            object: match facts.named {
                Named::None => NamedLikeLead::None,
                Named::Made(at) => services.get(at).map_or(NamedLikeLead::None, NamedLikeLead::Made),
                Named::Other => NamedLikeLead::Other,
            },
        })
    }

    fn mark<'a>(&self, lead: &'a LeadNote) -> LeadMark<'a> {
        let exists = |policy: &str| self.policies.contains(policy);
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok().map(clock::time);
        match &lead.mark {
            None => LeadMark::None,
            Some(text) => LeadMark::parse(text, exists, time),
        }
    }

    /// The version of a lead that the decision was given.
    pub fn lead(&self, name: &str) -> Option<&NotedVersion<LeadNote>> {
        let found = self.leads.iter().find(|facts| facts.lead.name() == name);
        found.map(|facts| &facts.lead)
    }

    /// The version of a service that the decision was given.
    pub fn service(&self, name: &str) -> Option<&NotedVersion<ServiceNote>> {
        self.made.iter().find(|made| made.name() == name)
    }
}

fn made_service(made: &NotedVersion<ServiceNote>) -> MadeService<'_> {
    MadeService {
        name: made.name(),
        created: made.note.created,
        progress: made.note.progress,
        held: made.note.held,
        untouched_plan: made.note.untouched_plan,
    }
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
