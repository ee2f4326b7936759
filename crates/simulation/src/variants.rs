//! Wrong variants of the rules. The laws must catch each of them: a law that nothing can break proves
//! nothing.
//!
//! Most of them are a wrong operator: around its decisions, which are the product's own code, it does or
//! requests something that it should not. Two switch off checks of the simulated world itself. They show that
//! the law is judged, and that without the check it would be broken. They show nothing of the product's code,
//! whose fence and conditional writes are not played here. Those are tested by
//! `crates/domain/tests/election.rs`, `src/platform/budget.rs`, `tests/leader` and `tests/kills`.

mod decisions;

use crate::world::{Decide, Rules, Vanishing};

use decisions::{
    adopts_anything, always_beside, always_recreates, asks_first, counts_direct_routing, deletes_anything,
    deletes_retained, forgets_refusals, gives_up, heeds_old_intents, holes_are_absence, ignores_the_intent,
    incomplete_is_whole, leads_read_are_all, lets_go_early, lets_go_of_what_a_task_told, looks_at_no_license,
    no_grace, owns_any_outcome, owns_what_ended_after, pages_are_proof, ready_too_soon, retries_at_once,
    says_the_time, sends_stale_intents, skips_the_look, takes_any_outcome, unclear_is_failed,
    unreadable_is_empty, untold_is_none, waits_for_the_far_future,
};

/// A wrong variant: what it does, its rules, and the law that must catch it.
pub struct Variant {
    /// What the variant does wrong.
    pub what: &'static str,
    /// The rules it plays by.
    pub rules: Rules,
    /// A part of the text of the law that must catch it.
    pub law: &'static str,
    /// Whether the simulated world is wrong, and not the operator in it: see the module's text.
    pub of_the_world: bool,
}

