//! The runs for policies, beside the passes: one looks at the leads of a namespace, decides, and writes what
//! was decided. Nothing that a lead or a service waits for happens here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use oc_domain::conditions::{Reason, Trouble, Verdict};
use oc_domain::discovery::ClusterRefusal;
use oc_domain::lead_policy::{
    Collision, LeadMark, ONBOARDED_BY, ONBOARDING_FINALIZER, OnboardingAction, OnboardingCounts,
    OnboardingDecision, OnboardingMemory, OnboardingRule, PlatformNames, RefusedLead, RuleLimits,
    ServiceToCreate, decide,
};
use oc_domain::names::ShortNameRule;
use oc_domain::service::Mode;
use oc_domain::time::Time;
use oc_domain::timing;
use serde_json::json;

use crate::cluster::key::ObjectKey;
use crate::cluster::patch::{self, WriteError};
use crate::cluster::record::{LEAD_POLICY_LABEL, requested};
use crate::cluster::stores::KnownResource;
use crate::controllers::beside;
use crate::controllers::context::Context;
use crate::controllers::events;
use crate::controllers::lead_policy::facts::{self, Names, NamespaceFacts, PolicyRules};
use crate::controllers::lead_policy::state::OnboardingReport;
use crate::controllers::lead_policy::wake;
use crate::controllers::object::ReconciledResource;
use crate::controllers::texts::sentence;
use crate::runtime::clock;
use crate::runtime::rate::Rate;
use crate::runtime::workqueue::Priority;
use oc_api::lead_policy::OnCollision;
use oc_api::service::Mode as SpecMode;
use oc_api::{Lead, LeadPolicy, LeadRefusal, OcEssentialService};

/// How soon to look again for the lists of a platform. When they change, a run follows anyway.
const LISTS_LOOK: Duration = Duration::from_secs(15);

/// Runs policies, beside the passes.
///
/// # Errors
/// When a run panics. It does not end otherwise.
pub async fn run(context: Arc<Context>) -> anyhow::Result<Infallible> {
    beside::runs(context, "a policy", |context| &context.onboardings, run_for).await
}

async fn run_for(context: Arc<Context>, key: ObjectKey, rate: Arc<Rate>) {
    // Nothing is decided for a policy that this version can't read.
    if context.cache.policies.wrong(&key).is_none() {
        let policy = context.cache.policies.of(&key);
        let run = PolicyRun {
            context: &context,
            key: &key,
            policy,
            rate: &rate,
        };
        if let Some(again) = run.once().await {
            let group = wake::group(&context, &key);
            context
                .onboardings
                .add_at(again, key.clone(), group, Priority::Observe);
        }
    }
    context.onboardings.done(&key);
}

/// Whether a write was made, and what that means for the others.
enum Wrote {
    /// It was made, or needs no repetition.
    Done,
    /// It was not made; the others may be tried.
    Failed,
    /// The others need not be tried in this run.
    Stop,
}

/// What a run works with.
struct PolicyRun<'a> {
    context: &'a Context,
    key: &'a ObjectKey,
    /// `None` if the policy is gone.
    policy: Option<Arc<LeadPolicy>>,
    rate: &'a Rate,
}

