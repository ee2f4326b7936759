//! The breaker for absences: when more is missing from the platform's lists than usually disappears, the
//! operator draws no conclusion from that.
//!
//! A list that is empty for a moment, another address, an application with fewer rights: each looks as if
//! everything had been deleted, for all objects at once. So one object, the `LivePlatform`, counts for all of
//! them. Of the services and leads that objects have recorded (each was read back once),
//! `AbsenceLedger::room` limits how many may go missing within an hour. Each absence is granted by id before
//! its object draws any conclusion. The id is that of the service or the lead, so one that is created again
//! counts separately.
//!
//! The breaker holds when more is missing, or when anything is missing while the platform's account is not
//! the one that the records belong to. It holds until everything is listed again, or until a later list
//! agrees and a person has approved. Grants, acceptances and held absences are in status, and the records are
//! in the objects. So neither a restart nor a second operator believes what this one does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Step, Wake};
use crate::time::{Duration, Time};
use crate::timing;

/// The time over which absences are counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// The most absences allowed within an hour, however many objects there are.
const MOST: usize = 100;

/// The minimum time between the start of a hold and a list that confirms it, before a person's approval
/// counts and before an object reports the hold. A list that is wrong once, or an address that is corrected,
/// then causes no writes except to the platform object.
pub const CONFIRM: Duration = Duration::from_secs(30);

/// The platform and the identity used with it. What one account shows says nothing about another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// The address of the platform, in one spelling.
    pub url: String,
    /// The directory and the application that authenticate.
    pub identity: String,
}

/// What the newest complete lists lack of the records of a platform's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AbsenceCount {
    /// How many objects have recorded a service or a lead that was read back, and are not deleting it
    /// themselves.
    pub recorded: usize,
    /// The recorded things that the lists do not show: guids of services and ids of leads.
    pub missing: BTreeSet<String>,
    /// How many other objects requested something that is not listed: a create may be in progress, a service
    /// was just taken over, or they removed what they had. At another account this proves nothing.
    pub asked: usize,
}

/// What the platform object remembers about absences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AbsenceLedger {
    /// The account that the objects' records belong to. `None` if it was never written, or status was lost.
    pub known: Option<Account>,
    /// The absences believed lately, by id, and since when.
    pub believed: BTreeMap<String, Time>,
    /// How many absences are accepted but still counted as missing: approved by a person, until each object
    /// has noticed; and absences believed long ago whose objects can't notice, such as suspended ones.
    pub accepted: u32,
    /// How many absences are not believed; 0 while the breaker does not hold.
    pub held: u32,
    /// Since when it holds this many.
    pub since: Option<Time>,
    /// The approval that was last acted upon, as written in the annotation.
    pub handled: Option<String>,
}

/// What an object may conclude when the lists do not show something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Belief {
    /// What a complete list does not show does not exist.
    #[default]
    Believed,
    /// Nothing yet: the absence is being counted, or checked again.
    Doubted,
    /// Nothing, until everything is listed again or a person approves.
    Held(Trouble),
}

impl Belief {
    /// What an object does and reports instead of a conclusion. `None` when it may conclude.
    pub(crate) fn doubt(&self, now: Time, list: &str) -> Option<(Step, &'static str, Verdict)> {
        match self {
            Self::Believed => None,
            // The platform object counts, and enqueues this one.
            Self::Doubted => {
                let verdict = Verdict::not_ready(
                    Reason::Verifying,
                    format!(
                        "The list of {list} does not show everything it should. The operator checks it again."
                    ),
                );
                Some((
                    Step::Wait(now + timing::SETTLING, Wake::Inventory),
                    "what is missing is not confirmed yet",
                    verdict,
                ))
            }
            Self::Held(trouble) => Some((
                Step::Blocked(now + timing::SLOW_RETRY),
                "what is missing is not confirmed",
                Verdict::trouble(trouble),
            )),
        }
    }
}

impl AbsenceLedger {
    /// The number of missing things that are neither believed nor accepted.
    fn unexplained(&self, here: &Account, counted: &AbsenceCount) -> usize {
        let missing = counted
            .missing
            .iter()
            .filter(|id| !self.believed.contains_key(*id))
            .count();
        match &self.known {
            Some(known) if known == here => missing.saturating_sub(self.accepted as usize),
            // What was believed of another place says nothing about this one, and what was requested
            // elsewhere is not listed here.
            Some(_) => counted.missing.len() + counted.asked,
            None => missing,
        }
    }

    /// How many more absences this hour allows: 1 % of what is recorded, at least one and at most a hundred.
    /// None at an account other than the known one.
    fn room(&self, now: Time, here: &Account, counted: &AbsenceCount) -> usize {
        if self.known.as_ref() != Some(here) {
            return 0;
        }
        let recent = self.believed.values().filter(|at| now < **at + WINDOW).count();
        (counted.recorded / 100).clamp(1, MOST).saturating_sub(recent)
    }

    /// Forgets absences believed more than an hour ago, and keeps only the number of those still missing.
    fn forget_old(&mut self, now: Time, counted: &AbsenceCount) {
        let lately = |at: &Time| now < *at + WINDOW && !timing::is_ahead(*at, now);
        let still = self
            .believed
            .iter()
            .filter(|(id, at)| !lately(at) && counted.missing.contains(*id))
            .count();
        self.accepted = self
            .accepted
            .saturating_add(u32::try_from(still).unwrap_or(u32::MAX));
        self.believed.retain(|_, at| lately(at));
    }

    /// Whether the breaker has held long enough to ask a person.
    fn confirmed(&self, at: Time) -> bool {
        self.held > 0 && self.since.is_some_and(|since| at >= since + CONFIRM)
    }

