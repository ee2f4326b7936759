//! Which of several objects that want the same has it: a tenant, or a short name, at one place.
//!
//! One that has it, or may have asked for it, keeps it, whatever its spec or its namespace is now: what it has is paid for. Of the others only one that could
//! ask for it competes: it may use its platform, and nothing in its spec keeps it from asking. Else anybody who may write an object anywhere could stop
//! everybody. Of two that are alike in this the older one has it.

use crate::names::{ShortName, ShortNameRule};
use crate::record::{Operation, OperationKind, Outcome, Record};
use crate::time::{Duration, Time};
use crate::timing;

/// Whether the objects of a namespace may use a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// They may.
    May,
    /// They may not.
    MayNot,
    /// It can't be told now.
    Unknown,
}

/// What an object's spec and metadata say of whether it could ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContestSpec<'a> {
    /// It is being deleted.
    pub going: bool,
    /// `spec.suspend`
    pub suspended: bool,
    /// `spec.mode` lets it change something on the platform.
    pub applies: bool,
    /// Its tenant is known.
    pub has_tenant: bool,
    /// Its short name and the rule of its platform; `None` for a lead, which has no short name.
    pub short_name: Option<(&'a str, ShortNameRule)>,
}

impl ContestSpec<'_> {
    /// Whether nothing in it keeps the object from asking.
    pub fn could_ask(&self) -> bool {
        let named = self
            .short_name
            .is_none_or(|(name, rule)| ShortName::parse(name, rule).is_ok());
        !self.going && !self.suspended && self.applies && self.has_tenant && named
    }
}

/// How an object takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// It has what they compete for, or may have asked for it.
    Holder,
    /// Its create failed just now: whether that left a service shows in some seconds, and until then nobody else asks for one.
    Doubtful,
    /// It could ask for it.
    Applicant,
}

impl Rank {
    /// The rank of a service object; `None` when it does not take part. `grace` is how long the effect of a lost create is looked for.
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

    /// The same for a lead object: it holds the lead that it made or may have asked for, and the channel that it assigned.
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

/// Whether a service object has its service, or may have asked for it. What a create that failed just now may have left is its own as well.
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

/// Another object that wants the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other<T, A> {
    /// Which one.
    pub object: T,
    /// How it takes part.
    pub rank: Rank,
    /// Whether its namespace may use its platform. Of a holder it is not asked.
    pub access: Access,
    /// What orders objects by age: the oldest is the least.
    pub age: A,
}

impl<T, A> Other<T, A> {
    /// `access` is asked only of one that has nothing yet: what a holder has is protected, whether its namespace may use the platform or not.
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

/// How a competition ends for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contest<T> {
    /// Nobody comes before it.
    Won,
    /// This object comes before it, and keeps it.
    Lost(T),
    /// This object would come before it, if its namespace may use its platform, or if its failed create left a service. That can't be told yet, and nothing is
    /// asked for before it can.
    Open(T),
}

/// A service object that wants what another one wants.
#[derive(Clone, Debug)]
pub struct Contender<'a, T, A> {
    /// Which one.
    pub object: T,
    /// What it remembers.
    pub record: &'a Record,
    /// What its spec says.
    pub spec: ContestSpec<'a>,
    /// What orders objects by age.
    pub age: A,
}

/// How a service object stands to the others that want its tenant or its short name. `access` is asked as by [`Other::new`], and `grace` is how long the effect of a lost create is looked for.
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

/// Decides for one object, by its age; `holds` says whether it is a holder itself.
pub fn contest<T, A: Ord>(holds: bool, age: &A, others: impl IntoIterator<Item = Other<T, A>>) -> Contest<T> {
    let own = (if holds { Rank::Holder } else { Rank::Applicant }, age);
    let plays = |other: &Other<T, A>| other.rank != Rank::Applicant || other.access != Access::MayNot;
    let before = others
        .into_iter()
        .filter(|other| plays(other) && (other.rank, &other.age) < own);
    // Whoever loses to one that surely takes part has lost, whatever the others may do.
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