impl PolicyRun<'_> {
    /// One run. Returns when to run again though nothing has changed.
    async fn once(&self) -> Option<Time> {
        let Some(policy) = self
            .policy
            .clone()
            .filter(|policy| policy.metadata.deletion_timestamp.is_none())
        else {
            return self.finish_only().await;
        };
        let rules = PolicyRules::of(self.context, self.key, &policy).await;
        if let Some(wrong) = rules.wrong() {
            let trouble = Trouble::new(Reason::InvalidSpec, wrong.to_owned());
            self.tell(
                &policy,
                Verdict::trouble(&trouble),
                &OnboardingDecision::default(),
            );
            return self.finish_only().await;
        }
        let (short_names, names) =
            facts::names(self.context, &policy.spec.platform, self.key.namespace()).await;
        let facts = NamespaceFacts::of(self.context, self.key, Some(&rules), Some(&names)).await;
        let mut memory = self.context.policies.memory(self.key);
        memory.ask(&format!(
            "{:?}",
            (policy.metadata.generation, requested(&*policy))
        ));
        let rule = rule(&policy, short_names);
        let decision = self.decide(Some(&rule), &names, &facts, &mut memory);
        let told = match names {
            Names::Known(..) => decision.clone(),
            Names::Unknown(_) => self.as_last_known(&policy, &decision),
        };
        self.tell(&policy, decision.verdict(), &told);
        let failed = self.act(&facts, &decision, &mut memory).await;
        self.context.policies.keep_memory(self.key, memory);
        let lists = matches!(names, Names::Unknown(_)).then(|| clock::now() + LISTS_LOOK);
        [decision.again, failed, lists].into_iter().flatten().min()
    }

    /// Finishes what a policy has begun that is gone, or that says nothing any more.
    async fn finish_only(&self) -> Option<Time> {
        let facts = NamespaceFacts::of(self.context, self.key, None, None).await;
        let mut memory = self.context.policies.memory(self.key);
        let gone = Names::Unknown(Trouble::new(Reason::Progressing, "The policy is gone."));
        let decision = self.decide(None, &gone, &facts, &mut memory);
        let failed = self.act(&facts, &decision, &mut memory).await;
        self.context.policies.keep_memory(self.key, memory);
        [decision.again, failed].into_iter().flatten().min()
    }

    fn decide(
        &self,
        rule: Option<&OnboardingRule<'_>>,
        names: &Names,
        facts: &NamespaceFacts,
        memory: &mut OnboardingMemory,
    ) -> OnboardingDecision {
        let platform = self.policy.as_ref().map(|policy| policy.spec.platform.clone());
        let platform = platform.unwrap_or_default();
        let index = &self.context.cache.index;
        let taken = |name: &str| match names {
            Names::Known(services, _) => {
                services.has_name(name)
                    || !index.named(&platform, name).is_empty()
                    || self.context.policies.have_just_used(name)
            }
            Names::Unknown(_) => true,
        };
        let known = match names {
            Names::Known(..) => PlatformNames::Known(&taken),
            Names::Unknown(trouble) => PlatformNames::Unknown(trouble),
        };
        let services = facts.services();
        decide(
            clock::now(),
            rule,
            known,
            facts.candidates(&services),
            &services,
            memory,
        )
    }

    /// What a decision says while nobody knows which leads are eligible: of that, what was known last.
    fn as_last_known(&self, policy: &LeadPolicy, decision: &OnboardingDecision) -> OnboardingDecision {
        let (made, ready, last_made) = (
            decision.counts.made,
            decision.counts.ready,
            decision.counts.last_made,
        );
        let (counts, refusals) = match self.context.policies.report(self.key) {
            Some(report) => (report.counts, report.refusals),
            None => said(policy),
        };
        OnboardingDecision {
            counts: OnboardingCounts {
                made,
                ready,
                last_made,
                ..counts
            },
            refusals,
            ..OnboardingDecision::default()
        }
    }

    /// Keeps the result for the pass over the policy, which reports it if it is new.
    fn tell(&self, policy: &LeadPolicy, verdict: Verdict, decision: &OnboardingDecision) {
        let report = OnboardingReport {
            spec: facts::spec_version(policy),
            requested: requested(policy),
            verdict,
            counts: decision.counts,
            refusals: decision.refusals.clone(),
        };
        if self.context.policies.keep_report(self.key, report) {
            self.context.enqueue(self.key, Priority::Effect);
        }
    }

    /// Whether the policy object still has the spec that this run follows.
    fn is_current(&self) -> bool {
        let generation = |policy: &LeadPolicy| (policy.metadata.uid.clone(), policy.metadata.generation);
        let now = self.context.cache.policies.of(self.key);
        now.as_deref().map(generation) == self.policy.as_deref().map(generation)
    }

    /// Does what was decided. Returns when to try again, if something failed.
    async fn act(
        &self,
        facts: &NamespaceFacts,
        decision: &OnboardingDecision,
        memory: &mut OnboardingMemory,
    ) -> Option<Time> {
        let mut failed = false;
        for action in &decision.actions {
            self.rate.wait().await;
            // Both may have changed while the others were written.
            if !self.is_current() {
                break;
            }
            let wrote = match action {
                OnboardingAction::Begin(new) => self.begin(facts, new, memory).await,
                OnboardingAction::Make(new) => self.make_begun(facts, new, memory).await,
                OnboardingAction::Finish { name, made } => self.finish(facts, name, *made, memory).await,
                OnboardingAction::Adjust { name } => self.adjust(facts, name, memory).await,
            };
            self.context.policies.keep_memory(self.key, memory.clone());
            failed |= !matches!(wrote, Wrote::Done);
            if matches!(wrote, Wrote::Stop) {
                break;
            }
        }
        let failures = self.context.policies.count_failures(self.key, failed);
        failed.then(|| timing::next_try(clock::now(), failures, None))
    }

    /// Marks a lead, and then creates its service.
    async fn begin(
        &self,
        facts: &NamespaceFacts,
        new: &ServiceToCreate,
        memory: &mut OnboardingMemory,
    ) -> Wrote {
        let (Some(lead), Some(policy)) = (facts.lead(&new.name), &self.policy) else {
            return Wrote::Done;
        };
        // It was decided for this version.
        let Some(lead) = lead.object(&self.context.cache.leads) else {
            return Wrote::Failed;
        };
        let text = LeadMark::begun_text(
            self.key.name(),
            policy.metadata.uid.as_deref().unwrap_or_default(),
        );
        memory.marking(clock::now(), &new.name, new.tenant);
        match self.mark(&lead, &text).await {
            Ok(()) => {
                self.rate.wait().await;
                self.create(policy, new, memory).await
            }
            Err(error) => self.not_marked(&error, new, memory),
        }
    }

    /// Creates the service of a lead whose mark says that it was begun, unless the lead says otherwise by now.
    async fn make_begun(
        &self,
        facts: &NamespaceFacts,
        new: &ServiceToCreate,
        memory: &mut OnboardingMemory,
    ) -> Wrote {
        let (Some(lead), Some(policy)) = (facts.lead(&new.name), &self.policy) else {
            return Wrote::Done;
        };
        let Some((_, stored)) = self.context.cache.leads.look(&lead.place) else {
            return Wrote::Done;
        };
        let newest = match patch::newest(&self.context.client, &*stored).await {
            Ok(newest) => newest,
            Err(WriteError::NotFound) => return Wrote::Done,
            Err(error) => return self.not_marked(&error, new, memory),
        };
        let same = lead.note.is_of(&newest) && newest.metadata.deletion_timestamp.is_none();
        put(self.context, newest);
        if same {
            self.create(policy, new, memory).await
        } else {
            Wrote::Failed
        }
    }

    async fn create(
        &self,
        policy: &LeadPolicy,
        new: &ServiceToCreate,
        memory: &mut OnboardingMemory,
    ) -> Wrote {
        let (namespace, name) = (self.key.namespace(), new.name.as_str());
        memory.making(clock::now(), name, new.tenant, &new.short_name);
        match patch::create(&self.context.client, &service(policy, new)).await {
            Ok(made) => {
                memory.made(&new.tenant);
                tracing::info!(kind = "OcEssentialService", namespace, name, policy = self.key.name(), tenant = %new.tenant, "created a service for a lead, by its policy");
                events::onboarded(self.context, &made, self.key.name());
                put(self.context, made);
                Wrote::Done
            }
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                memory.made(&new.tenant);
                Wrote::Done
            }
            Err(error) => {
                tracing::warn!(namespace, name, policy = self.key.name(), %error, "a service for a lead could not be created and is tried again");
                let refusal = match &error {
                    kube::Error::Api(status) => ClusterRefusal::parse(status.code, &status.message)
                        .map(|refusal| (refusal, sentence(&status.message))),
                    _ => None,
                };
                self.refused(refusal, new, memory)
            }
        }
    }

    fn refused(
        &self,
        refusal: Option<(ClusterRefusal, String)>,
        new: &ServiceToCreate,
        memory: &mut OnboardingMemory,
    ) -> Wrote {
        let now = clock::now();
        match refusal {
            Some((refusal, said)) if memory.refused(now, &new.name, &new.tenant, refusal, &said) => {
                Wrote::Failed
            }
            Some(_) => Wrote::Stop,
            None => {
                memory.unanswered(now);
                Wrote::Stop
            }
        }
    }

    /// What an error of the first write means.
    fn not_marked(&self, error: &WriteError, new: &ServiceToCreate, memory: &mut OnboardingMemory) -> Wrote {
        let (namespace, name) = (self.key.namespace(), new.name.as_str());
        tracing::warn!(
            namespace,
            name,
            policy = self.key.name(),
            ?error,
            "a lead could not be marked for its policy and is tried again"
        );
        let refusal = match error {
            WriteError::Conflict | WriteError::NotFound => {
                memory.not_written(name);
                return Wrote::Failed;
            }
            WriteError::Rejected(said) => Some(said.clone()),
            WriteError::Dropped(what) => Some(format!("{what} was dropped by a mutating policy or webhook")),
            WriteError::Unanswered(_) => None,
        };
        let refusal = refusal.map(|said| {
            // The code is one of a refusal; the words tell which.
            let refusal = ClusterRefusal::parse(403, &said).unwrap_or(ClusterRefusal::Policy);
            (refusal, sentence(&said))
        });
        self.refused(refusal, new, memory)
    }

    /// Records on the lead that its service was created, and then takes the finalizer off the service.
    async fn finish(
        &self,
        facts: &NamespaceFacts,
        name: &str,
        made: Time,
        memory: &mut OnboardingMemory,
    ) -> Wrote {
        let cache = &self.context.cache;
        let Some(service) = facts.service(name) else {
            return Wrote::Done;
        };
        let stored = facts
            .lead(name)
            .and_then(|lead| Some((lead, cache.leads.look(&lead.place)?.1)));
        if let Some((lead, stored)) = stored {
            // The status of the lead has often changed since then, and that does not matter here.
            if !lead.note.is_of(&stored) {
                return self.not_finished(name, &WriteError::Conflict);
            }
            let uid = self
                .policy
                .as_ref()
                .and_then(|policy| policy.metadata.uid.clone());
            let text = finished(&stored, self.key.name(), uid.as_deref(), made);
            if stored.annotations().get(ONBOARDED_BY) != Some(&text) {
                memory.finishing(clock::now(), name);
                match self.mark(&stored, &text).await {
                    Ok(()) => self.rate.wait().await,
                    Err(WriteError::NotFound) => {}
                    Err(error) => return self.not_finished(name, &error),
                }
            }
        }
        let Some(object) = service.object(&cache.services) else {
            return self.not_finished(name, &WriteError::Conflict);
        };
        let mut finalizers = object.finalizers().to_vec();
        let before = finalizers.len();
        finalizers.retain(|name| name != ONBOARDING_FINALIZER);
        if finalizers.len() == before {
            return Wrote::Done;
        }
        let patch = json!({ "metadata": { "finalizers": finalizers } });
        match patch::merge(&self.context.client, &*object, patch).await {
            Ok(written) => {
                put(self.context, written);
                Wrote::Done
            }
            Err(WriteError::NotFound) => Wrote::Done,
            Err(error) => self.not_finished(name, &error),
        }
    }

    fn not_finished(&self, name: &str, error: &WriteError) -> Wrote {
        let namespace = self.key.namespace();
        tracing::debug!(
            namespace,
            name,
            policy = self.key.name(),
            ?error,
            "could not record that a service was created; it is tried again"
        );
        Wrote::Failed
    }

    /// Lets a planned service be provisioned.
    async fn adjust(&self, facts: &NamespaceFacts, name: &str, memory: &mut OnboardingMemory) -> Wrote {
        let Some(service) = facts.service(name) else {
            return Wrote::Done;
        };
        let Some(object) = service.object(&self.context.cache.services) else {
            return Wrote::Failed;
        };
        memory.adjusting(clock::now(), name);
        let patch = json!({ "spec": { "mode": SpecMode::Apply } });
        match patch::merge(&self.context.client, &*object, patch).await {
            Ok(written) => {
                let namespace = self.key.namespace();
                tracing::info!(
                    kind = "OcEssentialService",
                    namespace,
                    name,
                    policy = self.key.name(),
                    "set spec.mode to Apply, as its policy says now"
                );
                put(self.context, written);
                Wrote::Done
            }
            Err(error) => {
                if !matches!(error, WriteError::Unanswered(_)) {
                    memory.not_written(name);
                }
                tracing::warn!(
                    name,
                    policy = self.key.name(),
                    ?error,
                    "spec.mode of a service could not be set and is tried again"
                );
                Wrote::Failed
            }
        }
    }

    async fn mark(&self, lead: &Lead, text: &str) -> Result<(), WriteError> {
        let patch = json!({ "metadata": { "annotations": { ONBOARDED_BY: text } } });
        let written = patch::merge(&self.context.client, lead, patch).await?;
        let kept = written
            .annotations()
            .get(ONBOARDED_BY)
            .is_some_and(|kept| kept == text);
        put(self.context, written);
        if kept {
            Ok(())
        } else {
            Err(WriteError::Dropped(
                "the annotation operatorconnect.dev/onboarded-by",
            ))
        }
    }
}