    /// What an object may conclude that has recorded the thing with this id. An empty id stands for nothing.
    ///
    /// Objects whose service is listed, and objects without a record, continue while others are held. But if
    /// half of what is recorded is missing, the list is not believed at all, and nothing is created from it.
    /// At an account other than the known one nothing begins either: what is recorded at one account must
    /// never count as missing at another one that is mistaken for it.
    pub fn belief(&self, now: Time, here: &Account, counted: &AbsenceCount, id: &str) -> Belief {
        let unexplained = self.unexplained(here, counted);
        let known = self.known.as_ref() == Some(here);
        let missing = counted.missing.contains(id);
        if known && unexplained == 0 {
            return Belief::Believed;
        }
        if known && self.held == 0 && unexplained <= self.room(now, here, counted) {
            return if missing && !self.believed.contains_key(id) {
                Belief::Doubted
            } else {
                Belief::Believed
            };
        }
        match missing || !known || unexplained * 2 >= counted.recorded {
            false => Belief::Believed,
            true if self.confirmed(now) => Belief::Held(told_to_objects()),
            true => Belief::Doubted,
        }
    }

    /// The trouble that the platform object reports while absences are held.
    pub fn trouble(&self, now: Time, here: &Account) -> Option<Trouble> {
        if self.held == 0 {
            return None;
        }
        let (objects, have) = if self.held == 1 {
            ("object", "has")
        } else {
            ("objects", "have")
        };
        let held = self.held;
        let what = match &self.known {
            Some(known) if known == here => {
                format!(
                    "{held} {objects} {have} recorded a service or lead that the platform no longer shows. That is more than usually disappears."
                )
            }
            Some(_) => format!(
                "spec.url or spec.authentication has changed, and what {held} {objects} {have} recorded is not listed here."
            ),
            None => format!(
                "The operator does not know which platform the objects' records belong to, and what {held} {objects} {have} recorded is not listed."
            ),
        };
        let advice = if !self.confirmed(now) {
            "The operator checks again."
        } else if self.known.as_ref() == Some(here) {
            "Ask the team that runs the Live Platform. The hold ends on its own when everything is listed again. If what is missing is really gone, set the annotation operatorconnect.dev/approve-absences to a new value."
        } else {
            "Correct spec.url and spec.authentication: the hold ends on its own when everything is listed again. If what is missing is really gone, set the annotation operatorconnect.dev/approve-absences to a new value."
        };
        let message = format!(
            "{what} The operator draws no conclusion from this: it recreates nothing, releases nothing and reports nothing as deleted. {advice}"
        );
        Some(Trouble::new(Reason::AbsenceUnconfirmed, message))
    }
}

/// The trouble that objects report. The text is the same for all objects and at every look.
fn told_to_objects() -> Trouble {
    let message = "The platform's lists do not show what objects have recorded there, so the operator draws no conclusion from what is missing: it recreates nothing, releases nothing and reports nothing as deleted. The hold ends on its own when everything is listed again. See the condition AbsencesHeld of the LivePlatform.";
    Trouble::new(Reason::AbsenceUnconfirmed, message)
}

/// Counts absences: believes what the hour allows, and holds the rest until everything is listed again or
/// `approval` has a new value. `listed` is when the counted lists began.
///
/// While nothing is missing and nothing is held, the ledger stays unchanged, so the passing of an hour writes
/// nothing (law L6).
pub fn settle(
    now: Time,
    listed: Time,
    here: &Account,
    approval: Option<&str>,
    ledger: &AbsenceLedger,
    counted: &AbsenceCount,
) -> AbsenceLedger {
    let mut ledger = ledger.clone();
    if ledger.unexplained(here, counted) > 0 {
        ledger.forget_old(now, counted);
    }
    let unexplained = ledger.unexplained(here, counted);
    let another = approval.is_some() && approval != ledger.handled.as_deref();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    if unexplained == 0 || (ledger.held == 0 && unexplained <= ledger.room(now, here, counted)) {
        let unbelieved: Vec<String> = counted
            .missing
            .iter()
            .filter(|id| !ledger.believed.contains_key(*id))
            .cloned()
            .collect();
        // Rounded up, so that the hour does not end too early.
        ledger.believed.extend(
            unbelieved
                .into_iter()
                .take(unexplained)
                .map(|id| (id, now.next_whole_second())),
        );
        if unexplained == 0 {
            ledger.known = Some(here.clone());
        }
        let still = counted
            .missing
            .iter()
            .filter(|id| !ledger.believed.contains_key(*id))
            .count();
        (ledger.accepted, ledger.held, ledger.since) = (ledger.accepted.min(count(still)), 0, None);
        // An annotation that predates the hold (set in Git, or restored) approves nothing.
        if another {
            ledger.handled = approval.map(str::to_owned);
        }
        return ledger;
    }
    let grown = count(unexplained) > ledger.held;
    if another && grown {
        // A person approves what was seen to be missing. Now it is more.
        ledger.handled = approval.map(str::to_owned);
    } else if another && ledger.confirmed(listed) {
        let missing = counted
            .missing
            .iter()
            .filter(|id| !ledger.believed.contains_key(*id))
            .count();
        ledger = AbsenceLedger {
            known: Some(here.clone()),
            accepted: count(missing),
            held: 0,
            since: None,
            handled: approval.map(str::to_owned),
            ..ledger
        };
        return ledger;
    }
    if grown {
        // No list has confirmed this number yet.
        ledger.since = Some(now.next_whole_second());
    }
    ledger.held = count(unexplained);
    ledger
}
