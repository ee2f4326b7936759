//! The breaker for deletions: more than `spec.deletions.perHour` of them within an hour wait for a person.
//!
//! It exists for mistakes, not for rate limiting: a pruned folder, a wrong `kubectl delete`. So once it
//! holds, nothing trickles through with the hours, until a person approves. One object, the `LivePlatform`,
//! counts for all kinds. It grants in its status before anything is requested, so that neither a crash nor a
//! second operator starts counting from zero (law L2). Several objects that point to one place count each
//! other's grants as well.

use std::collections::{BTreeMap, BTreeSet};

use crate::conditions::{Reason, Trouble};
use crate::time::{Duration, Time};

/// The time over which deletions are counted.
const WINDOW: Duration = Duration::from_secs(3600);

/// How many grants older than an hour to keep for objects that still wait. Together with those of one hour,
/// at most 1,000 by `spec.deletions.perHour`, they fill what the schema of status allows.
const KEPT: usize = 1000;

/// An object being deleted that wants something deleted on the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asking {
    /// The deletion timestamp of the object, to the second.
    pub deleted: Time,
    /// The uid of the object.
    pub uid: String,
}

/// What the platform object remembers about deletions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeletionLedger {
    /// The objects that may delete, by uid, and since when: those of the last hour and, within bounds, those
    /// that still wait.
    pub granted: BTreeMap<String, Time>,
    /// A person approved every object deleted in the cluster up to this time.
    pub approved: Option<Time>,
    /// The approval that was last acted upon, as written in the annotation.
    pub handled: Option<String>,
    /// How many objects are held; 0 while the breaker lets deletions through.
    pub held: u32,
}

/// How many deletions a place allows within an hour, and how many of them other `LivePlatform` objects for
/// the same place have used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limit {
    /// The lowest `spec.deletions.perHour` of all objects of the place: the person who set it wants the place
    /// protected from more.
    pub per_hour: u32,
    /// When the other objects granted their deletions.
    pub elsewhere: Vec<Time>,
    /// Whether one of the other objects holds deletions, and waits for a person.
    pub held_elsewhere: bool,
}

impl From<u32> for Limit {
    /// The limit of a place with a single `LivePlatform`.
    fn from(per_hour: u32) -> Self {
        Self {
            per_hour,
            ..Self::default()
        }
    }
}

impl DeletionLedger {
    /// Why an object may not request its deletion yet. `None` when it may.
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
            "More than {per_hour} deletions were requested on this platform within an hour (spec.deletions.perHour), so this one is held. If they are intended, set the annotation operatorconnect.dev/approve-deletions on the LivePlatform to a new value. If this one is not, set spec.deletionPolicy to Retain."
        );
        Some(Trouble::new(Reason::DeletionRateExceeded, message))
    }

    fn admits(&self, asking: &Asking) -> bool {
        self.granted.contains_key(&asking.uid)
            || self.approved.is_some_and(|approved| asking.deleted <= approved)
    }

    /// The trouble that the platform object reports while deletions are held.
    pub fn trouble(&self, per_hour: u32) -> Option<Trouble> {
        let wait = if self.held == 1 {
            "deletion is held"
        } else {
            "deletions are held"
        };
        let message = || {
            format!(
                "{} {wait}: more than {per_hour} were requested within an hour (spec.deletions.perHour). If they are intended, set the annotation operatorconnect.dev/approve-deletions to a new value.",
                self.held
            )
        };
        (self.held > 0).then(|| Trouble::new(Reason::DeletionRateExceeded, message()))
    }
}

/// Counts deletions: grants what the hour allows, in the order of deletion, and holds the rest until
/// `approval` has a new value.
///
/// While no object asks and nothing is held, the ledger stays unchanged, so the passing of an hour writes
/// nothing (law L6).
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
    // A person approves what was seen to wait. An annotation that predates the hold (set in Git, or restored
    // without the status that says it was acted upon) approves nothing.
    let approved_anew = another && ledger.held > 0;
    if another {
        ledger.handled = approval.map(str::to_owned);
    }
    if approved_anew {
        // The person saw what waits now, and nothing later. Compare by the API server's clock, which stamps
        // deletions. If our clock is ahead, deletions up to the time it shows would pass unseen.
        let held = asking.iter().filter(|one| !ledger.admits(one));
        ledger.approved = held.map(|one| one.deleted).max().or(ledger.approved);
    }
    // Objects that were admitted and still wait, perhaps for hours, cause no writes either.
    if asking.iter().all(|one| ledger.admits(one)) {
        ledger.held = 0;
        return ledger;
    }
    forget_grants(now, &mut ledger.granted, asking);
    // Once the breaker holds, only a person makes room again.
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
            // Rounded up, so that the hour does not end too early.
            ledger.granted.insert(one.uid.clone(), now.next_whole_second());
        } else {
            held += 1;
        }
    }
    ledger.held = held;
    ledger
}

/// Drops grants older than an hour: those of objects that are gone, and the oldest of those that still wait
/// (for telephone numbers to be released, say) beyond the number that is kept. The dropped ones are counted
/// again.
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
