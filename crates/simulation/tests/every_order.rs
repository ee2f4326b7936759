//! Every order of events, exhaustively: the world of the stories under a model checker. One tenant, two
//! objects that both want its service, two operators with one lease, and a few faults wherever they can
//! strike.
//!
//! A story tries many faults in some orders; this tries few faults in all orders. No fault strikes when
//! everything is at rest: a path ends there, unless an object is still to be deleted. A crash, a wiped status
//! or a removed service at rest is for the stories, and for the tests of the process.

mod evidence;

use oc_domain::conditions::Reason;
use oc_domain::decision::{Change, Mark, Step};
use oc_simulation::operator::State as Process;
use oc_simulation::passes::{Ask, Write};
use oc_simulation::setup::{SLOTS, START, Second, Setup, secs};
use oc_simulation::world::{Play, Rules, Trail, World};
use stateright::{Checker, Model, Property};

/// How many events a path may have: no path of these models is longer.
const DEPTH: usize = 600;

/// Everything is over by then.
const HOURS: u64 = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// A pass takes its next step, whose effect has this fate.
    Step(usize, usize, Fate),
    /// A pass begins.
    Begin(usize, usize),
    /// The breaker counts.
    Count(usize),
    /// Time jumps to the next moment.
    Advance,
    /// SIGKILL. The next process begins with a list that is this many revisions old.
    Kill(usize, usize),
    /// SIGSTOP for longer than the lease.
    Stop(usize),
    /// A person deletes an object.
    Delete(usize),
    /// A restore drops a status.
    Wipe(usize),
    /// The platform does not answer for a while.
    Down,
    /// The list of services has unreadable entries for a while.
    Hide,
    /// A person removes the service in the portal.
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Fine,
    WriteRefused,
    WriteLost,
    NoRoom,
    LostDone,
    LostNotDone,
    Late,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    world: World,
    faults: u8,
    deletes: u8,
    /// The kind of change last requested of the platform, for the properties that show where the search has
    /// been.
    seen: Seen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Seen {
    killed_with_open_intent: bool,
    found_after_lost: bool,
    conflict: bool,
    handed_over: bool,
    deleted: bool,
    stale_write: bool,
}

struct Orders {
    setup: Setup,
    rules: Rules,
    faults: u8,
    deletes: u8,
}

fn quiet<T>(rules: &Rules, act: impl FnOnce(&mut Play<'_>) -> T) -> T {
    let mut trail = Trail::default();
    act(&mut Play { rules, trail: &mut trail })
}

impl State {
    fn over(&self) -> bool {
        let due = |op: usize| (0..SLOTS).any(|slot| self.world.can_begin(op, slot));
        let world = &self.world;
        world.at_rest() && world.operators.iter().enumerate().all(|(op, operator)| operator.state == Process::Up && !operator.busy() && !due(op))
    }

    fn faults(&self, events: &mut Vec<Event>) {
        let operators = &self.world.operators;
        for (op, operator) in operators.iter().enumerate() {
            if operator.moves() && (operator.busy() || self.world.leads(op)) {
                events.push(Event::Kill(op, 0));
                events.push(Event::Kill(op, 2));
                if operator.state == Process::Up && operators.len() > 1 {
                    events.push(Event::Stop(op));
                }
            }
        }
        for slot in (0..SLOTS).filter(|slot| self.world.cluster.now.objects[*slot].is_some()) {
            events.push(Event::Wipe(slot));
        }
        events.extend([Event::Down, Event::Hide]);
        if self.world.platform.alive(1).next().is_some() {
            events.push(Event::Remove);
        }
    }

    /// The next step of a pass, so that fates are tried only where they make a difference.
    fn fates(&self, rules: &Rules, op: usize, slot: usize) -> &'static [Fate] {
        let Some(running) = &self.world.operators[op].passes[slot] else { return &[] };
        let oc_simulation::operator::Target::Service(target) = &running.target else { return &[] };
        let decision = (rules.decide)(self.world.now, target, &running.pass.record, &running.pass.facts);
        match decision.step {
            Step::Observe(..) => &[],
            Step::Execute(Change::CreateService(_)) => &[Fate::LostDone, Fate::LostNotDone, Fate::Late, Fate::Refused],
            Step::Execute(_) => &[Fate::LostDone, Fate::LostNotDone],
            Step::PatchMetadata(Mark::RecordIntent { .. }) => &[Fate::WriteRefused, Fate::WriteLost, Fate::NoRoom],
            Step::PatchMetadata(_) => &[Fate::WriteRefused, Fate::WriteLost],
            Step::Wait(..) | Step::Idle(_) | Step::Blocked(_) => &[Fate::WriteLost],
        }
    }
}

