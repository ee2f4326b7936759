use std::collections::BTreeSet;

use oc_domain::conditions::{ConditionStatus, Reason, Trouble};
use oc_domain::discovery::ClusterRefusal;
use oc_domain::lead_policy::{
    Candidate, Collision, Hold, LeadMark, MOST_REFUSALS, MadeService, NamedLikeLead, OnboardingAction, OnboardingDecision, OnboardingMemory, OnboardingRule,
    PlatformNames, Progress, RuleLimits, RuleMatch, decide, fit_full_name, fit_short_name,
};
use oc_domain::names::{ShortName, ShortNameRule, TenantId, fold_case};
use oc_domain::service::Mode;
use oc_domain::time::{Duration, Time};
use proptest::prelude::*;

use crate::common::{NOW, secs};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn rule() -> OnboardingRule<'static> {
    OnboardingRule {
        name: "benelux",
        limits: RuleLimits::default(),
        collision: Collision::Number,
        short_names: ShortNameRule::Portal,
        mode: Mode::Apply,
        suspended: false,
    }
}

fn numbered(number: usize) -> TenantId {
    TenantId::parse(&format!("33333333-3333-4333-8333-{number:012}")).expect("a GUID")
}

/// A lead that gets an object: the number gives it its tenant, and its age.
fn lead(name: &str, number: usize) -> Candidate<'_> {
    Candidate {
        name,
        created: NOW - DAY + secs(number as u64),
        tenant: numbered(number),
        matches: RuleMatch::Yes { short_name: "Contoso", full_name: "Contoso B.V." },
        eligible: true,
        served: false,
        mark: LeadMark::None,
        older_policy: None,
        object: NamedLikeLead::None,
    }
}

fn made(name: &str) -> MadeService<'_> {
    MadeService { name, created: NOW - HOUR, progress: Progress::Ready, held: false, untouched_plan: false }
}

fn begun(policy: &str) -> LeadMark<'_> {
    LeadMark::Begun { policy, gone: false }
}

fn free(_: &str) -> bool {
    false
}

fn at_now(rule: &OnboardingRule<'_>, leads: &[Candidate<'_>], services: &[MadeService<'_>]) -> OnboardingDecision {
    with(rule, leads, services, &mut OnboardingMemory::default())
}

fn with(rule: &OnboardingRule<'_>, leads: &[Candidate<'_>], services: &[MadeService<'_>], memory: &mut OnboardingMemory) -> OnboardingDecision {
    decide(NOW, Some(rule), PlatformNames::Known(&free), leads.iter().copied(), services, memory)
}

