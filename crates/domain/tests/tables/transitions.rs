//! The order of the steps of one change, and the driver that refuses every other order.

use std::cell::Cell;

use oc_domain::conditions::{Reason, Trouble, Verdict};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query, Step, Wake};
use oc_domain::facts::{DeletionPolicy, Fact, Facts};
use oc_domain::lead;
use oc_domain::memory::PassMemory;
use oc_domain::model::{Service, TaskState};
use oc_domain::pass::Pass;
use oc_domain::record::{Intent, Operation, OperationId, OperationKind, Outcome, Record, Sent};
use oc_domain::service::{self, Adoption, Deletion, DesiredService, Mode, ServiceTarget};
use oc_domain::timing;
use oc_domain::transitions::{ChangeStage, Transition, check, follows, needs, stage};

use crate::common::*;
use crate::short;

use OperationKind::{Create, Delete};

/// Every stage and every event.
#[test]
fn the_table() {
    use ChangeStage::{Asked, Idle, Recorded, Running};
    let (begin, send, adopt) = (Transition::Begin, Transition::Send, Transition::Adopt);
    let table = [
        (Idle, begin(Create), Some(Recorded)),
        (Idle, begin(Delete), Some(Recorded)),
        (Idle, send(Create), None),
        (Idle, send(Delete), None),
        (Idle, adopt, Some(Idle)),
        (Recorded, begin(Create), Some(Recorded)),
        (Recorded, begin(Delete), Some(Recorded)),
        (Recorded, send(Create), Some(Asked)),
        (Recorded, send(Delete), Some(Asked)),
        (Recorded, adopt, None),
        (Asked, begin(Create), None),
        (Asked, begin(Delete), Some(Recorded)),
        (Asked, send(Create), None),
        (Asked, send(Delete), None),
        (Asked, adopt, None),
        (Running, begin(Create), None),
        (Running, begin(Delete), None),
        (Running, send(Create), None),
        (Running, send(Delete), None),
        (Running, adopt, None),
    ];
    let mut seen = std::collections::HashSet::new();
    for (at, event, expected) in table {
        assert!(seen.insert((at, event)));
        assert_eq!(follows(at, event), expected, "{event:?} at {at:?}");
    }
    assert_eq!(seen.len(), 4 * 5, "all of them");
}

/// An intent that was recorded just now and certainly not sent.
fn recorded(kind: OperationKind, ago: u64) -> Record {
    Record { finalizer: true, intent: Some(intent(kind, NOW - secs(ago), Sent::No)), ..Record::default() }
}

/// Answered, without a task.
fn asked(kind: OperationKind) -> Record {
    let intent = intent(kind, NOW - secs(60), Sent::Maybe);
    Record { finalizer: true, operation: Some(Operation::of(&intent)), intent: Some(intent), ..Record::default() }
}

#[test]
fn the_stage_of_a_record() {
    let lost = Record { intent: None, ..asked(Create) };
    let unsent_beside_an_old_one =
        Record { intent: Some(Intent { id: OperationId("op-2".into()), ..intent(Create, NOW, Sent::No) }), ..ended(Outcome::Failed, NOW - secs(60)) };
    let table = [
        ("nothing", Record::default(), ChangeStage::Idle),
        ("only a finalizer", Record { finalizer: true, ..Record::default() }, ChangeStage::Idle),
        ("verified", verified(), ChangeStage::Idle),
        ("failed", ended(Outcome::Failed, NOW), ChangeStage::Idle),
        ("refused", ended(Outcome::Refused, NOW), ChangeStage::Idle),
        ("given up", ended(Outcome::Unknown, NOW), ChangeStage::Idle),
        ("an intent, surely not sent", recorded(Create, 0), ChangeStage::Recorded),
        ("a new intent after one that ended", unsent_beside_an_old_one, ChangeStage::Recorded),
        ("an intent that was read from the object", creating(NOW - secs(60)), ChangeStage::Asked),
        ("asked, no task", asked(Delete), ChangeStage::Asked),
        ("asked, and the annotation is lost", lost, ChangeStage::Asked),
        ("a task", converting(NOW - secs(60)), ChangeStage::Running),
        ("a task, and the annotation is lost", Record { intent: None, ..converting(NOW - secs(60)) }, ChangeStage::Running),
    ];
    for (what, record, expected) in table {
        assert_eq!(stage(&record), expected, "{what}");
    }
}