/// Stores the API server's response to a write.
fn put<K: ReconciledResource + KnownResource>(context: &Context, object: K) {
    K::stored(&context.cache)
        .put(object)
        .into_iter()
        .for_each(|learnt| K::learnt(context, learnt));
}

/// The mark of a lead whose service was created. A policy that is gone keeps the uid that the mark has.
fn finished(lead: &Lead, policy: &str, uid: Option<&str>, made: Time) -> String {
    let before = lead
        .annotations()
        .get(ONBOARDED_BY)
        .map(String::as_str)
        .unwrap_or_default();
    let known = before
        .strip_prefix(policy)
        .and_then(|rest| rest.strip_prefix('/')?.split('/').next());
    let uid = uid.or(known).filter(|uid| !uid.is_empty()).unwrap_or("unknown");
    LeadMark::made_text(policy, uid, &clock::timestamp(made).to_string())
}

/// What the status of a policy says about its leads.
fn said(policy: &LeadPolicy) -> (OnboardingCounts, Vec<RefusedLead>) {
    let status = policy.status.clone().unwrap_or_default();
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let refused = |refusal: LeadRefusal| {
        Some(RefusedLead {
            reason: Reason::parse(&refusal.reason)?,
            lead: refusal.lead,
            message: refusal.message,
        })
    };
    let counts = OnboardingCounts {
        matched: count(status.matched),
        waiting: count(status.waiting),
        refused: count(status.refused),
        not_eligible: count(status.not_eligible),
        ..OnboardingCounts::default()
    };
    (counts, status.refusals.into_iter().filter_map(refused).collect())
}

