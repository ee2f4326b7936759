//! Decides which of several objects that want the same tenant or short name, at one place, gets it.
//!
//! An object that has it, or may have requested it, keeps it, whatever its spec or its namespace is now: its
//! service is paid for. Among the others, only objects that could request it compete: the namespace may use
//! the platform, and nothing in the spec prevents the request. Otherwise anybody who may write an object
//! anywhere could block everybody else. Between equals, the older object wins.

use crate::names::{ShortName, ShortNameRule};
use crate::record::{Operation, OperationKind, Outcome, Record};
use crate::time::{Duration, Time};
use crate::timing;

/// Whether the objects of a namespace may use a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// The namespace may use it.
    May,
    /// The namespace may not use it.
    MayNot,
    /// This is unknown at the moment.
    Unknown,
}

/// The parts of an object's spec and metadata that say whether it could make a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContestSpec<'a> {
    /// The object is being deleted.
    pub going: bool,
    /// `spec.suspend`
    pub suspended: bool,
    /// `spec.mode` allows changes on the platform.
    pub applies: bool,
    /// The tenant of the object is known.
    pub has_tenant: bool,
    /// The short name, and the rule of the platform. `None` for a lead, which has no short name.
    pub short_name: Option<(&'a str, ShortNameRule)>,
}

impl ContestSpec<'_> {
    /// Whether nothing in the spec keeps the object from making a request.
    pub fn could_ask(&self) -> bool {
        let named = self
            .short_name
            .is_none_or(|(name, rule)| ShortName::check(name, rule).is_ok());
        !self.going && !self.suspended && self.applies && self.has_tenant && named
    }
}

/// The role of an object in the competition; the first outranks the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// The object has what they compete for, or may have requested it.
    Holder,
    /// Its create failed just now. Whether it left a service is known within seconds; until then no other
    /// object requests one.
    Doubtful,
    /// The object could request it.
    Applicant,
}

impl Rank {
    /// Returns the rank of a service object, or `None` when it does not compete. `grace` is how long the
    /// effect of a create is looked for after a lost answer.
    pub fn of_service(
        now: Time,
        record: &Record,
        spec: &ContestSpec<'_>,
        grace: impl FnOnce() -> Duration,
    ) -> Option<Self> {
        if record.outranks(now, grace) {
            return Some(Self::Holder);
        }
        if left_over(now, record) {
            Some(Self::Doubtful)
        } else {
            Self::of(false, spec)
        }
    }

    /// Returns the rank of a lead object. It holds the lead that it created or may have requested, and the
    /// channel that it assigned.
    pub fn of_lead(
        now: Time,
        record: &Record,
        spec: &ContestSpec<'_>,
        grace: impl FnOnce() -> Duration,
    ) -> Option<Self> {
        let made = record
            .operation
            .as_ref()
            .is_some_and(|op| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Succeeded));
        Self::of(
            made || record.assigned_channel.is_some() || record.outranks(now, grace),
            spec,
        )
    }

    fn of(holds: bool, spec: &ContestSpec<'_>) -> Option<Self> {
        match (holds, spec.could_ask()) {
            (true, _) => Some(Self::Holder),
            (false, true) => Some(Self::Applicant),
            (false, false) => None,
        }
    }
}

/// Whether a service object has its service, or may have requested it. What a recently failed create may have
/// left counts as well.
pub fn holds(now: Time, record: &Record, grace: impl FnOnce() -> Duration) -> bool {
    left_over(now, record) || record.outranks(now, grace)
}

fn left_over(now: Time, record: &Record) -> bool {
    let failed = |op: &&Operation| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Failed);
    record
        .operation
        .as_ref()
        .filter(failed)
        .and_then(|op| op.completed)
        .is_some_and(|at| now < at + timing::LEFT_OVER)
}

/// Another object that wants the same tenant or short name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other<T, A> {
    /// The other object.
    pub object: T,
    /// Its rank.
    pub rank: Rank,
    /// Whether its namespace may use its platform. Not checked for a holder.
    pub access: Access,
    /// The order of objects by age: the oldest is the least.
    pub age: A,
}

impl<T, A> Other<T, A> {
    /// Calls `access` only for an applicant. What a holder has is protected, whether its namespace may use
    /// the platform or not.
    pub fn new(object: T, rank: Rank, age: A, access: impl FnOnce(&T) -> Access) -> Self {
        let access = if rank == Rank::Applicant {
            access(&object)
        } else {
            Access::May
        };
        Self {
            object,
            rank,
            access,
            age,
        }
    }
}

/// The result of a competition for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contest<T> {
    /// No object outranks it.
    Won,
    /// This object outranks it, and keeps what they compete for.
    Lost(T),
    /// This object would outrank it, if its namespace may use its platform, or if its failed create left a
    /// service. That is unknown yet, and nothing is requested before it is known.
    Open(T),
}

/// A service object that wants what another one wants.
#[derive(Clone, Debug)]
pub struct Contender<'a, T, A> {
    /// The object.
    pub object: T,
    /// What it remembers.
    pub record: &'a Record,
    /// The parts of its spec that count here.
    pub spec: ContestSpec<'a>,
    /// The order of objects by age.
    pub age: A,
}

/// Compares a service object with the others that want its tenant or its short name. `access` is called as by
/// [`Other::new`]. `grace` is how long the effect of a create is looked for after a lost answer.
pub fn of_service<'a, T, A: Ord>(
    now: Time,
    own: (&Record, &A),
    others: impl Iterator<Item = Contender<'a, T, A>>,
    access: impl Fn(&T) -> Access,
    grace: impl Fn() -> Duration,
) -> Contest<T> {
    let others = others.filter_map(|other| {
        let rank = Rank::of_service(now, other.record, &other.spec, &grace)?;
        Some(Other::new(other.object, rank, other.age, &access))
    });
    contest(holds(now, own.0, &grace), own.1, others)
}

/// Decides for one object, by its age. `holds` says whether it is a holder itself.
pub fn contest<T, A: Ord>(holds: bool, age: &A, others: impl IntoIterator<Item = Other<T, A>>) -> Contest<T> {
    let own = (if holds { Rank::Holder } else { Rank::Applicant }, age);
    let plays = |other: &Other<T, A>| other.rank != Rank::Applicant || other.access != Access::MayNot;
    let before = others
        .into_iter()
        .filter(|other| plays(other) && (other.rank, &other.age) < own);
    // An object that loses to a certain competitor has lost, whatever becomes of the doubtful ones.
    let doubtful = |other: &Other<T, A>| {
        other.rank == Rank::Doubtful || other.rank == Rank::Applicant && other.access == Access::Unknown
    };
    match before
        .min_by(|one, two| (doubtful(one), one.rank, &one.age).cmp(&(doubtful(two), two.rank, &two.age)))
    {
        None => Contest::Won,
        Some(first) if doubtful(&first) => Contest::Open(first.object),
        Some(first) => Contest::Lost(first.object),
    }
}