#[test]
fn which_changes_need_an_intent() {
    let table = [
        (create(), Some(Create)),
        (create_lead(), Some(Create)),
        (Change::DeleteService(guid(1)), Some(Delete)),
        (Change::DeleteLead(tenant()), Some(Delete)),
        (Change::AssignChannel(tenant(), 5), None),
        (Change::UnassignChannel(tenant()), None),
    ];
    for (change, expected) in table {
        assert_eq!(needs(&change), expected, "{change:?}");
    }
}

/// The verdict of `check` on a step at a record: fine, or a sentence with these words.
#[test]
fn steps_at_records() {
    let ask = |change| Step::Execute(change);
    let begin = |kind| Step::PatchMetadata(Mark::RecordIntent { kind, start: NOW.whole_second(), tenant: None, place: None });
    let adopt = || Step::PatchMetadata(Mark::Adopt(guid(1)));
    let (fine, unready) = ("", "without an intent that is recorded, fresh and unsent");
    let table = [
        ("a create, recorded", ask(create()), recorded(Create, 0), fine),
        ("a create, nothing recorded", ask(create()), Record::default(), unready),
        ("a create, the intent 29 s old", ask(create()), recorded(Create, 29), fine),
        ("a create, the intent 31 s old", ask(create()), recorded(Create, 31), unready),
        ("a create under the intent of a deletion", ask(create()), recorded(Delete, 0), unready),
        ("a deletion under the intent of a create", ask(Change::DeleteService(guid(1))), recorded(Create, 0), unready),
        ("a create that may have been sent", ask(create()), creating(NOW), unready),
        ("without the finalizer", ask(create_lead()), Record { finalizer: false, ..recorded(Create, 0) }, unready),
        ("a deletion, recorded", ask(Change::DeleteLead(tenant())), recorded(Delete, 0), fine),
        ("a channel needs none", ask(Change::AssignChannel(tenant(), 5)), Record::default(), fine),
        ("a new intent", begin(Create), Record::default(), fine),
        ("a new intent while one may be under way", begin(Create), creating(NOW - secs(60)), "Begin(Create) while the change is Asked"),
        ("a new intent while a task runs", begin(Create), converting(NOW - secs(60)), "Begin(Create) while the change is Running"),
        ("a deletion asked for again", begin(Delete), asked(Delete), fine),
        ("a deletion while a task runs", begin(Delete), converting(NOW - secs(60)), "Begin(Delete) while the change is Running"),
        ("taken over", adopt(), ended(Outcome::Unknown, NOW), fine),
        ("taken over while a create may be under way", adopt(), creating(NOW - secs(60)), "Adopt while the change is Asked"),
        ("let go, whatever there is", Step::PatchMetadata(Mark::RemoveFinalizer), converting(NOW), fine),
        ("held, whatever there is", Step::PatchMetadata(Mark::AddFinalizer), converting(NOW), fine),
        ("a look, whatever there is", Step::Observe(Query::Services, NOW), converting(NOW), fine),
    ];
    for (what, step, record, expected) in table {
        let told = check(&step, &record, NOW);
        match (&told, expected) {
            (Ok(()), "") => {}
            (Err(sentence), words) if !words.is_empty() && sentence.contains(words) => {}
            _ => panic!("{what}: {told:?}"),
        }
    }
}

fn deciding(step: Step, record: &Record) -> Decision {
    Decision { step, why: "made up", verdict: Verdict::ready("."), record: record.clone(), plan: Vec::new(), hold: false }
}

/// A refused step becomes a wait, and the reason is reported.
fn refused(pass: &Pass, decision: &Decision, words: &str) {
    assert_eq!(decision.step, Step::Wait(NOW + timing::SETTLING, Wake::Clock));
    assert!(pass.bug.as_ref().is_some_and(|bug| bug.contains(words)), "{:?}", pass.bug);
}

