//! What this process keeps for policies between their runs. Losing it is safe.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use oc_domain::conditions::Verdict;
use oc_domain::lead_policy::{OnboardingCounts, OnboardingMemory, RefusedLead};
use oc_domain::time::Time;
use parking_lot::Mutex;

use crate::cluster::key::{ObjectKey, QualifiedName};
use crate::controllers::lead_policy::expression::{Evaluated, Expressions};
use crate::controllers::lead_policy::notes::{LeadNote, NotedVersion, ServiceNote, VersionNotes};

/// One version of a spec: the uid and the generation of its object.
pub type SpecVersion = (String, i64);

/// The expressions of a version, or what is wrong with them.
pub type Compiled = Arc<Result<Expressions, String>>;

/// The result of the last run for a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct OnboardingReport {
    /// The spec that it followed.
    pub spec: SpecVersion,
    /// The value of the annotation that requests a run, at that time.
    pub requested: Option<String>,
    /// What the conditions say.
    pub verdict: Verdict,
    /// The numbers.
    pub counts: OnboardingCounts,
    /// The oldest leads that are refused.
    pub refusals: Vec<RefusedLead>,
}

#[derive(Default)]
struct PolicyState {
    compiled: Option<(SpecVersion, Compiled)>,
    /// By the lead, for the compiled version: the stamp of the lead's version and the result; `None` if the policy
    /// does not select the lead.
    evaluated: HashMap<QualifiedName, (u64, Option<Arc<Evaluated>>)>,
    memory: OnboardingMemory,
    report: Option<OnboardingReport>,
    /// How many runs in a row had a write that failed.
    failures: u32,
}

#[derive(Default)]
struct States {
    of: HashMap<ObjectKey, PolicyState>,
    by_namespace: HashMap<String, BTreeSet<ObjectKey>>,
}

/// The policies of all namespaces.
#[derive(Default)]
pub struct Policies {
    states: Mutex<States>,
    /// What is known of the leads of namespaces with policies.
    pub leads: VersionNotes<LeadNote>,
    /// What is known of the services there.
    pub services: VersionNotes<ServiceNote>,
}

impl Policies {
    /// Records that a policy exists.
    pub fn enter(&self, key: &ObjectKey) {
        let mut states = self.states.lock();
        let known = states.by_namespace.entry(key.namespace().to_owned()).or_default();
        known.insert(key.clone());
    }

    /// Records that a policy is gone. What its services and leads still need is kept.
    pub fn leave(&self, key: &ObjectKey) {
        let mut states = self.states.lock();
        if let Some(known) = states.by_namespace.get_mut(key.namespace()) {
            known.remove(key);
            if known.is_empty() {
                states.by_namespace.remove(key.namespace());
            }
        }
        if let Some(state) = states.of.get_mut(key) {
            *state = PolicyState {
                memory: std::mem::take(&mut state.memory),
                ..PolicyState::default()
            };
        }
    }

    /// The policies of a namespace.
    pub fn of_namespace(&self, namespace: &str) -> Vec<ObjectKey> {
        let states = self.states.lock();
        let known = states.by_namespace.get(namespace).into_iter().flatten();
        known.cloned().collect()
    }

    /// The policies of all namespaces.
    pub fn all(&self) -> Vec<ObjectKey> {
        self.states
            .lock()
            .by_namespace
            .values()
            .flatten()
            .cloned()
            .collect()
    }

    fn with<T>(&self, key: &ObjectKey, work: impl FnOnce(&mut PolicyState) -> T) -> T {
        work(self.states.lock().of.entry(key.clone()).or_default())
    }

    /// The compiled expressions of this version of a policy.
    pub fn compiled(&self, key: &ObjectKey, spec: &SpecVersion) -> Option<Compiled> {
        let states = self.states.lock();
        let (known, compiled) = states.of.get(key)?.compiled.as_ref()?;
        (known == spec).then(|| Arc::clone(compiled))
    }

    /// Keeps the compiled expressions of a version. The results of another version are dropped.
    pub fn keep_compiled(&self, key: &ObjectKey, spec: &SpecVersion, compiled: &Compiled) {
        self.with(key, |state| {
            state.evaluated.clear();
            state.compiled = Some((spec.clone(), Arc::clone(compiled)));
        });
    }

    /// What the expressions said about this version of a lead: `Some(None)` if the policy does not select it.
    pub fn evaluated(
        &self,
        key: &ObjectKey,
        lead: &NotedVersion<LeadNote>,
    ) -> Option<Option<Arc<Evaluated>>> {
        let states = self.states.lock();
        let (stamp, evaluated) = states.of.get(key)?.evaluated.get(&lead.place)?;
        (*stamp == lead.stamp).then(|| evaluated.clone())
    }

    /// Keeps what the expressions say about this version of a lead.
    pub fn keep_evaluated(
        &self,
        key: &ObjectKey,
        lead: &NotedVersion<LeadNote>,
        evaluated: Option<&Arc<Evaluated>>,
    ) {
        self.with(key, |state| {
            let known = (lead.stamp, evaluated.map(Arc::clone));
            state.evaluated.insert(Arc::clone(&lead.place), known);
        });
    }

    /// Drops the results for all leads but these.
    pub fn forget_leads_but(&self, key: &ObjectKey, leads: &[NotedVersion<LeadNote>]) {
        self.with(key, |state| {
            if state.evaluated.len() > leads.len() {
                let known: HashSet<&str> = leads.iter().map(|lead| &*lead.place).collect();
                state.evaluated.retain(|place, _| known.contains(&**place));
            }
        });
    }

    /// Drops what is known of the leads and services of a namespace, if it has no policy.
    pub fn forget_unless_used(&self, namespace: &str) {
        if self.of_namespace(namespace).is_empty() {
            self.leads.forget(namespace);
            self.services.forget(namespace);
        }
    }

    /// The memory of a policy.
    pub fn memory(&self, key: &ObjectKey) -> OnboardingMemory {
        self.with(key, |state| state.memory.clone())
    }

    /// Whether any policy has just created an object with this short name, which is given in lower case.
    pub fn have_just_used(&self, folded: &str) -> bool {
        let states = self.states.lock();
        states.of.values().any(|state| state.memory.has_just_used(folded))
    }

    /// Whether another policy than this one, of the same namespace, may create the service of a lead at any
    /// moment. Policies that are gone count too.
    pub fn others_have_under_way(&self, key: &ObjectKey, now: Time, lead: &str) -> bool {
        let states = self.states.lock();
        let mut others = states
            .of
            .iter()
            .filter(|(other, _)| *other != key && other.namespace() == key.namespace());
        others.any(|(_, state)| state.memory.has_under_way(now, lead))
    }

    /// Keeps the memory of a policy.
    pub fn keep_memory(&self, key: &ObjectKey, memory: OnboardingMemory) {
        self.with(key, |state| state.memory = memory);
    }

    /// The result of the last run.
    pub fn report(&self, key: &ObjectKey) -> Option<OnboardingReport> {
        self.states.lock().of.get(key)?.report.clone()
    }

    /// Keeps the result of a run. Returns whether it is new.
    pub fn keep_report(&self, key: &ObjectKey, report: OnboardingReport) -> bool {
        self.with(key, |state| {
            let is_new = state.report.as_ref() != Some(&report);
            state.report = Some(report);
            is_new
        })
    }

    /// Counts the runs in a row in which a write has failed.
    pub fn count_failures(&self, key: &ObjectKey, failed: bool) -> u32 {
        self.with(key, |state| {
            state.failures = if failed {
                state.failures.saturating_add(1)
            } else {
                0
            };
            state.failures
        })
    }
}
