//! A driver of the shape of the operator's own, whose every step can go wrong, and which holds each decision to the laws.

use oc_domain::conditions::{Reason, Truth};
use oc_domain::facts::TaskState;
use oc_domain::pass::Facts;
use oc_domain::policy::{Connection, JobRuns, Policy};
use oc_domain::record::{Intent, OperationKind, Outcome, Record, Sent};
use oc_domain::service::{Deletion, Wish};
use oc_domain::step::{Answer, Change, Decision, Fact, Mark, Query, Step};
use oc_domain::time::Time;

use crate::common::{self, away, kstatus::kstatus_violations, secs};
use crate::world::{AskFault, Fault, START, World};

/// The decision, or a wrong variant of it.
pub type Decide<'a> = &'a dyn Fn(Time, &Wish, &Record, &Facts) -> Decision;

/// How a pass ended.
#[derive(Debug, PartialEq)]
pub enum Ended {
    Until(Time),
    Crashed,
    Unwritten,
    Gone,
}

fn wish(world: &World) -> Wish {
    if world.object.deleting {
        return Wish::Gone(Deletion {
            policy: world.config.policy,
            tenant: Some(common::tenant()),
            short_name: Some("Contoso_NL".into()),
            suspended: false,
            guard_numbers: false,
        });
    }
    let config = &world.config;
    common::be(oc_domain::service::Desired { ip_group: config.ip_group, adoption: config.adoption, recreate: config.recreate, ..common::desired() })
}

fn facts(world: &World) -> Facts {
    let (object, runs) = (&world.object, JobRuns { requested: world.job_runs, covers: world.job_runs });
    let ready = object.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.truth == Truth::True);
    let seen = object.status.observed == Some(object.generation);
    Facts {
        pass_started: world.now,
        object_created: START.whole_second(),
        generation: object.generation,
        asked_anew: !seen,
        settled: ready && seen,
        connection: Connection::Usable(Policy { leads_job: runs, trunks_job: runs, slowest_create: Some(secs(400)), ..Policy::default() }),
        failures: world.failures,
        ..common::facts()
    }
}

/// Runs one pass, and sleeps until the next appointment.
pub fn reconcile(world: &mut World, decide: Decide<'_>) {
    let next = visit(world, decide);
    world.advance(next);
}

/// Runs one pass, and makes the next appointment.
fn visit(world: &mut World, decide: Decide<'_>) -> Time {
    if !world.down() && world.inventory.services.as_ref().is_none_or(|(at, _)| world.now >= *at + secs(crate::world::OBSERVE)) {
        world.list_services();
        world.list_leads();
    }
    let mut pass = Pass { wish: wish(world), facts: facts(world), record: world.record(), version: world.object.version, asked: None, last: None, steps: 0 };
    let ended = pass.run(world, decide);
    let failed = matches!(pass.asked, Some(Answer::NotSent(_)))
        || ended == Ended::Unwritten
        || pass.last.as_ref().is_some_and(|last| matches!(last.verdict.reason, Reason::PlatformUnavailable | Reason::Throttled));
    world.failures = if failed { world.failures + 1 } else { 0 };
    match &pass.asked {
        Some(Answer::NotSent(_)) => world.unsent = pass.last.as_ref().and_then(|last| last.record.open_intent()).map(|intent| intent.id.clone()),
        Some(_) => world.unsent = None,
        None => {}
    }
    match ended {
        Ended::Until(until) => until.min(world.next_event()),
        Ended::Crashed => {
            (world.failures, world.unsent) = (0, None);
            world.inventory = crate::world::Inventory::default();
            world.now + secs(3)
        }
        Ended::Unwritten => world.now + secs(1),
        Ended::Gone => world.now,
    }
}

struct Pass {
    wish: Wish,
    facts: Facts,
    record: Record,
    version: u64,
    asked: Option<Answer>,
    last: Option<Decision>,
    steps: u32,
}