/// The rule as the decision takes it.
fn rule(policy: &LeadPolicy, short_names: ShortNameRule) -> OnboardingRule<'_> {
    let spec = &policy.spec;
    OnboardingRule {
        name: policy.metadata.name.as_deref().unwrap_or_default(),
        limits: RuleLimits {
            in_progress: spec.limits.in_progress,
            per_day: spec.limits.per_day,
        },
        collision: match spec.names.on_collision {
            OnCollision::Number => Collision::Number,
            OnCollision::Refuse => Collision::Refuse,
        },
        short_names,
        mode: match spec.template.spec.mode {
            SpecMode::Apply => Mode::Apply,
            SpecMode::Plan => Mode::Plan,
            SpecMode::Observe => Mode::Observe,
        },
        suspended: spec.suspend,
    }
}

/// The service for a lead.
fn service(policy: &LeadPolicy, new: &ServiceToCreate) -> OcEssentialService {
    let template = &policy.spec.template;
    let spec = template
        .spec
        .of_lead(&new.name, new.short_name.clone(), new.full_name.clone());
    let mut object = OcEssentialService::new(&new.name, spec);
    let own = (LEAD_POLICY_LABEL.to_owned(), policy.name_any());
    let metadata = &mut object.metadata;
    metadata.namespace = policy.namespace();
    metadata.labels = Some(
        template
            .metadata
            .labels
            .clone()
            .into_iter()
            .chain([own])
            .collect(),
    );
    metadata.annotations = Some(template.metadata.annotations.clone()).filter(|all| !all.is_empty());
    metadata.finalizers = Some(vec![ONBOARDING_FINALIZER.to_owned()]);
    object
}
