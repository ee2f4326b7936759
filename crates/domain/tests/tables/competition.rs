use oc_domain::competition::{Access, Contest, ContestSpec, Other, Rank, contest};
use oc_domain::names::ShortNameRule::{Alphanumeric, Portal};
use oc_domain::record::{Intent, Operation, OperationId, OperationKind, Outcome, Record, Sent};

use crate::common::{NOW, guid, secs, task_id};

use Access::{May, MayNot, Unknown};
use Rank::{Applicant, Doubtful, Holder};

const PLAIN: ContestSpec<'static> = ContestSpec { going: false, suspended: false, applies: true, has_tenant: true, short_name: Some(("Contoso", Portal)) };

fn intent(ago: u64) -> Record {
    let intent = Intent { kind: OperationKind::Create, id: OperationId("1".into()), start: NOW - secs(ago), tenant: None, place: None, sent: Sent::Maybe };
    Record { finalizer: true, intent: Some(intent), ..Record::default() }
}

fn created(outcome: Option<Outcome>) -> Record {
    let record = intent(100_000);
    let operation = record.intent.as_ref().map(|intent| Operation {
        task: Some(task_id(1)),
        outcome,
        completed: outcome.map(|_| NOW - secs(99_000)),
        ..Operation::of(intent)
    });
    Record { operation, ..record }
}

/// Like [`intent`], noted in status as well.
fn noted(ago: u64) -> Record {
    let mut record = intent(ago);
    record.note_open_intent();
    record
}

fn failed(ago: u64) -> Record {
    let mut record = created(Some(Outcome::Failed));
    if let Some(operation) = record.operation.as_mut() {
        operation.completed = Some(NOW - secs(ago));
    }
    record
}

fn has() -> Record {
    let mut record = Record::default();
    record.prove(guid(1));
    record
}

/// B2: which objects take part, by their spec and their record.
#[test]
fn an_object_takes_part_that_could_ask_or_has_something() {
    let table = [
        ("a plain one", PLAIN, Record::default(), Some(Applicant)),
        ("suspended", ContestSpec { suspended: true, ..PLAIN }, Record::default(), None),
        ("Observe or Plan", ContestSpec { applies: false, ..PLAIN }, Record::default(), None),
        ("being deleted, held by a finalizer of somebody else", ContestSpec { going: true, ..PLAIN }, Record::default(), None),
        ("its tenant is not known", ContestSpec { has_tenant: false, ..PLAIN }, Record::default(), None),
        ("a short name that is none", ContestSpec { short_name: Some(("a b", Portal)), ..PLAIN }, Record::default(), None),
        ("a short name that this platform does not take", ContestSpec { short_name: Some(("Con-toso", Alphanumeric)), ..PLAIN }, Record::default(), None),
        ("a lead has no short name", ContestSpec { short_name: None, ..PLAIN }, Record::default(), Some(Applicant)),
        ("it has a service", PLAIN, has(), Some(Holder)),
        ("it has a service, and is suspended", ContestSpec { suspended: true, ..PLAIN }, has(), Some(Holder)),
        ("it has a service, and only observes", ContestSpec { applies: false, ..PLAIN }, has(), Some(Holder)),
        ("it has a service, and is being deleted", ContestSpec { going: true, ..PLAIN }, has(), Some(Holder)),
        ("it may have asked, and is suspended", ContestSpec { suspended: true, ..PLAIN }, intent(100), Some(Holder)),
        ("nothing came of what it may have asked", PLAIN, intent(901), Some(Applicant)),
        ("nothing came of what it may have asked, and it is suspended", ContestSpec { suspended: true, ..PLAIN }, intent(901), None),
        ("an intent that holds nothing", ContestSpec { suspended: true, ..PLAIN }, Record { finalizer: false, ..intent(100) }, None),
        ("its task runs, long since", ContestSpec { suspended: true, ..PLAIN }, created(None), Some(Holder)),
        ("status tells of what it may have asked, lately", ContestSpec { suspended: true, ..PLAIN }, noted(100), Some(Holder)),
        ("status tells of what it may have asked, and nothing came of it", ContestSpec { suspended: true, ..PLAIN }, noted(901), None),
        ("its create failed just now, and may have left a service", ContestSpec { suspended: true, ..PLAIN }, failed(19), Some(Doubtful)),
        ("its create failed", ContestSpec { suspended: true, ..PLAIN }, failed(20), None),
    ];
    for (what, spec, record, expected) in table {
        assert_eq!(Rank::of_service(NOW, &record, &spec, || secs(900)), expected, "{what}");
    }
}