#[test]
fn a_request_without_an_intent_is_refused() {
    for record in [Record::default(), creating(NOW - secs(5)), recorded(Create, 40), recorded(Delete, 0)] {
        let mut pass = Pass::begin(record, facts(), &PassMemory::default());
        let decision = pass.next(NOW, |_, record, _| deciding(Step::Execute(create()), record));
        refused(&pass, &decision, "without an intent");
    }
    let mut pass = Pass::begin(recorded(Create, 0), facts(), &PassMemory::default());
    let decision = pass.next(NOW, |_, record, _| deciding(Step::Execute(create()), record));
    assert_eq!((short(&decision.step), pass.bug), ("ask create", None));
}

#[test]
fn a_second_change_in_one_pass_is_refused() {
    let assign = |_, record: &Record, _: &Facts| deciding(Step::Execute(Change::AssignChannel(tenant(), 5)), record);
    let mut pass = Pass::begin(Record::default(), facts(), &PassMemory::default());
    let decision = pass.next(NOW, assign);
    assert_eq!(short(&decision.step), "ask assign");
    pass.answered(Change::AssignChannel(tenant(), 5), decision, ChangeResult::Done);
    let decision = pass.next(NOW, assign);
    refused(&pass, &decision, "second change");
}

#[test]
fn a_pass_in_circles_is_ended() {
    let mut pass = Pass::begin(Record::default(), facts(), &PassMemory::default());
    let looking = |_, record: &Record, _: &Facts| deciding(Step::Observe(Query::Services, NOW), record);
    for step in 1..=24 {
        let decision = pass.next(NOW, looking);
        assert_eq!((short(&decision.step), &pass.bug), ("look services", &None), "step {step}");
        pass.looked(decision);
    }
    let decision = pass.next(NOW, looking);
    refused(&pass, &decision, "loops");
    assert_eq!(pass.looks, 24);
}

/// What a pass knows after each mark: as if the object had been read again.
#[test]
fn what_a_mark_leaves_in_the_pass() {
    let after = |record: Record, mark: Mark| {
        let mut pass = Pass::begin(record.clone(), facts(), &PassMemory::default());
        let drawn = matches!(mark, Mark::RecordIntent { .. }).then(|| Intent { id: OperationId("op-9".into()), ..intent(Delete, NOW, Sent::Maybe) });
        pass.kept(&mark, deciding(Step::PatchMetadata(mark.clone()), &record), drawn);
        pass.record
    };
    let begun = after(Record { guid: Some(guid(1)), ..Record::default() }, Mark::RecordIntent { kind: Delete, start: NOW, tenant: None, place: None });
    assert!(begun.finalizer && begun.guid_annotated && begun.may_send(Delete, NOW), "{begun:?}");
    let adopted = after(ended(Outcome::Unknown, NOW), Mark::Adopt(guid(2)));
    assert_eq!((adopted.finalizer, adopted.guid, adopted.guid_annotated, adopted.intent), (true, Some(guid(2)), true, None));
    assert!(after(Record::default(), Mark::AddFinalizer).finalizer);
}

/// Only the intent that memory names counts as unsent.
#[test]
fn what_memory_knows_of_an_intent() {
    let of = |unsent: Option<&str>| {
        let memory = PassMemory { unsent: unsent.map(|id| OperationId(id.into())).into_iter().collect(), ..PassMemory::default() };
        Pass::begin(creating(NOW), facts(), &memory).record.intent.map(|intent| intent.sent)
    };
    assert_eq!([of(Some("op-1")), of(Some("op-0")), of(None)], [Some(Sent::No), Some(Sent::Maybe), Some(Sent::Maybe)]);
}