impl Model for Orders {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let mut world = World::new(self.setup.clone());
        world.known_before();
        quiet(&self.rules, |play| world.settle(play));
        vec![State { world, faults: self.faults, deletes: self.deletes, seen: Seen::default() }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if !state.world.broken.is_empty() {
            return;
        }
        let before = events.len();
        for (op, operator) in state.world.operators.iter().enumerate() {
            for slot in 0..SLOTS {
                if operator.moves() && operator.passes[slot].is_some() {
                    events.push(Event::Step(op, slot, Fate::Fine));
                    if state.faults > 0 {
                        events.extend(state.fates(&self.rules, op, slot).iter().map(|fate| Event::Step(op, slot, *fate)));
                    }
                } else if state.world.can_begin(op, slot) {
                    events.push(Event::Begin(op, slot));
                }
            }
            if operator.count_due && operator.state == Process::Up && state.world.leads(op) {
                events.push(Event::Count(op));
            }
        }
        let busy = events.len() > before;
        if !busy && !state.over() {
            events.push(Event::Advance);
        }
        if state.faults > 0 && !state.over() {
            state.faults(events);
        }
        if state.deletes > 0 {
            let there = |slot: &usize| state.world.cluster.now.objects[*slot].as_ref().is_some_and(|object| object.deleting.is_none());
            events.extend((0..SLOTS).filter(there).map(Event::Delete));
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        quiet(&self.rules, |play| next.happens(play, event));
        // Counters do not make two states different.
        next.world.counts = Default::default();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no law is broken", |_, state: &State| state.world.broken.is_empty()),
            // An object that comes to rest before its deletion must do so after it as well.
            Property::eventually("everything comes to rest where it belongs", |_, state: &State| state.deletes == 0 && state.over()),
            Property::sometimes(KILLED, |_, state: &State| state.seen.killed_with_open_intent),
            Property::sometimes(FOUND, |_, state: &State| state.seen.found_after_lost),
            Property::sometimes(CONFLICT, |_, state: &State| state.seen.conflict),
            Property::sometimes(HANDED_OVER, |_, state: &State| state.seen.handed_over),
            Property::sometimes(DELETED, |_, state: &State| state.seen.deleted),
            Property::sometimes(STALE, |_, state: &State| state.seen.stale_write),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.world.now < START + secs(HOURS * 3600)
    }
}

impl State {
    fn happens(&mut self, play: &mut Play<'_>, event: Event) {
        let world = &mut self.world;
        let faulty = |event: &Event| match event {
            Event::Kill(..) | Event::Stop(_) | Event::Wipe(_) | Event::Down | Event::Hide | Event::Remove => true,
            Event::Step(_, _, fate) => *fate != Fate::Fine,
            Event::Begin(..) | Event::Count(_) | Event::Advance | Event::Delete(_) => false,
        };
        if faulty(&event) {
            self.faults -= 1;
        }
        match event {
            Event::Step(op, slot, fate) => {
                let write = match fate {
                    Fate::WriteRefused => Write::Refused,
                    Fate::WriteLost => Write::Lost,
                    Fate::NoRoom => Write::NoRoom,
                    _ => Write::Fine,
                };
                let ask = match fate {
                    Fate::LostDone => Ask::LostDone(0),
                    Fate::LostNotDone => Ask::LostNotDone,
                    Fate::Late => Ask::LostDone(20),
                    Fate::Refused => Ask::Refused,
                    _ => Ask::Fine,
                };
                world.step(play, op, slot, write, ask);
            }
            Event::Begin(op, slot) => world.begin(play, op, slot),
            Event::Count(op) => world.count(play, op),
            Event::Advance => world.advance(play),
            Event::Kill(op, behind) => {
                let open = world.cluster.now.objects.iter().flatten().any(|object| object.record().open_intent().is_some());
                self.seen.killed_with_open_intent |= open;
                world.crash(op, (behind, 10));
            }
            Event::Stop(op) => world.pause(op, 50),
            Event::Delete(slot) => {
                self.deletes -= 1;
                let now = world.now;
                world.cluster.delete(slot, now);
            }
            Event::Wipe(slot) => world.wipe(slot),
            Event::Down => world.platform.down_until = world.now + secs(30),
            Event::Hide => world.platform.hidden_until = world.now + secs(30),
            Event::Remove => world.person_removes(0),
        }
        world.settle(play);
        self.look_around();
    }