#[test]
fn a_lead_object_holds_what_it_made_and_the_channel_that_it_assigned() {
    let suspended = ContestSpec { suspended: true, short_name: None, ..PLAIN };
    let table = [
        ("nothing", Record::default(), None),
        ("it made the lead", created(Some(Outcome::Succeeded)), Some(Holder)),
        ("the lead was refused", created(Some(Outcome::Refused)), None),
        ("it assigned the channel", Record { assigned_channel: Some(5), ..Record::default() }, Some(Holder)),
        ("it may have asked", intent(100), Some(Holder)),
    ];
    for (what, record, expected) in table {
        assert_eq!(Rank::of_lead(NOW, &record, &suspended, || secs(900)), expected, "{what}");
    }
}

/// Which object wins. The object itself was created at 5; the others by their age, rank and access.
#[test]
fn the_first_of_those_that_take_part_has_it() {
    type Row = (&'static str, bool, &'static [(u8, Rank, Access)], Contest<u8>);
    let table: [Row; 17] = [
        ("alone", false, &[], Contest::Won),
        ("an older one", false, &[(1, Applicant, May)], Contest::Lost(1)),
        ("a younger one", false, &[(9, Applicant, May)], Contest::Won),
        ("an older one that may not use the platform", false, &[(1, Applicant, MayNot)], Contest::Won),
        ("an older one of which that is not known", false, &[(1, Applicant, Unknown)], Contest::Open(1)),
        ("a younger one of which that is not known", false, &[(9, Applicant, Unknown)], Contest::Won),
        ("a younger one that has it", false, &[(9, Holder, May)], Contest::Lost(9)),
        ("one that has it, and may not use the platform any more", false, &[(9, Holder, MayNot)], Contest::Lost(9)),
        ("one that has it, of which that is not known", false, &[(9, Holder, Unknown)], Contest::Lost(9)),
        ("a younger one whose create failed just now", false, &[(9, Doubtful, May)], Contest::Open(9)),
        ("…whose namespace may not use the platform any more", false, &[(9, Doubtful, MayNot)], Contest::Open(9)),
        ("who has it need not wait for what another one may have left", true, &[(1, Doubtful, May)], Contest::Won),
        ("who has it keeps it", true, &[(1, Applicant, May), (2, Applicant, Unknown)], Contest::Won),
        ("two have it: the older one", true, &[(1, Holder, May)], Contest::Lost(1)),
        ("two have it, and the other is younger", true, &[(9, Holder, May)], Contest::Won),
        ("lost to one for certain, whatever an older one may do", false, &[(1, Applicant, Unknown), (2, Applicant, May)], Contest::Lost(2)),
        (
            "of several that are before it the first",
            false,
            &[(3, Applicant, May), (2, Applicant, May), (1, Applicant, MayNot), (9, Holder, May)],
            Contest::Lost(9),
        ),
    ];
    for (what, holds, others, expected) in table {
        let others = others.iter().map(|&(age, rank, access)| Other { object: age, rank, access, age });
        assert_eq!(contest(holds, &5, others), expected, "{what}");
    }
}

/// Among any objects that compete, at most one wins, and one does unless an answer is missing: an object that could ask never waits forever for one that
/// cannot.
#[test]
fn one_has_it_and_not_two() {
    let kinds: Vec<(Rank, Access)> = [Holder, Applicant].into_iter().flat_map(|rank| [May, MayNot, Unknown].map(|access| (rank, access))).collect();
    for draw in 0..kinds.len().pow(4) {
        let all: Vec<(usize, Rank, Access)> = (0..4)
            .map(|age| {
                let (rank, access) = kinds[draw / kinds.len().pow(age) % kinds.len()];
                (age as usize, rank, access)
            })
            .collect();
        let ends = |own: usize| {
            let others = all.iter().filter(|other| other.0 != own).map(|&(age, rank, access)| Other { object: age, rank, access, age });
            contest(all[own].1 == Holder, &own, others)
        };
        // Only objects that may use the platform ask.
        let asks = |age: &usize| all[*age].2 == May;
        let won: Vec<usize> = (0..4).filter(asks).filter(|own| ends(*own) == Contest::Won).collect();
        assert!(won.len() <= 1, "{all:?}: {won:?}");
        let held = all.iter().any(|one| one.1 == Holder);
        let unknown = all.iter().any(|one| one.2 == Unknown);
        if won.is_empty() && (0..4).any(|age| asks(&age)) {
            assert!(held || unknown, "{all:?}: nobody has it, and nothing is in the way");
        }
    }
}