/// All records of an object, as far as the order of steps is concerned.
fn records() -> Vec<Record> {
    let mut all = Vec::new();
    for kind in [Create, Delete] {
        for age in [5, 60, 400, 1000, 8000] {
            for sent in [Sent::No, Sent::Maybe] {
                let own = Some(intent(kind, NOW - secs(age), sent));
                all.push(Record { intent: own, ..Record::default() });
            }
            all.push(asked(kind));
            all.push(converting(NOW - secs(age)));
            // Status was written before the annotation was removed, or never after it.
            all.push(Record { intent: None, ..converting(NOW - secs(age)) });
            all.push(Record { intent: None, ..asked(kind) });
            all.push(Record { intent: Some(Intent { id: OperationId("op-2".into()), ..intent(kind, NOW - secs(age), Sent::Maybe) }), ..converting(NOW) });
        }
    }
    for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Refused, Outcome::Unknown] {
        all.extend([ended(outcome, NOW - secs(60)), Record { intent: None, ..ended(outcome, NOW - secs(8000)) }]);
    }
    all.push(Record::default());
    let mut both = Vec::new();
    for record in all {
        for guid in [None, Some(guid(1))] {
            for finalizer in [true, false] {
                both.push(Record { finalizer, guid_annotated: guid.is_some(), guid, ..record.clone() });
            }
        }
    }
    both
}

/// All facts, as far as the order of steps is concerned.
fn worlds() -> Vec<Facts> {
    let elses = Service { short_name: "Else".into(), ..service(1) };
    let views = [view(&[]), view(&[service(1)]), view_by_guid(&service(1)), view(&[elses]), view(&[service(1), service(2)])];
    let tasks = [None, Some(TaskState::Running), Some(TaskState::Succeeded), Some(TaskState::Failed)].map(|state| known(state.map(|state| task(1, state))));
    let answers = [
        None,
        Some(ChangeResult::Done),
        Some(ChangeResult::Unknown(away())),
        Some(ChangeResult::NotSent(away())),
        Some(ChangeResult::Accepted(task_id(1))),
        Some(ChangeResult::NotFound),
    ];
    let mut all = Vec::new();
    for view in &views {
        for task in tasks.iter().cloned().chain([Fact::Unread]) {
            for answer in &answers {
                let lead = oc_domain::model::Lead { consentless: true, ..lead() };
                all.push(Facts { services: known(view.clone()), leads: known_leads(vec![lead]), task: task.clone(), answer: answer.clone(), ..facts() });
            }
        }
    }
    all
}

/// Whether an object can reach this state: only an object that is being deleted has the intent of a deletion, and only what could be sent has an answer.
fn possible(record: &Record, facts: &Facts, deleted: bool, create_gives_a_task: bool) -> bool {
    let kinds = [record.intent.as_ref().map(|intent| intent.kind), record.running().map(|operation| operation.kind)];
    let answered = match &facts.answer {
        None => true,
        Some(ChangeResult::Accepted(_)) => create_gives_a_task && record.may_send(Create, NOW),
        Some(ChangeResult::Done | ChangeResult::NotFound) => record.may_send(Delete, NOW) || (!create_gives_a_task && record.may_send(Create, NOW)),
        Some(_) => record.may_send(Create, NOW) || record.may_send(Delete, NOW),
    };
    answered && (deleted || !kinds.contains(&Some(Delete)))
}

