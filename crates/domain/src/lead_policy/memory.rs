//! What a process remembers between two decisions for one rule. Losing it is safe.

use std::collections::BTreeMap;

use super::{Candidate, LeadMark, MadeService};
use crate::discovery::{Attempts, ClusterRefusal};
use crate::names::TenantId;
use crate::time::{Duration, Time};

/// For how long a write counts as done that no store shows. The API server executes no request that is older
/// than a minute (`--request-timeout`, unless set); the rest is for the watch to deliver it. A watch that lags by
/// more can let the limits be exceeded, but no second object be created.
const UNSEEN: Duration = Duration::from_secs(90);

/// A write that no store shows yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnseenWrite {
    pub(super) what: Sending,
    pub(super) tenant: Option<TenantId>,
    /// The short name in lower case, of an object.
    pub(super) short_name: Option<String>,
    until: Time,
    /// Whether the object exists, so that it is counted already.
    is_shown: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Mark,
    Object,
    Mode,
}

/// What is remembered for one policy, by the policy's namespace and name. A policy that is deleted and created
/// again goes on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnboardingMemory {
    /// By the name of the Lead.
    pub(super) unseen: BTreeMap<String, UnseenWrite>,
    /// Objects and marks whose time has not come yet, and when each was noticed first.
    pub(super) ahead: BTreeMap<String, Time>,
    pub(super) attempts: Attempts,
}

impl OnboardingMemory {
    /// Notes what the next decisions are for: a version of the spec, and a person's request. When either is
    /// new, nothing waits because of what was refused before.
    pub fn ask(&mut self, what: &str) {
        self.attempts.ask(what);
    }

    /// Records that the write of a mark is about to be sent.
    pub fn marking(&mut self, now: Time, lead: &str, tenant: TenantId) {
        self.sending(now, lead, Sending::Mark, Some(tenant), None);
    }

    /// Records that the create of an object is about to be sent.
    pub fn making(&mut self, now: Time, lead: &str, tenant: TenantId, short_name: &str) {
        let folded = crate::names::fold_case(short_name);
        self.sending(now, lead, Sending::Object, Some(tenant), Some(folded));
    }

    /// Records that the mark of a created object is about to be sent. Until that is seen, the object counts even
    /// if a person deletes it.
    pub fn finishing(&mut self, now: Time, lead: &str) {
        if !self.unseen.contains_key(lead) {
            self.sending(now, lead, Sending::Object, None, None);
        }
    }

    /// Records that a change of an object's mode is about to be sent.
    pub fn adjusting(&mut self, now: Time, name: &str) {
        self.sending(now, name, Sending::Mode, None, None);
    }

    /// Whether an object that was just created has this short name, which is given in lower case. What one
    /// policy has created is taken for the others before any store shows it.
    pub fn has_just_used(&self, folded: &str) -> bool {
        let mut unseen = self.unseen.values();
        unseen.any(|unseen| unseen.short_name.as_deref() == Some(folded))
    }

    /// Whether something that was sent for a lead can still be executed. As long as that is so, another policy
    /// must take the lead for served: its mark may have been removed, or this policy deleted.
    pub fn has_under_way(&self, now: Time, lead: &str) -> bool {
        self.unseen.get(lead).is_some_and(|unseen| now < unseen.until)
    }

    /// Records that what was announced last for this lead was certainly not written: a conflict, or another
    /// answer of the API server that refuses it.
    pub fn not_written(&mut self, lead: &str) {
        self.unseen.remove(lead);
    }

    /// Records that the object was created, or exists already.
    pub fn made(&mut self, tenant: &TenantId) {
        self.attempts.succeeded(tenant);
    }

    /// Records that the API server refused a mark or an object, in these words. Returns whether to try others
    /// in this run.
    pub fn refused(
        &mut self,
        now: Time,
        lead: &str,
        tenant: &TenantId,
        refusal: ClusterRefusal,
        said: &str,
    ) -> bool {
        self.not_written(lead);
        self.attempts.refused(now, tenant, refusal, said)
    }

    /// Records that the API server did not answer. What was announced may have been written.
    pub fn unanswered(&mut self, now: Time) {
        self.attempts.unanswered(now);
    }

    /// Forgets the writes that are too old to be executed any more, and notes which ones the objects show.
    pub(super) fn look_at(&mut self, now: Time, services: &[MadeService<'_>]) {
        if self.unseen.is_empty() {
            return;
        }
        self.unseen.retain(|_, unseen| now < unseen.until);
        for unseen in self.unseen.values_mut() {
            unseen.is_shown = false;
        }
        for service in services {
            let Some(unseen) = self.unseen.get_mut(service.name) else {
                continue;
            };
            match unseen.what {
                Sending::Mode if !service.untouched_plan => drop(self.unseen.remove(service.name)),
                Sending::Mode => {}
                // Kept until the mark is seen too: a person may delete the object before that.
                Sending::Mark | Sending::Object => unseen.is_shown = true,
            }
        }
    }

    /// Whether something was written for a lead that this view of it does not show yet.
    pub(super) fn is_unseen(&mut self, lead: &Candidate<'_>, rule: &str) -> bool {
        let Some(unseen) = self.unseen.get(lead.name) else {
            return false;
        };
        let is_seen = match (unseen.what, lead.mark) {
            (Sending::Mark | Sending::Object, LeadMark::Made { policy, .. })
            | (Sending::Mark, LeadMark::Begun { policy, .. }) => policy == rule,
            _ => false,
        };
        if is_seen {
            self.unseen.remove(lead.name);
        }
        !is_seen
    }

    /// How many objects may be busy that no store shows, and how many of them may have been created.
    pub(super) fn count_unseen(&self) -> (usize, usize) {
        let hidden = || self.unseen.values().filter(|unseen| !unseen.is_shown);
        let created = hidden().filter(|unseen| unseen.what != Sending::Mode);
        (hidden().count(), created.count())
    }

    /// When the first of these is forgotten.
    pub(super) fn next_forgotten(&self) -> Option<Time> {
        self.unseen.values().map(|unseen| unseen.until).min()
    }

    fn sending(
        &mut self,
        now: Time,
        lead: &str,
        what: Sending,
        tenant: Option<TenantId>,
        short_name: Option<String>,
    ) {
        let unseen = UnseenWrite {
            what,
            tenant,
            short_name,
            until: now + UNSEEN,
            is_shown: false,
        };
        self.unseen.insert(lead.to_owned(), unseen);
    }
}
