//! The breaker for what vanishes: when more is missing from the platform's lists than vanishes by itself, nothing is concluded from that.
//!
//! A list that is empty for a moment, another address, an application that sees less: each looks as if everything had been deleted, for all objects
//! together. So one object, the `LivePlatform`, counts for all. Of what objects have recorded (a service or a lead that was read back once) as many may be
//! missing within an hour as `AbsenceLedger::room` says; each of these is granted by its id (that of a service or a lead, so that what is made again is another one) before the object concludes anything. When more are missing,
//! or anything at all while the platform's account is another one than that for which the objects' records are known, it holds: until all of it shows again, or
//! until a later list agrees and a person has said so. What is granted, accepted and held stands in status, and what was recorded in the objects, so that
//! neither a restart nor a second operator believes what this one does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Step, Wake};
use crate::time::{Duration, Time};
use crate::timing;

/// Over which time absences are counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// The most that an hour has room for, however many objects there are.
const MOST: usize = 100;

/// How long after it began to hold a list must agree before a person's word counts, and before an object says that it is held: a list that is wrong once, or
/// an address that is put right again, costs no write but those of the platform object.
pub const CONFIRM: Duration = Duration::from_secs(30);

/// Which platform is meant, and as whom it is spoken to: what another one shows says nothing of what is at this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// Its address, in one spelling.
    pub url: String,
    /// The directory and the application.
    pub identity: String,
}

/// What the newest whole lists lack of what the objects of a platform have recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AbsenceCount {
    /// How many objects have recorded a service or a lead that was read back, and do not have it removed themselves.
    pub recorded: usize,
    /// What the lists do not show of that: the guids of services and the ids of leads.
    pub missing: BTreeSet<String>,
    /// How many others have asked for something that does not show, so that it proves nothing at another account: a create may be under way, a service was
    /// taken over just now, or they have removed what they had.
    pub asked: usize,
}

/// What the platform object remembers of absences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AbsenceLedger {
    /// For which account the objects' records are known. `None`: it was never written, or status was lost.
    pub known: Option<Account>,
    /// What was believed to be gone lately, by its id, and since when.
    pub believed: BTreeMap<String, Time>,
    /// How many are known to be gone and are counted as missing all the same: by a person's word, until each object has taken it in; and of those that were
    /// believed long ago the ones that can't take it in, suspended ones say.
    pub accepted: u32,
    /// How many are missing and not believed; 0 while nothing is held.
    pub held: u32,
    /// Since when it holds so many.
    pub since: Option<Time>,
    /// The approval that was acted upon, as it stood in the annotation.
    pub handled: Option<String>,
}

/// What an object may conclude from what the lists do not show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Belief {
    /// What a whole list does not show is not there.
    #[default]
    Believed,
    /// Nothing yet: it is counted, or looked at again.
    Doubted,
    /// Nothing, until it shows again or a person has spoken.
    Held(Trouble),
}

impl Belief {
    /// What an object does and says instead of concluding anything from what a list does not show; `None` when it may conclude.
    pub(crate) fn doubt(&self, now: Time, list: &str) -> Option<(Step, &'static str, Verdict)> {
        match self {
            Self::Believed => None,
            // The platform object counts, and wakes this one.
            Self::Doubted => {
                let verdict = Verdict::not_ready(
                    Reason::Verifying,
                    format!("The list of {list} does not show what it should: it is looked at again."),
                );
                Some((
                    Step::Wait(now + timing::SETTLING, Wake::Inventory),
                    "what is missing is not believed yet",
                    verdict,
                ))
            }
            Self::Held(trouble) => Some((
                Step::Blocked(now + timing::SLOW_RETRY),
                "what is missing is not believed",
                Verdict::trouble(trouble),
            )),
        }
    }
}

impl AbsenceLedger {
    /// What is missing and neither believed nor accepted.
    fn unexplained(&self, here: &Account, counted: &AbsenceCount) -> usize {
        let missing = counted
            .missing
            .iter()
            .filter(|id| !self.believed.contains_key(*id))
            .count();
        match &self.known {
            Some(known) if known == here => missing.saturating_sub(self.accepted as usize),
            // What was believed of another place says nothing of this one, and what was asked for elsewhere does not show here.
            Some(_) => counted.missing.len() + counted.asked,
            None => missing,
        }
    }

    /// How many more may vanish within this hour: one, or one in a hundred of what is recorded, at most a hundred. At an account that is not the known one none.
    fn room(&self, now: Time, here: &Account, counted: &AbsenceCount) -> usize {
        if self.known.as_ref() != Some(here) {
            return 0;
        }
        let recent = self.believed.values().filter(|at| now < **at + WINDOW).count();
        (counted.recorded / 100).clamp(1, MOST).saturating_sub(recent)
    }

    /// Forgets whose absence was believed more than an hour ago: only as many as are missing still are remembered.
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

    /// Whether it holds for so long that a person is asked.
    fn confirmed(&self, at: Time) -> bool {
        self.held > 0 && self.since.is_some_and(|since| at >= since + CONFIRM)
    }

    /// What an object may conclude that has recorded what has this id; an empty one stands for nothing.
    ///
    /// One whose service shows, and one that has recorded nothing, go on while others are held, unless half of what is recorded is missing: such a list is
    /// not believed at all, and nobody makes anything by it. At an account that is not the known one nobody begins anything either: what is recorded at one
    /// must never be counted as missing at another one that is taken for the same.
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

    /// What the platform object says while absences are held.
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
                    "{held} {objects} {have} recorded what the platform does not show any more, which is more than vanishes by itself."
                )
            }
            Some(_) => format!(
                "spec.url or spec.authentication is another one than before, and what {held} {objects} {have} recorded does not show here."
            ),
            None => format!(
                "It is not known for which platform the objects have recorded what they have, and that of {held} {objects} does not show."
            ),
        };
        let advice = if !self.confirmed(now) {
            "It is looked at again."
        } else if self.known.as_ref() == Some(here) {
            "Ask the platform's operator. It ends by itself when all of it shows again; if it is really gone, set the annotation operatorconnect.dev/approve-absences to a new value."
        } else {
            "Correct spec.url and spec.authentication: it ends by itself when all of it shows again. If it is really gone, set the annotation operatorconnect.dev/approve-absences to a new value."
        };
        let message =
            format!("{what} Nothing is made again, let go or called deleted because of that. {advice}");
        Some(Trouble::new(Reason::AbsenceUnconfirmed, message))
    }
}

/// The same for all, and at each look.
fn told_to_objects() -> Trouble {
    let message = "The platform's lists do not show what objects have recorded there, so nothing is concluded from what they do not show: nothing is made, let go or called deleted. It ends by itself when all of it shows again; see the condition AbsencesHeld of the LivePlatform.";
    Trouble::new(Reason::AbsenceUnconfirmed, message)
}

/// Counts: believes what the hour has room for, holds the rest until all of it shows again or `approval` has a new value. `listed` is when the lists were
/// begun that were counted by.
///
/// While nothing is missing and nothing is held the ledger stays as it is, so that an hour that passes writes nothing (law L6).
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
        // Rounded up: an hour that is counted from too early would be over too early.
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
        // An annotation that was there before anything was held (set in Git, or restored) approves nothing.
        if another {
            ledger.handled = approval.map(str::to_owned);
        }
        return ledger;
    }
    let grown = count(unexplained) > ledger.held;
    if another && grown {
        // A person approves what is seen to be missing. Now it is more.
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
        // So many are confirmed by no list yet.
        ledger.since = Some(now.next_whole_second());
    }
    ledger.held = count(unexplained);
    ledger
}