/// No decision about a service ever chooses a step that the table refuses.
#[test]
fn no_decision_about_a_service_is_out_of_order() {
    let gone = |policy| {
        let deletion = Deletion {
            policy,
            tenant: Some(tenant()),
            short_name: Some("Contoso_NL".into()),
            suspended: false,
            guard_numbers: false,
            owned_by_others: Vec::new(),
        };
        ServiceTarget::Absent(deletion)
    };
    let targets = [
        be(desired()),
        be(DesiredService { recreate: true, ..desired() }),
        be(DesiredService { adoption: Adoption::Always, ..desired() }),
        be(DesiredService { adoption: Adoption::Never, ..desired() }),
        gone(DeletionPolicy::Delete),
        gone(DeletionPolicy::Retain),
    ];
    let (worlds, mut broken) = (worlds(), std::collections::BTreeMap::new());
    for target in &targets {
        for record in records() {
            for facts in worlds.iter().filter(|facts| possible(&record, facts, matches!(target, ServiceTarget::Absent(_)), true)) {
                let decision = service::decide(NOW, target, &record, facts);
                if let Err(sentence) = check(&decision.step, &decision.record, NOW) {
                    broken.entry(format!("{sentence} ({})", decision.why)).or_insert((target.clone(), record.clone(), facts.clone()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_decision_about_a_lead_is_out_of_order() {
    let be = |consentless, channel| {
        lead::LeadTarget::Present(lead::DesiredLead {
            tenant: tenant(),
            consentless: company(consentless),
            channel,
            deletion_policy: DeletionPolicy::Delete,
            rival: None,
            served: false,
        })
    };
    let targets = [
        be(true, None),
        be(true, Some(5)),
        be(false, None),
        lead::LeadTarget::Absent { policy: DeletionPolicy::Delete, tenant: Some(tenant()), suspended: false },
        lead::LeadTarget::Invalid(Trouble::new(Reason::InvalidSpec, "No.")),
    ];
    let (worlds, mut broken) = (worlds(), std::collections::BTreeMap::new());
    for target in &targets {
        // A lead has no task.
        for record in records().into_iter().filter(|record| record.running().is_none_or(|operation| operation.task.is_none())) {
            for facts in worlds.iter().filter(|facts| possible(&record, facts, matches!(target, lead::LeadTarget::Absent { .. }), false)) {
                for leads in [facts.leads.clone(), known_leads(vec![])] {
                    let facts = Facts { leads, ..facts.clone() };
                    let decision = lead::decide(NOW, target, &record, &facts);
                    if let Err(sentence) = check(&decision.step, &decision.record, NOW) {
                        broken.entry(format!("{sentence} ({})", decision.why)).or_insert((target.clone(), record.clone(), facts));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A pass over a real decision keeps the order to its end: look, look, intent, request, and nothing after it.
#[test]
fn a_whole_pass() {
    let (target, steps) = (be(desired()), Cell::new(0));
    let mut pass = Pass::begin(Record::default(), facts(), &PassMemory::default());
    let mut taken = Vec::new();
    loop {
        let decision = pass.next(NOW, |now, record, facts| service::decide(now, &target, record, facts));
        steps.set(steps.get() + 1);
        taken.push(short(&decision.step));
        match decision.step.clone() {
            Step::Observe(Query::Services, _) => {
                pass.facts.services = known(view(&[]));
                pass.looked(decision);
            }
            Step::Observe(..) => {
                pass.facts.leads = known_leads(vec![lead()]);
                pass.looked(decision);
            }
            Step::PatchMetadata(mark) => pass.kept(&mark, decision, Some(intent(Create, NOW, Sent::No))),
            Step::Execute(change) => pass.answered(change, decision, ChangeResult::Accepted(task_id(1))),
            Step::Wait(..) | Step::Idle(_) | Step::Blocked(_) => break,
        }
    }
    assert_eq!(taken, ["look services", "look leads", "keep intent", "ask create", "wait"]);
    assert_eq!((pass.bug, pass.looks, pass.asked), (None, 2, Some((create(), ChangeResult::Accepted(task_id(1))))));
}

/// Annotation and status are two writes. Whatever happens between them, no second create is started and no deletion gets stuck.
#[test]
fn annotation_and_status_come_apart() {
    let gone = ServiceTarget::Absent(Deletion {
        policy: DeletionPolicy::Delete,
        tenant: Some(tenant()),
        short_name: Some("Contoso_NL".into()),
        suspended: false,
        guard_numbers: false,
        owned_by_others: Vec::new(),
    });
    let shown = || Facts { services: known(view_by_guid(&service(1))), leads: known_leads(vec![lead_with(1)]), ..facts() };
    let deletion = |ago| Intent { id: OperationId("op-2".into()), ..intent(Delete, NOW - secs(ago), Sent::Maybe) };
    let overtaken = |ago| Record { intent: Some(deletion(ago)), guid: Some(guid(1)), guid_annotated: true, ..converting(NOW - secs(4000)) };
    let wiped = |ago| Record { intent: None, ..converting(NOW - secs(ago)) };
    let wiped_no_task = |ago: u64| {
        let intent = intent(Create, NOW - secs(ago), Sent::Maybe);
        Record { finalizer: true, operation: Some(Operation::of(&intent)), ..Record::default() }
    };
    let taken_over = || Record { guid: Some(guid(1)), guid_annotated: true, ..wiped(4000) };
    let running = || Facts { task: known(Some(task(1, TaskState::Running))), ..empty_platform() };
    let restored = |ago| Record {
        intent: Some(Intent { id: OperationId("op-0".into()), ..intent(Create, NOW - secs(ago), Sent::Maybe) }),
        ..converting(NOW - secs(4000))
    };
    let again = DesiredService { recreate: true, ..desired() };
    let ServiceTarget::Absent(named) = gone.clone() else { unreachable!() };
    let renamed = ServiceTarget::Absent(Deletion { short_name: Some("Another".into()), ..named });
    let table = [
        ("a crash after the intent of a deletion, before status", gone.clone(), overtaken(60), shown(), "keep intent"),
        // First, what was removed is recorded again.
        ("annotations wiped, the task runs", be(desired()), wiped(60), running(), "keep hold"),
        ("annotations wiped, the answer was lost", be(desired()), wiped_no_task(60), empty_platform(), "keep hold"),
        ("the same, after the grace", be(desired()), wiped_no_task(901), empty_platform(), "keep hold"),
        ("the same, only looked at", be(DesiredService { mode: Mode::Plan, ..desired() }), wiped_no_task(60), empty_platform(), "wait"),
        ("annotations wiped, being deleted while the task runs", gone.clone(), wiped(60), running(), "wait"),
        ("a crash after it was taken over, before status; then deleted", gone.clone(), taken_over(), shown(), "look task"),
        ("the same, and the platform does not know the task", gone.clone(), taken_over(), Facts { task: known(None), ..shown() }, "keep intent"),
        ("the same, under another name", renamed, taken_over(), Facts { task: known(None), ..shown() }, "keep intent"),
        ("a manifest brought a guid back while the task of a new create runs", be(again), taken_over(), running(), "keep hold"),
        ("somebody wrote the intent of a deletion while the task runs", be(desired()), overtaken(60), running(), "keep hold"),
        ("a backup brought an older intent back while the task runs", be(desired()), restored(9000), running(), "keep hold"),
        ("the same, being deleted", gone, restored(9000), running(), "wait"),
    ];
    for (what, target, record, facts, expected) in table {
        let mut pass = Pass::begin(record, facts, &PassMemory::default());
        let decision = pass.next(NOW, |now, record, facts| service::decide(now, &target, record, facts));
        assert_eq!((short(&decision.step), pass.bug), (expected, None), "{what}");
    }
}

/// What an object that outranks others has: something the operator itself has recorded, or an intent that can be true.
#[test]
fn who_comes_first() {
    let open = |start| Record { finalizer: true, ..creating(start) };
    let ended = |outcome| ended(outcome, NOW - secs(60));
    let table = [
        ("nothing", Record::default(), false),
        ("its service", verified(), true),
        ("a guid in the annotation", Record { finalizer: true, guid: Some(guid(1)), guid_annotated: true, ..Record::default() }, false),
        ("a task", converting(NOW - secs(60)), true),
        ("a task of long ago", converting(NOW - secs(90_000)), true),
        ("an intent", open(NOW - secs(60)), true),
        ("an intent without our finalizer", Record { finalizer: false, ..open(NOW - secs(60)) }, false),
        ("an intent whose grace is over", open(NOW - secs(900)), false),
        ("an intent by a clock that is ahead", open(NOW + secs(300)), true),
        ("an intent of the future", open(NOW + secs(301)), false),
        ("the intent of a deletion", recorded(Delete, 60), false),
        ("a create that was refused", ended(Outcome::Refused), false),
        ("a create that failed", ended(Outcome::Failed), false),
    ];
    for (what, record, expected) in table {
        assert_eq!(record.outranks(NOW, || secs(900)), expected, "{what}");
    }
}
