//! The breaker: more deletions within an hour than `spec.deletions.perHour` wait for a person.
//!
//! It is meant for the mistake, not for the rate: a pruned folder, a wrong `kubectl delete`. So once it holds, nothing trickles through with the
//! hours; a person looks and says so. One object, the `LivePlatform`, counts for all kinds. It grants in its status before anything is asked, so that
//! neither a crash nor a second operator begins to count anew (law L2). Several that point to one place count what the others have granted as well.

use std::collections::{BTreeMap, BTreeSet};

use crate::conditions::{Reason, Trouble};
use crate::time::{Duration, Time};

/// Over which time deletions are counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// How many grants are kept that are older than an hour, of objects that still wait. With those of an hour, which `spec.deletions.perHour` bounds to 1,000,
/// they are as many as the schema of status takes.
const KEPT: usize = 1000;

/// An object that is being deleted and wants something deleted on the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asking {
    /// Its deletion time stamp, to the second.
    pub deleted: Time,
    /// Its uid.
    pub uid: String,
}

/// What the platform object remembers of deletions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeletionLedger {
    /// Who may delete, and since when: those of the last hour, and those who still wait to, within bounds.
    pub granted: BTreeMap<String, Time>,
    /// Whatever was deleted in the cluster until then was approved by a person.
    pub approved: Option<Time>,
    /// The approval that was acted upon, as it stood in the annotation.
    pub handled: Option<String>,
    /// How many objects are held; 0 while the breaker lets deletions through.
    pub held: u32,
}

/// How much a place lets through in an hour, and what of that has gone to other `LivePlatform` objects that point to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limit {
    /// The least `spec.deletions.perHour` of all objects of the place: whoever set it meant what is there to be safe from more.
    pub per_hour: u32,
    /// When the others granted what they have granted.
    pub elsewhere: Vec<Time>,
    /// Whether one of the others holds deletions, and waits for a person.
    pub held_elsewhere: bool,
}

impl From<u32> for Limit {
    /// The limit of a place to which one object points.
    fn from(per_hour: u32) -> Self {
        Self {
            per_hour,
            ..Self::default()
        }
    }
}

impl DeletionLedger {
    /// Why an object may not ask for its deletion yet; `None` when it may.
    pub fn holds(&self, asking: &Asking, per_hour: u32) -> Option<Trouble> {
        if self.admits(asking) {
            return None;
        }
        if self.held == 0 {
            return Some(Trouble::new(
                Reason::Deleting,
                "Waiting for the LivePlatform to count this deletion (spec.deletions.perHour).",
            ));
        }
        let message = format!(
            "More than {per_hour} deletions within an hour wait on this platform (spec.deletions.perHour). If they are meant, set the annotation operatorconnect.dev/approve-deletions on the LivePlatform to a new value; if this one is not, set spec.deletionPolicy to Retain."
        );
        Some(Trouble::new(Reason::DeletionRateExceeded, message))
    }

    fn admits(&self, asking: &Asking) -> bool {
        self.granted.contains_key(&asking.uid)
            || self.approved.is_some_and(|approved| asking.deleted <= approved)
    }

    /// What the platform object says while deletions are held.
    pub fn trouble(&self, per_hour: u32) -> Option<Trouble> {
        let wait = if self.held == 1 {
            "deletion waits"
        } else {
            "deletions wait"
        };
        let message = || {
            format!(
                "{} {wait}, since more than {per_hour} were asked for within an hour (spec.deletions.perHour). If they are meant, set the annotation operatorconnect.dev/approve-deletions to a new value.",
                self.held
            )
        };
        (self.held > 0).then(|| Trouble::new(Reason::DeletionRateExceeded, message()))
    }
}

/// Counts: grants what the hour has room for, in the order of deletion, and holds the rest until `approval` has a new value.
///
/// While nobody asks and nothing is held the ledger stays as it is, so that an hour that passes writes nothing (law L6).
pub fn settle(
    now: Time,
    limit: impl Into<Limit>,
    approval: Option<&str>,
    ledger: &DeletionLedger,
    asking: &[Asking],
) -> DeletionLedger {
    let limit = limit.into();
    let mut ledger = ledger.clone();
    let another = approval.is_some() && approval != ledger.handled.as_deref();
    // A person approves what is seen to wait. An annotation that was there before anything did (set in Git, or restored without the status that says it was
    // acted upon) approves nothing.
    let approved_anew = another && ledger.held > 0;
    if another {
        ledger.handled = approval.map(str::to_owned);
    }
    if approved_anew {
        // Whoever waits now was seen by the person, and nobody else: by the API server's clock, which stamps deletions. Ours may go ahead, and what is deleted
        // until the hour that it shows would pass unseen.
        let held = asking.iter().filter(|one| !ledger.admits(one));
        ledger.approved = held.map(|one| one.deleted).max().or(ledger.approved);
    }
    // Those that wait to do what they may, for hours perhaps, write nothing either.
    if asking.iter().all(|one| ledger.admits(one)) {
        ledger.held = 0;
        return ledger;
    }
    forget_grants(now, &mut ledger.granted, asking);
    // Once it holds it holds, until a person has spoken: only then is there room again.
    let tripped = (ledger.held > 0 || limit.held_elsewhere) && !approved_anew;
    let recent = ledger
        .granted
        .values()
        .chain(&limit.elsewhere)
        .filter(|at| now < **at + WINDOW)
        .count();
    let mut room = if tripped {
        0
    } else {
        (limit.per_hour as usize).saturating_sub(recent)
    };
    let mut waiting: Vec<&Asking> = asking.iter().filter(|one| !ledger.admits(one)).collect();
    waiting.sort();
    let mut held = 0;
    for one in waiting {
        if room > 0 {
            room -= 1;
            // Rounded up: an hour that is counted from too early would be over too early.
            ledger.granted.insert(one.uid.clone(), now.next_whole_second());
        } else {
            held += 1;
        }
    }
    ledger.held = held;
    ledger
}

/// Forgets the grants that are older than an hour: of objects that are gone, and of those that still wait (for telephone numbers to be released, say) the oldest
/// beyond what is kept. These are counted anew.
fn forget_grants(now: Time, granted: &mut BTreeMap<String, Time>, asking: &[Asking]) {
    let waiting: BTreeSet<&str> = asking.iter().map(|one| one.uid.as_str()).collect();
    granted.retain(|uid, at| now < *at + WINDOW || waiting.contains(uid.as_str()));
    let mut old: Vec<(Time, String)> = granted
        .iter()
        .filter(|(_, at)| now >= **at + WINDOW)
        .map(|(uid, at)| (*at, uid.clone()))
        .collect();
    old.sort_unstable();
    for (_, uid) in old.iter().rev().skip(KEPT) {
        granted.remove(uid);
    }
}
