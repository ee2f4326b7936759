//! What the passes over all kinds have in common: what is known at their beginning, and what a call's result means.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};
use live_platform::{Deleted, ErrorKind};
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::driver::Memo;
use oc_domain::pass::{DeletionPolicy, Facts};
use oc_domain::policy::Connection;
use oc_domain::step::{Answer, Fact};
use oc_domain::time::Time;

use crate::api;
use crate::engine::budget::Failed;
use crate::engine::clock;
use crate::inventory::Inventory;
use crate::object::record;

/// What every status of ours tells.
pub trait Told {
    /// `observedGeneration`
    fn observed(&self) -> Option<i64>;
    /// `conditions`
    fn conditions(&self) -> &[Condition];
    /// `lastHandledReconcileAt`
    fn handled(&self) -> Option<&String>;
}

macro_rules! told {
    ($($status:ty),+) => {$(
        impl Told for $status {
            fn observed(&self) -> Option<i64> {
                self.observed_generation
            }

            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }

            fn handled(&self) -> Option<&String> {
                self.last_handled_reconcile_at.as_ref()
            }
        }
    )+};
}

told!(api::LeadStatus, api::OcEssentialServiceStatus);

/// What is known at the beginning of a pass: nothing of the platform yet.
pub fn facts<K: Resource>(object: &K, status: Option<&dyn Told>, connection: Connection, memo: &Memo) -> Facts {
    let generation = object.meta().generation.unwrap_or_default();
    let observed = status.and_then(Told::observed);
    let look_now = record::requested(object).as_ref() != status.and_then(Told::handled);
    let ready = status.is_some_and(|status| status.conditions().iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"));
    Facts {
        pass_started: clock::now(),
        object_created: object.creation_timestamp().map(|time| clock::time(time.0)).unwrap_or_default(),
        generation,
        asked_anew: observed != Some(generation) || look_now,
        look_now,
        settled: ready && observed == Some(generation),
        connection,
        services: Fact::Unread,
        leads: Fact::Unread,
        lc_customer: Fact::Unread,
        task: Fact::Unread,
        answer: None,
        failures: memo.failures_of(observed != Some(generation)),
        stalled_for: stalled_for(status, generation),
        numbers: Fact::Unread,
    }
}

fn stalled_for(status: Option<&dyn Told>, generation: i64) -> Option<Reason> {
    let status = status.filter(|status| status.observed() == Some(generation))?;
    let stalled = status.conditions().iter().find(|condition| condition.type_ == "Stalled" && condition.status == "True")?;
    Reason::parse(&stalled.reason)
}

/// Puts an answer into a fact.
pub fn fact<T>(answer: Result<(Time, T), Trouble>) -> Fact<T> {
    match answer {
        Ok((at, value)) => Fact::Known { value, at },
        Err(trouble) => Fact::Unreadable(trouble),
    }
}

/// The inventory of a platform, or the reason why there is none.
pub fn inventory(given: Option<&Result<Arc<Inventory>, Trouble>>) -> Result<Arc<Inventory>, Trouble> {
    match given {
        Some(Ok(inventory)) => Ok(Arc::clone(inventory)),
        Some(Err(trouble)) => Err(trouble.clone()),
        None => Err(Trouble::new(Reason::PlatformNotFound, "The platform object is not there.")),
    }
}

/// `spec.deletionPolicy`, as the domain has it.
pub fn policy(policy: api::DeletionPolicy) -> DeletionPolicy {
    match policy {
        api::DeletionPolicy::Retain => DeletionPolicy::Retain,
        api::DeletionPolicy::Delete => DeletionPolicy::Delete,
    }
}

/// What a deletion's answer means.
pub fn deleted(deleted: Deleted) -> Answer {
    match deleted {
        Deleted::Accepted => Answer::Done,
        Deleted::NotFound => Answer::NotFound,
    }
}

/// What became of a change.
pub fn answer<T>(result: Result<T, Failed>, done: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(value) => done(value),
        Err(Failed::LeftAlone(trouble)) => Answer::NotSent(trouble),
        Err(Failed::Cut(trouble)) => Answer::Lost(trouble),
        Err(failed @ Failed::Call(_)) => {
            let trouble = failed.trouble();
            let Failed::Call(error) = failed else { return Answer::NotSent(trouble) };
            if error.may_have_happened() {
                return Answer::Lost(trouble);
            }
            match &error.kind {
                ErrorKind::Refused { fields, .. } => Answer::Refused(Trouble { reason: refusal(fields), ..trouble }),
                ErrorKind::NotFound { .. } => Answer::Refused(trouble),
                _ => Answer::NotSent(trouble),
            }
        }
    }
}

/// Which reason a refusal gets. That a short name is taken may show only here: a provider sees only its own services (platform-2.md 5).
fn refusal(fields: &[(String, Vec<String>)]) -> Reason {
    let about_name = fields.iter().find(|(field, _)| field.to_lowercase().contains("shortname"));
    match about_name {
        Some((_, texts))
            if texts.iter().any(|text| ["taken", "already", "exist", "in use", "unique"].iter().any(|word| text.to_lowercase().contains(word))) =>
        {
            Reason::ShortNameTaken
        }
        Some(_) => Reason::InvalidSpec,
        None => Reason::PlatformRefused,
    }
}