/// What is done, as a table says it.
fn told(decision: &OnboardingDecision) -> String {
    let told = |action: &OnboardingAction| match action {
        OnboardingAction::Begin(service) => format!("begin {}", service.name),
        OnboardingAction::Make(service) => format!("make {}", service.name),
        OnboardingAction::Finish { name, .. } => format!("finish {name}"),
        OnboardingAction::Adjust { name } => format!("apply {name}"),
    };
    decision.actions.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// One lead in every state that the annotation and the object can be in: what is done, and as what it counts.
#[test]
fn the_annotation_and_the_object() {
    let (finished, held) = (made("a"), MadeService { held: true, ..made("a") });
    let ours = NamedLikeLead::Made(&finished);
    let gone = LeadMark::Begun { policy: "former", gone: true };
    let by_us = LeadMark::Made { policy: "benelux", at: Some(NOW - HOUR) };
    let by_others = LeadMark::Made { policy: "europe", at: None };
    let with = |mark, object| Candidate { mark, object, ..lead("a", 1) };
    let none = NamedLikeLead::None;
    let table: [(&str, Candidate<'_>, &[MadeService<'_>], &str, &str); 17] = [
        ("nothing yet", with(LeadMark::None, none), &[], "begin a", "waiting"),
        ("crashed before the create", with(begun("benelux"), none), &[], "make a", "waiting"),
        ("crashed after the create", with(begun("benelux"), NamedLikeLead::Made(&held)), &[held], "finish a", "made"),
        ("crashed before the finalizer was taken off", with(by_us, NamedLikeLead::Made(&held)), &[held], "finish a", "made"),
        ("the mark was removed in between", with(LeadMark::None, NamedLikeLead::Made(&held)), &[held], "finish a", "made"),
        ("done", with(by_us, ours), &[finished], "", "made"),
        ("a person deleted the object", with(by_us, none), &[], "", "nothing"),
        ("made by another policy, and deleted", with(by_others, none), &[], "", "nothing"),
        ("the mark was removed while the object is there", with(LeadMark::None, ours), &[finished], "", "made"),
        ("begun anew before the object was seen", with(begun("benelux"), ours), &[finished], "finish a", "made"),
        ("begun by a policy that is gone", with(gone, none), &[], "begin a", "waiting"),
        ("begun by another policy", with(begun("europe"), none), &[], "", "refused Conflict"),
        ("can't be read", with(LeadMark::Unreadable, none), &[], "", "refused Conflict"),
        ("the object of that name is another tenant's", with(LeadMark::None, NamedLikeLead::Other), &[], "", "refused Conflict"),
        ("served by another object", Candidate { served: true, ..lead("a", 1) }, &[], "", "nothing"),
        ("not eligible", Candidate { eligible: false, ..lead("a", 1) }, &[], "", "not eligible"),
        ("not selected", Candidate { matches: RuleMatch::No, ..with(begun("benelux"), none) }, &[], "", "nothing"),
    ];
    for (what, lead, services, does, counts) in table {
        let decision = at_now(&rule(), &[lead], services);
        assert_eq!(told(&decision), does, "{what}");
        assert_eq!(as_what(&decision), counts, "{what}");
    }
}