    fn look_around(&mut self) {
        let (world, seen) = (&self.world, &mut self.seen);
        seen.handed_over |= world.counts.elections > 0;
        seen.deleted |= world.counts.deletions > 0;
        seen.stale_write |= world.counts.conflicts > 0;
        for object in world.cluster.now.objects.iter().flatten() {
            let reason = object.status.ready().map(|(_, reason)| reason);
            seen.conflict |= reason == Some(Reason::Conflict);
            let operation = object.status.operation.as_ref();
            seen.found_after_lost |= object.status.license.is_some() && operation.is_some_and(|operation| operation.task.is_none());
        }
    }
}

/// What the search must have seen. Otherwise the laws could hold because nothing ever happens.
const KILLED: &str = "a process is killed while an intent is open";
const FOUND: &str = "what was asked for with a lost answer is found";
const CONFLICT: &str = "the younger object says Conflict";
const HANDED_OVER: &str = "another replica takes the lease";
const DELETED: &str = "a service is deleted";
const STALE: &str = "a write from an old view is refused";

/// A platform with quick lists and jobs, so that paths are short. Faults can be slower than any of it.
fn base() -> Setup {
    Setup { task: 10, job_every: 60, step: 0, grace: 60, deadline: 90, ..Setup::default() }
}

/// The models: what each is, how many faults and deletions may strike, and what its search must have seen.
fn models(rules: Rules) -> Vec<(&'static str, Orders, &'static [&'static str])> {
    let mut both = Setup { operators: 2, second: Second::SameTenant, ..base() };
    both.specs[1].adoption = oc_domain::service::Adoption::Always;
    let orders = |setup, faults, deletes| Orders { setup, rules, faults, deletes };
    vec![
        ("one object, two faults", orders(base(), 2, 0), &[KILLED, FOUND, STALE]),
        ("one object, one fault, deleted at any moment", orders(base(), 1, 1), &[KILLED, FOUND, DELETED]),
        ("two objects for one tenant, two operators, one fault", orders(both, 1, 0), &[KILLED, FOUND, CONFLICT, HANDED_OVER]),
    ]
}

fn check(model: Orders, stop_at_failure: bool) -> impl Checker<Orders> {
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let builder = model.checker().threads(workers).target_max_depth(DEPTH);
    if stop_at_failure { builder.finish_when(stateright::HasDiscoveries::AnyFailures).spawn_bfs().join() } else { builder.spawn_bfs().join() }
}

/// The broken properties, with the events that lead to them.
fn broken(checker: &impl Checker<Orders>) -> Vec<(&'static str, Vec<Event>)> {
    let sometimes = |name: &str| {
        let properties = checker.model().properties();
        properties.iter().any(|property| property.name == name && property.expectation == stateright::Expectation::Sometimes)
    };
    checker.discoveries().into_iter().filter(|(name, _)| !sometimes(name)).map(|(name, path)| (name, path.into_actions())).collect()
}

#[test]
fn the_laws_hold_in_every_order() {
    let (mut tried, mut states, mut deepest) = (0, 0, 0);
    for (what, model, must_see) in models(Rules::default()) {
        let checker = check(model, false);
        assert_eq!(broken(&checker), Vec::new(), "{what}");
        for name in must_see {
            assert!(checker.discovery(name).is_some(), "{what}: the search never saw that {name}");
        }
        assert!(checker.max_depth() < DEPTH, "{what}: the depth was not enough");
        tried += 1;
        states += checker.unique_state_count();
        deepest = deepest.max(checker.max_depth());
    }
    let report = format!("{{\"models\": {tried}, \"states\": {states}, \"longestPath\": {deepest}, \"violations\": 0}}\n");
    evidence::write("every-order", &report);
}

/// The wrong variants that a fault or two can expose. Those that need more (a refusal, another person's
/// service or action, an upgrade) are for the stories: here all orders would be tried for nothing.
const CAUGHT: [&str; 11] = [
    "creates without a look",
    "forgets the open intent",
    "has no grace",
    "asks before the intent is recorded",
    "sends an intent however old it is",
    "deletes under Retain",
    "lets go while the answer is not known",
    "gives up when the answer is lost",
    "does not heed another object for its tenant",
    "does not ask the breaker",
    "writes over what it has not read",
];

#[test]
fn wrong_variants_are_caught_by_trying_every_order() {
    let caught: Vec<_> = oc_simulation::variants::all().into_iter().filter(|variant| CAUGHT.contains(&variant.what)).collect();
    assert_eq!(caught.len(), CAUGHT.len(), "a name is none of a variant");
    let mut missed = Vec::new();
    for variant in &caught {
        let mut models = models(variant.rules);
        // One fault is enough for them; an object that retains what it made shows one more.
        let mut retained = base();
        retained.specs[0].policy = oc_domain::facts::DeletionPolicy::Retain;
        models[0] = ("one object, retained", Orders { setup: retained, rules: variant.rules, faults: 0, deletes: 1 }, &[]);
        let found = models.into_iter().any(|(_, model, _)| !broken(&check(model, true)).is_empty());
        if !found {
            missed.push(variant.what);
        }
    }
    assert!(missed.is_empty(), "these break nothing in any order: {missed:?}");
    let worlds = caught.iter().filter(|variant| variant.of_the_world).count();
    let report = format!("{{\"caught\": {}, \"worldsCaught\": {worlds}}}\n", caught.len() - worlds);
    evidence::write("every-order-teeth", &report);
}