/// Returns all variants.
pub fn all() -> Vec<Variant> {
    [
        asking_and_trying(),
        owning_and_deleting(),
        saying_and_remembering(),
        licenses_and_rivals(),
        leads_and_numbers(),
        absences_and_guards(),
        outcomes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An operator with changed rules.
fn ruled(what: &'static str, law: &'static str, change: impl FnOnce(&mut Rules)) -> Variant {
    let mut rules = Rules::default();
    change(&mut rules);
    Variant {
        what,
        rules,
        law,
        of_the_world: false,
    }
}

/// An operator with another decision about services.
fn decided(what: &'static str, decide: Decide, law: &'static str) -> Variant {
    ruled(what, law, |rules| rules.decide = decide)
}

/// A world that lacks a check.
fn unchecked(what: &'static str, law: &'static str, change: impl FnOnce(&mut Rules)) -> Variant {
    Variant {
        of_the_world: true,
        ..ruled(what, law, change)
    }
}

/// Requests made without a look, or too early.
fn asking_and_trying() -> Vec<Variant> {
    vec![
        decided("creates without a look", skips_the_look, "L1"),
        decided(
            "forgets the open intent",
            ignores_the_intent,
            "L1: a second service",
        ),
        decided(
            "takes an unreadable list for an empty one",
            unreadable_is_empty,
            "L1",
        ),
        decided(
            "takes a list with holes for a whole one",
            incomplete_is_whole,
            "L1",
        ),
        decided("has no grace", no_grace, "L1: a second service"),
        decided("asks before the intent is recorded", asks_first, "order"),
        decided("sends an intent however old it is", sends_stale_intents, "order"),
        decided(
            "tries a failed create again in the same pass",
            retries_at_once,
            "too soon",
        ),
    ]
}

/// Ownership, deletion, and the finalizer.
fn owning_and_deleting() -> Vec<Variant> {
    vec![
        decided(
            "deletes what it does not own",
            deletes_anything,
            "L2: a service is deleted that this object neither made",
        ),
        decided(
            "deletes under Retain",
            deletes_retained,
            "L2: something is deleted that should be retained",
        ),
        decided(
            "lets go while the answer is not known",
            lets_go_early,
            "L2: the object is let go",
        ),
        decided(
            "takes over whatever is there",
            adopts_anything,
            "L2: a service is taken over against",
        ),
        decided(
            "forgets that a create was refused",
            forgets_refusals,
            "L2: a service of somebody else is called",
        ),
        decided(
            "makes again what somebody removed",
            always_recreates,
            "made again without spec.recreate",
        ),
    ]
}

/// Status, writes and memory.
fn saying_and_remembering() -> Vec<Variant> {
    vec![
        decided("writes what changes from pass to pass", says_the_time, "L6"),
        decided("is Ready before it was read back", ready_too_soon, "L4"),
        decided("gives up when the answer is lost", gives_up, "L5"),
        decided(
            "takes any outcome in status for that of its intent",
            takes_any_outcome,
            "L1: a second service",
        ),
        decided(
            "lets an earlier intent end a later operation",
            heeds_old_intents,
            "L1: a second service",
        ),
        ruled("forgets what it has asked for", "L1: a second service", |rules| {
            rules.memory = false
        }),
        ruled(
            "does not read what the API server answers",
            "L1: a change without a recorded intent",
            |rules| rules.reads_answers = false,
        ),
        ruled(
            "tries what is refused as often as at first",
            "L6: a refused write",
            |rules| rules.backs_off = false,
        ),
    ]
}

/// Licenses and competing objects.
fn licenses_and_rivals() -> Vec<Variant> {
    vec![
        decided(
            "looks at no license",
            looks_at_no_license,
            "L2: a Direct Routing service is taken over",
        ),
        decided(
            "makes a service beside a Direct Routing one unasked",
            always_beside,
            "L1: a create beside a Direct Routing service",
        ),
        decided(
            "takes a Direct Routing service for a rival",
            counts_direct_routing,
            "L5",
        ),
        ruled(
            "believes createGrace of any platform",
            "L1: a second service",
            |rules| rules.pace = false,
        ),
        ruled(
            "does not heed another object for its tenant",
            "L1: a second service",
            |rules| rules.rivals = false,
        ),
        ruled(
            "knows a platform by the name of its object",
            "L1: a second service",
            |rules| rules.places = false,
        ),
        ruled("heeds what could never ask", "L5", |rules| rules.able = false),
    ]
}

/// Leads, telephone numbers, and incomplete lists.
fn leads_and_numbers() -> Vec<Variant> {
    vec![
        decided(
            "takes a list of leads with holes for a whole one",
            holes_are_absence,
            "a lead that is there is said to be missing",
        ),
        decided(
            "takes a lead that is in no page for one that is not there",
            pages_are_proof,
            "a lead that is there is said to be missing",
        ),
        ruled(
            "takes the leads that it can read for all",
            "a lead is made that is there",
            |rules| rules.lead = leads_read_are_all,
        ),
        ruled(
            "lets a lead go that it can't see",
            "the lead is left behind",
            |rules| rules.lead = leads_read_are_all,
        ),
        decided(
            "takes numbers that are not told for none",
            untold_is_none,
            "nobody has told that its tenant has no telephone numbers",
        ),
        ruled(
            "forgets who waits for whole lists",
            "who waited for that is not looked at",
            |rules| rules.wakes_waiting = false,
        ),
    ]
}

/// Absences in an empty list, and the guards before a change.
fn absences_and_guards() -> Vec<Variant> {
    vec![
        ruled(
            "believes that all services are gone when the list is empty",
            "L1: a second service",
            |rules| rules.absences = Vanishing::Believed,
        ),
        ruled(
            "lets go what an empty list does not show",
            "L2: the object is let go",
            |rules| rules.absences = Vanishing::Believed,
        ),
        ruled(
            "believes another place as it believes its own",
            "L2: the object is let go",
            |rules| rules.absences = Vanishing::AnyPlace,
        ),
        unchecked("does not look at its lease", "L3", |rules| rules.lease = false),
        ruled("does not ask the breaker", "breaker", |rules| {
            rules.breaker = false
        }),
    ]
}

/// Outcomes, final states and times that are misread.
fn outcomes() -> Vec<Variant> {
    vec![
        decided(
            "takes any outcome for that of the operation beside it",
            owns_any_outcome,
            "L1: a second service",
        ),
        decided(
            "tells by its time alone whose an outcome is",
            owns_what_ended_after,
            "L1: a second service",
        ),
        ruled(
            "takes an outcome that it can't read for an end",
            "L1: a second service",
            |rules| rules.strange_words_end = true,
        ),
        decided(
            "lets go of what a task has told and no list shows",
            lets_go_of_what_a_task_told,
            "L2: the object is let go",
        ),
        decided(
            "takes an unknown last word for a failure",
            unclear_is_failed,
            "L1: a second service",
        ),
        decided(
            "waits for a time that has not come",
            waits_for_the_far_future,
            "L5",
        ),
        unchecked(
            "writes over what it has not read",
            "L1: a second service",
            |rules| rules.versions = false,
        ),
    ]
}