impl Pass {
    fn run(&mut self, world: &mut World, decide: Decide<'_>) -> Ended {
        loop {
            let decision = decide(world.now, &self.wish, &self.record, &self.facts);
            self.judge(world, &decision, decide);
            self.last = Some(decision.clone());
            world.note(|at| format!("{at}   {:?} {}", decision.step, decision.why));
            self.steps += 1;
            if self.steps > 24 {
                world.breaks("a pass goes in circles");
                return Ended::Until(world.now + secs(60));
            }
            let fault = world.steps.pop_front().unwrap_or(Fault::Nothing);
            if let Some(ended) = self.fault(world, fault) {
                return ended;
            }
            let ended = self.perform(world, decision, matches!(fault, Fault::Unwritten));
            if matches!(fault, Fault::CrashAfter) {
                return Ended::Crashed;
            }
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    fn fault(&self, world: &mut World, fault: Fault) -> Option<Ended> {
        let took = if let Fault::Slow(seconds) = fault { seconds * 1000 } else { 137 };
        world.advance(Time(world.now.0 + i64::try_from(took).unwrap_or(0)));
        let now = world.now;
        if !matches!(fault, Fault::Nothing) {
            world.note(|at| format!("{at} fault: {fault:?}"));
        }
        match fault {
            Fault::CrashBefore => return Some(Ended::Crashed),
            Fault::Down(seconds) => world.down_until = now + secs(seconds),
            Fault::Throttle(seconds) => world.throttled_until = now + secs(seconds),
            Fault::Hide(seconds) => world.hidden_until = now + secs(seconds),
            Fault::Wipe => world.wipe(),
            Fault::Nothing | Fault::Slow(_) | Fault::CrashAfter | Fault::Unwritten => {}
        }
        None
    }

    fn perform(&mut self, world: &mut World, decision: Decision, unwritten: bool) -> Option<Ended> {
        let Decision { step, record, hold, .. } = &decision;
        match step {
            Step::Look(query, not_before) => self.look(world, query, *not_before, record),
            Step::Keep(mark) => {
                if unwritten || world.object.version != self.version {
                    return Some(Ended::Unwritten);
                }
                let intent = world.mark(mark, record);
                self.version = world.object.version;
                if *mark == Mark::Release {
                    return Some(Ended::Gone);
                }
                self.record = kept(mark, record.clone(), intent);
                return None;
            }
            Step::Ask(change) => {
                let answer = ask(world, change);
                world.note(|at| format!("{at} {change:?}: {answer:?}"));
                world.counts.asks += 1;
                self.facts.answer = Some(answer.clone());
                self.asked = Some(answer);
            }
            Step::Wait(until, _) | Step::Rest(until) | Step::Stop(until) => {
                world.note(|at| format!("{at} {} ({})", decision.why, decision.verdict.reason));
                if unwritten {
                    return Some(Ended::Unwritten);
                }
                if !hold && !world.object.gone {
                    world.say(&decision);
                }
                return Some(Ended::Until(*until));
            }
        }
        self.record = record.clone();
        None
    }

    fn look(&mut self, world: &mut World, query: &Query, not_before: Time, record: &Record) {
        let old = |at: Option<Time>| at.is_none_or(|at| at < not_before);
        if world.down() {
            match query {
                Query::Services if old(world.inventory.services.as_ref().map(|(at, _)| *at)) => return self.facts.services = Fact::Unreadable(away()),
                Query::Leads if old(world.inventory.leads.as_ref().map(|(at, _)| *at)) => return self.facts.leads = Fact::Unreadable(away()),
                Query::Task(_) => return self.facts.task = Fact::Unreadable(away()),
                _ => {}
            }
        }
        match query {
            Query::Services => {
                if old(world.inventory.services.as_ref().map(|(at, _)| *at)) {
                    world.counts.reads += 1;
                    world.list_services();
                }
                if let Some((at, value)) = world.view(record) {
                    self.facts.services = Fact::Known { value, at };
                }
            }
            Query::Leads => {
                if old(world.inventory.leads.as_ref().map(|(at, _)| *at)) {
                    world.counts.reads += 1;
                    world.list_leads();
                }
                if let Some((at, value)) = world.inventory.leads.clone() {
                    self.facts.leads = Fact::Known { value, at };
                }
            }
            Query::Task(id) => {
                world.counts.reads += 1;
                self.facts.task = Fact::Known { value: world.task(id), at: world.now };
            }
            Query::LcCustomer(_) => self.facts.lc_customer = Fact::Known { value: None, at: world.now },
            Query::Numbers(_) => self.facts.numbers = Fact::Known { value: Some(0), at: world.now },
        }
    }

    /// Holds one decision to the laws.
    fn judge(&self, world: &mut World, decision: &Decision, decide: Decide<'_>) {
        if decide(world.now, &self.wish, &self.record, &self.facts) != *decision {
            world.breaks("L9: equal inputs, another decision");
        }
        for broken in kstatus_violations(&decision.verdict.conditions()) {
            world.breaks(&format!("L9: {broken}"));
        }
        let failed =
            matches!(self.facts.answer, Some(Answer::Refused(_))) || matches!(self.facts.task.value(), Some(Some(task)) if task.state == TaskState::Failed);
        match &decision.step {
            Step::Look(query, not_before) if !self.removes(query, *not_before) => world.breaks(&format!("a look that tells nothing new: {query:?}")),
            Step::Keep(Mark::Begin { kind, .. }) if self.too_soon(world, *kind) => world.breaks("what failed is tried again too soon, and nobody asked"),
            Step::Keep(Mark::Begin { kind: OperationKind::Create, .. }) if failed => world.breaks("a failed create is tried again in the same pass"),
            Step::Ask(_) if self.asked.is_some() => world.breaks("two changes in one pass"),
            Step::Ask(Change::CreateService(_)) => self.judge_create(world, failed),
            Step::Ask(_) if !self.recorded(world, OperationKind::Delete) => world.breaks("a deletion without a recorded intent"),
            _ => {}
        }
    }

    fn judge_create(&self, world: &mut World, failed: bool) {
        let looked = self.facts.services.since(self.facts.pass_started).is_some_and(|view| view.by_tenant.is_empty() && view.complete);
        if !looked {
            world.breaks("L1: a create without a look of this pass that found none in a whole list");
        }
        if !self.recorded(world, OperationKind::Create) {
            world.breaks("L1: a create without a recorded intent");
        }
        if self.record.running().is_some_and(|op| op.kind == OperationKind::Create && op.task.is_some()) {
            world.breaks("L1: a create while a task is running");
        }
        if failed {
            world.breaks("a failed create is asked for again in the same pass");
        }
    }

    /// What failed or was refused is begun again after an hour, because somebody asked, or because the spec is another one than the one that failed.
    fn too_soon(&self, world: &World, kind: OperationKind) -> bool {
        let ended = self.record.operation.as_ref().filter(|op| op.kind == kind && matches!(op.outcome, Some(Outcome::Failed | Outcome::Refused)));
        let early = ended.is_some_and(|op| op.completed.is_some_and(|at| world.now < at + secs(3600)));
        let changed = ended.is_some_and(|op| op.generation.is_some_and(|of| of != world.object.generation));
        early && !changed && !self.facts.asked_anew && self.record.open_intent().is_none()
    }

    /// Whether the intent stands on the object itself, and is the one that this pass knows.
    fn recorded(&self, world: &World, kind: OperationKind) -> bool {
        let own = self.record.intent.as_ref();
        world.object.finalizer && world.object.intent.as_ref().is_some_and(|(there, id, _)| *there == kind && own.is_some_and(|own| &own.id.0 == id))
    }

    fn removes(&self, query: &Query, not_before: Time) -> bool {
        fn open<T>(fact: &Fact<T>, not_before: Time) -> bool {
            match fact {
                Fact::Unread => true,
                Fact::Known { at, .. } => *at < not_before,
                Fact::Unreadable(_) => false,
            }
        }
        match query {
            Query::Services => open(&self.facts.services, not_before),
            Query::Leads => open(&self.facts.leads, not_before),
            Query::Task(_) => open(&self.facts.task, not_before),
            Query::LcCustomer(_) => open(&self.facts.lc_customer, not_before),
            Query::Numbers(_) => open(&self.facts.numbers, not_before),
        }
    }
}

fn ask(world: &mut World, change: &Change) -> Answer {
    if world.down() || world.now < world.throttled_until {
        return Answer::NotSent(away());
    }
    let fault = world.asks.pop_front().unwrap_or(AskFault::Nothing);
    let lost = || Answer::Lost(away());
    match fault {
        AskFault::NotSent => return Answer::NotSent(away()),
        AskFault::Refused => return Answer::Refused(oc_domain::conditions::Trouble::new(Reason::PlatformRefused, "The platform says no.")),
        AskFault::LostNotDone => return lost(),
        AskFault::LostDone(_) | AskFault::Nothing => {}
    }
    let at = if let AskFault::LostDone(seconds) = fault { world.now + secs(seconds) } else { world.now };
    let answer = match change {
        Change::CreateService(_) => world.execute_create(at),
        Change::DeleteService(guid) => world.execute_delete(guid),
        other => {
            world.breaks(&format!("a service asks for {other:?}"));
            Answer::Done
        }
    };
    if matches!(fault, AskFault::LostDone(_)) { lost() } else { answer }
}

/// As the operator's driver has it.
fn kept(mark: &Mark, mut record: Record, intent: Option<Intent>) -> Record {
    record.finalizer = true;
    match mark {
        Mark::Begin { kind, .. } => {
            record.guid_annotated |= record.guid.is_some() && *kind == OperationKind::Delete;
            record.intent = intent.map(|intent| Intent { sent: Sent::No, ..intent });
        }
        Mark::Adopt(guid) => {
            record.guid = Some(guid.clone());
            record.guid_annotated = true;
            record.intent = None;
        }
        Mark::Hold | Mark::Release => {}
    }
    record
}

/// Runs a world until it is at rest, then looks whether it stays so.
pub fn run(world: &mut World, decide: Decide<'_>) {
    let mut quiet = None;
    for _ in 0..1500 {
        if world.object.gone || !world.broken.is_empty() {
            return;
        }
        reconcile(world, decide);
        let faults = !world.steps.is_empty() || world.events_ahead() || world.down();
        if faults || !settled(world) {
            quiet = None;
            continue;
        }
        // What was removed, or has failed, is noticed by the next list.
        let since = *quiet.get_or_insert(world.now);
        if world.now >= since + secs(1300) {
            return at_rest(world, decide);
        }
    }
    if !world.object.gone && world.broken.is_empty() {
        world.breaks("L5: neither Ready nor gone, long after the faults have stopped");
    }
}

/// Ready, or waiting for a person where the scenario calls for one.
fn settled(world: &World) -> bool {
    let Some(ready) = world.object.status.conditions.iter().find(|condition| condition.kind == "Ready") else { return false };
    let somebodys = world.config.foreign.is_some() || world.made.iter().any(|made| !made.by_us);
    let person = match ready.reason {
        Reason::Conflict => somebodys && world.config.adoption != oc_domain::service::Adoption::Always,
        Reason::DeletedExternally => !world.config.recreate,
        // Somebody removed the service before it was ever seen: the task succeeded, and nothing shows.
        Reason::TaskFailed => world.object.status.operation.as_ref().is_some_and(|op| op.task_status.as_deref() == Some("CompletedSuccess")) && !world.alive(),
        _ => false,
    };
    world.object.status.observed == Some(world.object.generation) && !world.object.deleting && (ready.truth == Truth::True || person)
}

fn at_rest(world: &mut World, decide: Decide<'_>) {
    let ready = world.object.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.truth == Truth::True);
    let alive = world.made.iter().filter(|made| made.removed.is_none()).count();
    if ready && alive != 1 {
        world.breaks(&format!("L4: Ready, and the platform has {alive} services for the tenant"));
    }
    let before = (world.counts.writes, world.counts.asks, world.counts.reads);
    for turn in 0..8 {
        if turn == 4 {
            // A restart: nothing in memory, and the platform's own pass lists first.
            (world.failures, world.unsent) = (0, None);
            world.inventory = crate::world::Inventory::default();
        }
        visit(world, decide);
        // Something else wakes it between two observations.
        world.advance(world.now + secs(60));
        reconcile(world, decide);
    }
    if world.counts.writes != before.0 {
        world.breaks("L6: a write at rest");
    }
    if world.counts.asks != before.1 {
        world.breaks("L6: a change at rest");
    }
    if ready && world.counts.reads != before.2 {
        world.breaks("L6: a look at rest that the inventory can't answer");
    }
}