/// As what the only lead counts.
fn as_what(decision: &OnboardingDecision) -> String {
    let counts = &decision.counts;
    let refused = decision.refusals.first().map(|refusal| format!("refused {}", refusal.reason));
    assert_eq!(counts.refused, decision.refusals.len());
    let parts = [(counts.waiting, "waiting"), (counts.made, "made"), (counts.not_eligible, "not eligible")];
    let mut told: Vec<String> = parts.iter().filter(|(number, _)| *number > 0).map(|(_, word)| (*word).to_owned()).collect();
    told.extend(refused);
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

/// Who has a lead that two policies want, and when an expression or a name refuses it. A refusal stops nobody else.
#[test]
fn refusals() {
    let yes = |short_name, full_name| RuleMatch::Yes { short_name, full_name };
    let failed = RuleMatch::Failed("spec.names.shortName: no such key: companyName.");
    let older = Some("europe");
    let table: [(&str, Candidate<'_>, Collision, &str); 8] = [
        ("an older policy", Candidate { older_policy: older, ..lead("a", 1) }, Collision::Number, "Conflict: The LeadPolicy europe"),
        ("begun before the older one wanted it", Candidate { older_policy: older, mark: begun("benelux"), ..lead("a", 1) }, Collision::Number, ""),
        ("an expression", Candidate { matches: failed, ..lead("a", 1) }, Collision::Number, "InvalidSpec: spec.names.shortName: no such key"),
        ("no letter", Candidate { matches: yes("***", "Contoso"), ..lead("a", 1) }, Collision::Number, "InvalidSpec: spec.names.shortName gives \"***\""),
        ("blank", Candidate { matches: yes("Contoso", " \t "), ..lead("a", 1) }, Collision::Number, "InvalidSpec: spec.names.fullName"),
        ("taken", Candidate { matches: yes("Taken", "Taken"), ..lead("a", 1) }, Collision::Refuse, "ShortNameTaken: The short name \"Taken\""),
        ("taken, and numbered", Candidate { matches: yes("Taken", "Taken"), ..lead("a", 1) }, Collision::Number, ""),
        ("an expression, of a lead that is not eligible", Candidate { matches: failed, eligible: false, ..lead("a", 1) }, Collision::Number, ""),
    ];
    for (what, lead_a, collision, expected) in table {
        let rule = OnboardingRule { collision, ..rule() };
        let taken = |name: &str| name == "taken";
        let leads = [lead_a, lead("b", 2)];
        let decision = decide(NOW, Some(&rule), PlatformNames::Known(&taken), leads.into_iter(), &[], &mut OnboardingMemory::default());
        let refused: Vec<String> = decision.refusals.iter().map(|refusal| format!("{}: {}", refusal.reason, refusal.message)).collect();
        assert_eq!(refused.len(), usize::from(!expected.is_empty()), "{what}: {refused:?}");
        assert!(refused.iter().all(|refused| refused.starts_with(expected)), "{what}: {refused:?}");
        assert!(told(&decision).contains("begin b"), "{what}: {}", told(&decision));
    }
}

/// The oldest refusals are listed, and all are counted.
#[test]
fn the_oldest_refusals_are_listed() {
    let names: Vec<String> = (0..120).map(|number| format!("lead-{:03}", 119 - number)).collect();
    let leads: Vec<Candidate<'_>> = names.iter().enumerate().map(|(at, name)| Candidate { mark: LeadMark::Unreadable, ..lead(name, 119 - at) }).collect();
    let decision = at_now(&rule(), &leads, &[]);
    let listed: Vec<&str> = decision.refusals.iter().map(|refusal| refusal.lead.as_str()).collect();
    assert_eq!((decision.counts.refused, listed.len()), (120, MOST_REFUSALS));
    assert_eq!((listed[0], listed[49]), ("lead-000", "lead-049"));
}

/// What the limits allow: by what exists, what is begun, what was created and deleted again, and by times that can't be right.
#[test]
fn limits() {
    let limits = |in_progress, per_day| OnboardingRule { limits: RuleLimits { in_progress, per_day }, ..rule() };
    let busy = |name, ago| MadeService { progress: Progress::InProgress, created: NOW - ago, ..made(name) };
    let ready = |name, ago| MadeService { created: NOW - ago, ..made(name) };
    let gone = |name, number, at| Candidate { mark: LeadMark::Made { policy: "benelux", at: Some(at) }, ..lead(name, number) };
    let begun = |name, number| Candidate { mark: begun("benelux"), ..lead(name, number) };
    let (a, b, c) = (lead("a", 1), lead("b", 2), lead("c", 3));
    let tomorrow = |ago: Duration| Some(Hold::PerDay(NOW - ago + DAY + secs(61)));
    type Row<'a> = (&'a str, OnboardingRule<'a>, &'a [Candidate<'a>], &'a [MadeService<'a>], &'a str, Option<Hold>);
    let table: [Row<'_>; 16] = [
        ("the oldest first", limits(2, 9), &[c, b, a], &[], "begin a, begin b", Some(Hold::InProgress)),
        ("enough room", limits(3, 9), &[c, b, a], &[], "begin a, begin b, begin c", None),
        ("one is busy", limits(2, 9), &[a, b], &[busy("x", HOUR)], "begin a", Some(Hold::InProgress)),
        ("busy since long", limits(1, 9), &[a], &[busy("x", DAY * 9)], "", Some(Hold::InProgress)),
        ("settled is not busy", limits(1, 9), &[a], &[MadeService { progress: Progress::Settled, ..made("x") }], "begin a", None),
        ("what is begun comes first, and has its place", limits(2, 9), &[a, b, begun("d", 4)], &[], "make d, begin a", Some(Hold::InProgress)),
        ("more is begun than there is room", limits(1, 9), &[begun("d", 4), begun("e", 5)], &[], "make d", Some(Hold::InProgress)),
        ("the limit was lowered", limits(1, 9), &[begun("d", 4)], &[busy("x", HOUR), busy("y", HOUR)], "", Some(Hold::InProgress)),
        ("a day", limits(9, 2), &[a, b], &[ready("x", HOUR), ready("y", HOUR * 2)], "", tomorrow(HOUR * 2)),
        ("a day, one more", limits(9, 2), &[a, b], &[ready("x", HOUR)], "begin a", tomorrow(HOUR)),
        ("yesterday", limits(9, 1), &[a], &[ready("x", DAY + secs(61))], "begin a", None),
        ("almost yesterday", limits(9, 1), &[a], &[ready("x", DAY + secs(60))], "", tomorrow(DAY + secs(60))),
        ("created today and deleted", limits(9, 1), &[a, gone("d", 4, NOW - HOUR)], &[], "", tomorrow(HOUR)),
        ("created yesterday and deleted", limits(9, 1), &[a, gone("d", 4, NOW - DAY * 2)], &[], "begin a", None),
        (
            "a time that has not come",
            limits(9, 1),
            &[a],
            &[ready("x", HOUR), MadeService { created: NOW + DAY * 900, ..made("y") }],
            "",
            Some(Hold::PerDay(NOW + DAY + secs(61))),
        ),
        ("what is begun counts for the day", limits(9, 2), &[a, begun("d", 4)], &[ready("x", HOUR)], "make d", tomorrow(HOUR)),
    ];
    for (what, rule, leads, services, does, hold) in table {
        let decision = at_now(&rule, leads, services);
        assert_eq!(told(&decision), does, "{what}");
        assert_eq!(decision.hold, hold, "{what}");
    }
}

/// An object whose time has not come counts for a day from the moment at which it is noticed, and not for ever.
#[test]
fn a_time_that_has_not_come_counts_for_a_day() {
    let rule = OnboardingRule { limits: RuleLimits { in_progress: 5, per_day: 1 }, ..rule() };
    let services = [MadeService { created: NOW + DAY * 900, ..made("x") }];
    let mut memory = OnboardingMemory::default();
    for (after, does) in [(secs(0), ""), (HOUR, ""), (DAY, ""), (DAY + secs(61), "begin a")] {
        let leads = [lead("a", 1)];
        let decision = decide(NOW + after, Some(&rule), PlatformNames::Known(&free), leads.into_iter(), &services, &mut memory);
        assert_eq!(told(&decision), does, "after {after:?}");
    }
}

/// Nothing is created while the rule is suspended or the list is not known, and what was created is finished all the same: otherwise nobody could delete it.
#[test]
fn what_stops_a_rule_does_not_stop_its_end() {
    let held = MadeService { held: true, ..made("h") };
    let lead_h = Candidate { mark: begun("benelux"), object: NamedLikeLead::Made(&held), ..lead("h", 1) };
    let leads = [lead_h, lead("a", 2)];
    let trouble = Trouble::new(Reason::PlatformUnavailable, "The platform does not answer.");
    let suspended = OnboardingRule { suspended: true, ..rule() };
    let plain = rule();
    let table: [(&str, Option<&OnboardingRule<'_>>, PlatformNames<'_>, Option<Hold>); 3] = [
        ("suspended", Some(&suspended), PlatformNames::Known(&free), Some(Hold::Suspended)),
        ("no list", Some(&plain), PlatformNames::Unknown(&trouble), Some(Hold::Platform(trouble.clone()))),
        ("deleted", None, PlatformNames::Known(&free), None),
    ];
    for (what, rule, platform, hold) in table {
        let decision = decide(NOW, rule, platform, leads.into_iter(), &[held], &mut OnboardingMemory::default());
        assert_eq!(told(&decision), "finish h", "{what}");
        assert_eq!(decision.hold, hold, "{what}");
    }
}

/// Plan becomes Apply where nobody has touched the object, as fast as the limit allows, and before anything new is begun.
#[test]
fn plans_are_applied() {
    let plan = |name| MadeService { progress: Progress::Settled, untouched_plan: true, ..made(name) };
    let services = [plan("p"), plan("q"), MadeService { untouched_plan: false, ..plan("r") }, MadeService { progress: Progress::InProgress, ..plan("s") }];
    let of = |at: usize| Candidate { object: NamedLikeLead::Made(&services[at]), ..lead(services[at].name, at) };
    let other = Candidate { matches: RuleMatch::No, ..of(1) };
    let two = RuleLimits { in_progress: 2, per_day: 50 };
    let table: [(&str, Mode, RuleLimits, &[Candidate<'_>], &str); 5] = [
        ("Plan", Mode::Plan, two, &[of(0), of(1), of(2), of(3), lead("a", 9)], "begin a"),
        ("Apply", Mode::Apply, RuleLimits::default(), &[of(0), of(1), of(2), of(3), lead("a", 9)], "apply p, apply q, apply s, begin a"),
        ("room for one more, beside the one that is busy", Mode::Apply, two, &[of(0), of(1), of(2), of(3), lead("a", 9)], "apply p, apply s"),
        ("the lead is not selected any more", Mode::Apply, RuleLimits::default(), &[other], ""),
        ("suspended", Mode::Apply, RuleLimits::default(), &[of(0)], ""),
    ];
    for (what, mode, limits, leads, does) in table {
        let rule = OnboardingRule { mode, limits, suspended: what == "suspended", ..rule() };
        assert_eq!(told(&at_now(&rule, leads, &services)), does, "{what}");
    }
}

/// What was written and no store shows keeps its place, until it is seen or can't be executed any more.
#[test]
fn what_is_not_seen_yet_has_its_place() {
    let rule = OnboardingRule { limits: RuleLimits { in_progress: 1, per_day: 50 }, ..rule() };
    let (a, b) = (lead("a", 1), lead("b", 2));
    let mut memory = OnboardingMemory::default();
    memory.marking(NOW, "a", a.tenant);
    assert_eq!(told(&with(&rule, &[a, b], &[], &mut memory)), "", "the mark is not seen");
    let seen = Candidate { mark: begun("benelux"), ..a };
    assert_eq!(told(&with(&rule, &[seen, b], &[], &mut memory)), "make a", "the mark is seen");
    memory.making(NOW, "a", a.tenant, "Contoso");
    assert_eq!(told(&with(&rule, &[seen, b], &[], &mut memory)), "", "the object is not seen");
    assert!(memory.has_just_used("contoso"));
    let ready = MadeService { held: true, ..made("a") };
    let there = Candidate { object: NamedLikeLead::Made(&ready), ..seen };
    assert_eq!(told(&with(&rule, &[there, b], &[ready], &mut memory)), "finish a, begin b", "the object is seen, and Ready");
    let later = |memory: &mut OnboardingMemory, after| {
        let leads = [seen, b];
        told(&decide(NOW + after, Some(&rule), PlatformNames::Known(&free), leads.into_iter(), &[], memory))
    };
    let mut memory = OnboardingMemory::default();
    memory.making(NOW, "a", a.tenant, "Contoso");
    assert_eq!(later(&mut memory, secs(89)), "");
    assert_eq!(later(&mut memory, secs(90)), "make a", "the create was lost");
    memory.making(NOW, "a", a.tenant, "Contoso");
    memory.not_written("a");
    assert_eq!(later(&mut memory, secs(0)), "make a", "it was certainly not created");
}

/// What the API server refuses is told, waits with growing delays, and gives its place to others. What refuses everything stops the rule.
#[test]
fn what_the_cluster_refuses() {
    let rule = OnboardingRule { limits: RuleLimits { in_progress: 1, per_day: 50 }, ..rule() };
    let (a, b) = (Candidate { mark: begun("benelux"), ..lead("a", 1) }, lead("b", 2));
    let mut memory = OnboardingMemory::default();
    memory.making(NOW, "a", a.tenant, "Contoso");
    assert!(memory.refused(NOW, "a", &a.tenant, ClusterRefusal::Policy, "a label is missing"));
    let decision = with(&rule, &[a, b], &[], &mut memory);
    assert_eq!(told(&decision), "begin b");
    assert_eq!(decision.refusals[0].reason, Reason::ClusterRefused);
    assert!(decision.refusals[0].message.contains("a label is missing"), "{}", decision.refusals[0].message);
    assert!(decision.again.is_some_and(|again| again > NOW));
    let mut memory = OnboardingMemory::default();
    assert!(!memory.refused(NOW, "a", &a.tenant, ClusterRefusal::NoRight, "forbidden"));
    let decision = with(&rule, &[a, b], &[], &mut memory);
    assert_eq!(told(&decision), "");
    assert!(matches!(&decision.hold, Some(Hold::Cluster(trouble)) if trouble.reason == Reason::ClusterRefused), "{:?}", decision.hold);
    let verdict = decision.verdict();
    assert!(verdict.ready == ConditionStatus::False && verdict.stalled);
    memory.ask("another version of the spec");
    assert_eq!(told(&with(&rule, &[a, b], &[], &mut memory)), "make a");
}

/// Two Leads of one tenant get one object, and leads with one company's name each a short name of their own, also beside what was just created.
#[test]
fn what_is_chosen_in_one_decision() {
    let twin = Candidate { tenant: numbered(1), ..lead("b", 2) };
    assert_eq!(told(&at_now(&rule(), &[lead("a", 1), twin, lead("c", 3)], &[])), "begin a, begin c");
    let mut memory = OnboardingMemory::default();
    memory.making(NOW, "x", numbered(77), "CONTOSO_2");
    let decision = with(&rule(), &[lead("a", 1), lead("b", 2), lead("c", 3)], &[], &mut memory);
    let names: Vec<&str> = short_names(&decision);
    assert_eq!(names, ["Contoso", "Contoso_3", "Contoso_4"]);
    let refuse = OnboardingRule { collision: Collision::Refuse, ..rule() };
    assert_eq!(told(&at_now(&refuse, &[lead("a", 1), lead("b", 2)], &[])), "begin a");
}

fn short_names(decision: &OnboardingDecision) -> Vec<&str> {
    let short_name = |action: &'_ OnboardingAction| match action {
        OnboardingAction::Begin(_) | OnboardingAction::Make(_) => true,
        OnboardingAction::Finish { .. } | OnboardingAction::Adjust { .. } => false,
    };
    let new = decision.actions.iter().filter(|action| short_name(action));
    new.map(|action| match action {
        OnboardingAction::Begin(service) | OnboardingAction::Make(service) => service.short_name.as_str(),
        _ => "",
    })
    .collect()
}

/// What a company's name becomes.
#[test]
fn names_that_fit() {
    use ShortNameRule::{Alphanumeric, Portal};
    let table: [(&str, ShortNameRule, Option<&str>); 16] = [
        ("Contoso", Portal, Some("Contoso")),
        ("Contoso Netherlands B.V.", Portal, Some("ContosoNetherla")),
        ("Smith & Sons", Portal, Some("Smith&Sons")),
        ("Smith & Sons", Alphanumeric, Some("SmithSons")),
        ("Con-Toso", Alphanumeric, Some("ConToso")),
        ("A/B: \"C\"", Portal, Some("ABC")),
        ("HP", Portal, Some("HP_")),
        ("X", Alphanumeric, Some("X__")),
        ("CON", Portal, Some("CON_")),
        ("Lpt1", Alphanumeric, Some("Lpt1_")),
        ("Audit Partners", Portal, Some("Partners")),
        ("aauditudit Ltd", Portal, Some("Ltd")),
        ("Audit", Portal, None),
        ("...", Portal, None),
        ("&-+", Portal, None),
        ("", Portal, None),
    ];
    for (text, rule, expected) in table {
        assert_eq!(fit_short_name(text, rule).as_deref(), expected, "{text:?} by {rule:?}");
    }
    let long = "ü".repeat(300);
    assert_eq!(fit_full_name(" Contoso\tB.V.\n").as_deref(), Some("Contoso B.V."));
    assert_eq!(fit_full_name(&long).map(|name| name.chars().count()), Some(200));
    assert_eq!(fit_full_name("\n \t"), None);
}

/// The annotation's text, and what is made of other texts: nothing is created for a lead whose mark is not understood.
#[test]
fn texts_of_the_mark() {
    let time = |text: &str| (text == "2026-11-29T10:00:00Z").then_some(NOW);
    let table: [(&str, LeadMark<'_>); 9] = [
        ("benelux/uid-1/begun", begun("benelux")),
        ("former/uid-1/begun", LeadMark::Begun { policy: "former", gone: true }),
        ("benelux/uid-1/2026-11-29T10:00:00Z", LeadMark::Made { policy: "benelux", at: Some(NOW) }),
        ("benelux/uid-1", LeadMark::Made { policy: "benelux", at: None }),
        ("benelux/uid-1/yesterday", LeadMark::Unreadable),
        ("benelux/uid-1/begun/", LeadMark::Unreadable),
        ("benelux/", LeadMark::Unreadable),
        ("benelux", LeadMark::Unreadable),
        ("", LeadMark::Unreadable),
    ];
    for (text, mark) in table {
        assert_eq!(LeadMark::parse(text, |policy| policy == "benelux", time), mark, "{text:?}");
    }
    let written = [(LeadMark::begun_text("benelux", "uid-1"), 0), (LeadMark::made_text("benelux", "uid-1", "2026-11-29T10:00:00Z"), 2)];
    for (text, row) in written {
        assert_eq!(text, table[row].0);
    }
}

/// The verdict of a policy: Ready while it is followed, whoever waits or is refused.
#[test]
fn verdicts() {
    let suspended = OnboardingRule { suspended: true, ..rule() };
    let one = OnboardingRule { limits: RuleLimits { in_progress: 1, per_day: 1 }, ..rule() };
    let refused = Candidate { mark: LeadMark::Unreadable, ..lead("c", 3) };
    let table: [(&str, &OnboardingRule<'_>, &[Candidate<'_>], &str, &str); 4] = [
        ("nothing to do", &rule(), &[], "True Succeeded -", "Every lead that this policy selects"),
        ("suspended", &suspended, &[lead("a", 1)], "False Suspended -", "spec.suspend"),
        ("limits", &one, &[lead("a", 1), lead("b", 2)], "True Succeeded -", "More leads wait because spec.limits.inProgress"),
        ("refusals", &rule(), &[refused], "True Succeeded -", "Some leads are refused"),
    ];
    for (what, rule, leads, says, message) in table {
        let verdict = at_now(rule, leads, &[]).verdict();
        assert_eq!(crate::says(&verdict), says, "{what}");
        assert!(verdict.message.starts_with(message), "{what}: {}", verdict.message);
    }
}

fn a_mark() -> impl Strategy<Value = LeadMark<'static>> {
    let time = prop_oneof![Just(NOW - HOUR), Just(NOW - DAY * 3), Just(NOW + DAY * 30), Just(Time(i64::MIN)), Just(Time(i64::MAX))];
    let policy = prop_oneof![Just("benelux"), Just("europe")];
    prop_oneof![
        3 => Just(LeadMark::None),
        2 => (policy.clone(), any::<bool>()).prop_map(|(policy, gone)| LeadMark::Begun { policy, gone }),
        2 => (policy, proptest::option::of(time)).prop_map(|(policy, at)| LeadMark::Made { policy, at }),
        1 => Just(LeadMark::Unreadable),
    ]
}

fn a_service() -> impl Strategy<Value = Option<MadeService<'static>>> {
    let time = prop_oneof![Just(NOW - HOUR), Just(NOW - DAY * 3), Just(NOW + DAY * 30), Just(Time(i64::MIN)), Just(Time(i64::MAX))];
    let progress = prop_oneof![Just(Progress::InProgress), Just(Progress::Settled), Just(Progress::Ready)];
    let service = (time, progress, any::<bool>(), any::<bool>());
    let service = service.prop_map(|(created, progress, held, untouched_plan)| MadeService { name: "", created, progress, held, untouched_plan });
    proptest::option::of(service)
}

const TEXTS: [&str; 6] = ["Contoso", "contoso", "Contoso Netherlands", "CON", "***", "Audit Partners"];

proptest! {
    /// Any text becomes a name that the platform's rule allows, or none.
    #[test]
    fn any_name_fits(text in "[ -~]{0,40}|(audit|con|com1|[. ]){0,6}", alphanumeric in any::<bool>()) {
        let rule = if alphanumeric { ShortNameRule::Alphanumeric } else { ShortNameRule::Portal };
        if let Some(name) = fit_short_name(&text, rule) {
            prop_assert!(ShortName::parse(&name, rule).is_ok(), "{text:?} becomes {name:?}");
        }
        if let Some(name) = fit_full_name(&text) {
            prop_assert!((1..=200).contains(&name.chars().count()) && name.trim() == name);
        }
    }

    /// Whatever is there: no limit is exceeded, each name is valid and free, no lead is dealt with twice, and none that was created for.
    #[test]
    fn any_leads(
        leads in proptest::collection::vec((a_mark(), a_service(), 0..TEXTS.len(), any::<bool>(), any::<bool>()), 0..12),
        in_progress in 0u32..6, per_day in 0u32..6, refuse in any::<bool>(), applies in any::<bool>(),
        unseen in proptest::collection::vec((0usize..14, 0u8..3), 0..4),
    ) {
        let names: Vec<String> = (0..leads.len()).map(|number| format!("lead-{number}")).collect();
        let services: Vec<MadeService<'_>> = leads.iter().zip(&names).filter_map(|((_, service, ..), name)| Some(MadeService { name, ..(*service)? })).collect();
        let candidates: Vec<Candidate<'_>> = leads.iter().zip(&names).enumerate().map(|(at, ((mark, _, text, eligible, matched), name))| {
            let object = services.iter().find(|service| service.name == name).map_or(NamedLikeLead::None, NamedLikeLead::Made);
            let matches = if *matched { RuleMatch::Yes { short_name: TEXTS[*text], full_name: TEXTS[*text] } } else { RuleMatch::No };
            Candidate { mark: *mark, object, matches, eligible: *eligible, ..lead(name, at) }
        }).collect();
        let rule = OnboardingRule {
            limits: RuleLimits { in_progress, per_day },
            collision: if refuse { Collision::Refuse } else { Collision::Number },
            mode: if applies { Mode::Apply } else { Mode::Plan },
            ..rule()
        };
        let taken = |name: &str| name == "contoso_2";
        let mut memory = OnboardingMemory::default();
        for (at, what) in unseen {
            let name = format!("lead-{at}");
            match what {
                0 => memory.marking(NOW, &name, numbered(at)),
                1 => memory.making(NOW, &name, numbered(at), "contoso"),
                _ => memory.adjusting(NOW, &name),
            }
        }
        let again = memory.clone();
        let decision = decide(NOW, Some(&rule), PlatformNames::Known(&taken), candidates.iter().copied(), &services, &mut memory);
        prop_assert_eq!(&decision, &decide(NOW, Some(&rule), PlatformNames::Known(&taken), candidates.iter().copied(), &services, &mut again.clone()));
        let created: Vec<&str> = decision.actions.iter().filter_map(|action| match action {
            OnboardingAction::Begin(service) | OnboardingAction::Make(service) => Some(service.name.as_str()),
            _ => None,
        }).collect();
        let adjusted = decision.actions.iter().filter(|action| matches!(action, OnboardingAction::Adjust { .. })).count();
        let busy = services.iter().filter(|service| service.progress == Progress::InProgress).count();
        let planned = services.iter().filter(|service| service.progress == Progress::InProgress && service.untouched_plan).count();
        prop_assert!(created.is_empty() || busy + created.len() + adjusted <= in_progress as usize + planned);
        let today = services.iter().filter(|service| service.created == NOW - HOUR || service.created > NOW).count();
        prop_assert!(created.is_empty() || today + created.len() <= per_day as usize);
        prop_assert_eq!(created.iter().collect::<BTreeSet<_>>().len(), created.len());
        for name in &created {
            let lead = candidates.iter().find(|lead| lead.name == *name).expect("a lead");
            let was_created = matches!(lead.mark, LeadMark::Made { .. } | LeadMark::Unreadable);
            prop_assert!(lead.object == NamedLikeLead::None && !was_created && lead.eligible);
        }
        let chosen: Vec<String> = short_names(&decision).into_iter().map(fold_case).collect();
        prop_assert!(chosen.iter().all(|name| ShortName::parse(name, ShortNameRule::Portal).is_ok() && !taken(name)));
        prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len());
    }
}
