//! The breaker for vanished services: what is believed, what waits for a person, and what an object concludes until then.

use std::collections::BTreeSet;

use oc_domain::absence::{AbsenceCount, AbsenceLedger, Account, Belief, settle};
use oc_domain::conditions::Reason;
use oc_domain::facts::{DeletionPolicy, Facts, ServicesView};
use oc_domain::service::ServiceTarget;
use oc_domain::time::Time;
use oc_domain::{lead, platform};
use proptest::prelude::*;

use crate::common::{NOW, be, desired, empty_platform, facts, guid, secs, tenant, verified};
use crate::{at, told};

const HOUR: u64 = 3600;

fn here() -> Account {
    Account { url: "https://live.example.com:443/tenantui".into(), identity: "directory/application".into() }
}

fn elsewhere() -> Account {
    Account { url: "https://stage.example.com:443/tenantui".into(), ..here() }
}

/// This many objects have recorded something, and these ids are missing.
fn counted(recorded: usize, missing: &[&str]) -> AbsenceCount {
    AbsenceCount { recorded, missing: missing.iter().map(|id| (*id).to_owned()).collect(), asked: 0 }
}

/// A ledger of a known platform, with nothing missing.
fn known() -> AbsenceLedger {
    settle(NOW - secs(2 * HOUR), NOW, &here(), None, &AbsenceLedger::default(), &counted(3, &[]))
}

/// Counts `after` seconds, by lists begun at that moment.
fn after(seconds: u64, ledger: &AbsenceLedger, approval: Option<&str>, counted: &AbsenceCount) -> AbsenceLedger {
    let now = NOW + secs(seconds);
    settle(now, now, &here(), approval, ledger, counted)
}

fn may(ledger: &AbsenceLedger, seconds: u64, counted: &AbsenceCount, uid: &str) -> &'static str {
    match ledger.belief(NOW + secs(seconds), &here(), counted, uid) {
        Belief::Believed => "believed",
        Belief::Doubted => "doubted",
        Belief::Held(_) => "held",
    }
}

#[test]
fn one_is_believed_and_more_within_the_hour_are_not() {
    let one = counted(3, &["a"]);
    assert_eq!(may(&known(), 0, &one, "a"), "doubted", "it is counted first");
    let ledger = after(0, &known(), None, &one);
    assert_eq!((ledger.held, may(&ledger, 1, &one, "a"), may(&ledger, 1, &one, "b")), (0, "believed", "believed"));
    // The object has accepted it. Another one vanishes within the hour, and then after it.
    let next = counted(2, &["b"]);
    assert_eq!(after(HOUR - 1, &ledger, None, &next).held, 1);
    assert_eq!(after(HOUR + 1, &ledger, None, &next).held, 0);
    // A service that the same object created again is a different one: the grant was for the previous one.
    let again = counted(3, &["a-again"]);
    assert_eq!((may(&ledger, 60, &again, "a-again"), after(60, &ledger, None, &again).held), ("doubted", 1));
    // One in a hundred, and never more than a hundred.
    for (recorded, room) in [(1, 1), (199, 1), (200, 2), (5_000, 50), (1_000_000, 100)] {
        for (more, held) in [(0, false), (1, true)] {
            let missing: BTreeSet<String> = (0..room + more).map(|number| number.to_string()).collect();
            let counted = AbsenceCount { recorded, missing, asked: 0 };
            assert_eq!(after(0, &known(), None, &counted).held > 0, held, "{recorded} recorded, {} missing", room + more);
        }
    }
}

/// What an object is told: nothing for half a minute, so that one wrong list costs no write; then what to do.
#[test]
fn many_are_held_until_all_of_it_shows_again() {
    let two = counted(10, &["a", "b"]);
    assert_eq!(may(&known(), 0, &two, "a"), "doubted", "the list alone is enough to doubt, whatever status says yet");
    let held = after(0, &known(), None, &two);
    assert_eq!((held.held, may(&held, 20, &two, "a"), may(&held, 31, &two, "a")), (2, "doubted", "held"));
    assert_eq!(may(&held, 31, &two, "c"), "believed", "what others miss is not this one's, while most of it shows");
    let half = counted(4, &["a", "b"]);
    assert_eq!(may(&held, 31, &half, "new"), "held", "by a list that lacks half of it nobody makes anything");
    // One of them is back: the breaker holds until the last one is.
    let still = after(HOUR * 5, &held, None, &counted(10, &["a"]));
    assert_eq!((still.held, may(&still, HOUR * 5, &counted(10, &["a"]), "a")), (1, "held"));
    let over = after(HOUR * 6, &still, None, &counted(10, &[]));
    assert_eq!((over.held, over.since, over.trouble(NOW, &here())), (0, None, None));
}

#[test]
fn a_person_says_that_it_is_gone() {
    let two = counted(10, &["a", "b"]);
    let before = AbsenceLedger { handled: None, ..known() };
    let held = after(0, &before, Some("from Git"), &two);
    assert_eq!((held.held, held.handled.as_deref()), (2, Some("from Git")), "what stood there before says nothing");
    assert_eq!(after(40, &held, Some("from Git"), &two), held, "nor does it later");
    assert!(held.trouble(NOW + secs(10), &here()).is_some_and(|told| !told.message.contains("approve")), "nobody is asked yet");
    assert!(held.trouble(NOW + secs(40), &here()).is_some_and(|told| told.message.contains("operatorconnect.dev/approve-absences")));
    // Too early: the approval counts when a list of half a minute later agrees, and not when that list lacks more.
    assert_eq!(after(10, &held, Some("yes"), &two), held);
    let old_list = settle(NOW + secs(40), NOW + secs(5), &here(), Some("yes"), &held, &two);
    assert_eq!(old_list, held, "a list of before is no later one");
    let grown = after(40, &held, Some("yes"), &counted(10, &["a", "b", "c"]));
    assert_eq!((grown.held, grown.handled.as_deref()), (3, Some("yes")), "the person has seen two");
    assert_eq!(after(100, &grown, Some("yes"), &counted(10, &["a", "b", "c"])).held, 3);
    let accepted = after(40, &held, Some("yes"), &two);
    assert_eq!((accepted.held, accepted.accepted, may(&accepted, 41, &two, "a")), (0, 2, "believed"));
    // One object has accepted it. A third service vanishes: it is the hour's one. A fourth is not.
    let left = after(50, &accepted, Some("yes"), &counted(9, &["b"]));
    assert_eq!((left.held, left.accepted), (0, 1));
    let third = after(60, &left, Some("yes"), &counted(9, &["b", "c"]));
    assert_eq!((third.held, may(&third, 61, &counted(9, &["b", "c"]), "c")), (0, "believed"));
    assert!(after(70, &third, Some("yes"), &counted(9, &["b", "c", "d", "e"])).held > 0);
    let done = after(80, &third, Some("yes"), &counted(7, &[]));
    assert_eq!((done.accepted, done.held), (0, 0));
}

/// At another account, nothing is concluded from what is not listed there, and nothing while the account of the records is unknown.
#[test]
fn at_another_account_even_one_is_held() {
    for (what, ledger, account) in [("moved", known(), elsewhere()), ("status was lost", AbsenceLedger::default(), here())] {
        let one = counted(50, &["a"]);
        let held = settle(NOW, NOW, &account, None, &ledger, &one);
        assert_eq!((held.held, held.known.clone()), (1, ledger.known.clone()), "{what}");
        let hears = |held: &AbsenceLedger, uid| held.belief(NOW + secs(31), &account, &one, uid);
        assert_eq!(hears(&ledger, "a"), Belief::Doubted, "{what}, not counted yet");
        assert!(matches!(hears(&held, "a"), Belief::Held(_)), "{what}");
        assert!(matches!(hears(&held, "new"), Belief::Held(_)), "{what}: nothing new is begun there either");
        assert_eq!(ledger.belief(NOW, &account, &counted(0, &[]), "new"), Belief::Doubted, "{what}: nor before it is written for which account that is");
        // Everything is listed: it is the same platform under another name, and is known from then on.
        let all = settle(NOW + secs(60), NOW + secs(60), &account, None, &held, &counted(50, &[]));
        assert_eq!((all.held, all.known), (0, Some(account.clone())), "{what}");
        let said = settle(NOW + secs(60), NOW + secs(60), &account, Some("yes"), &held, &one);
        assert_eq!((said.held, said.accepted, said.known), (0, 1, Some(account)), "{what}: a person has said so");
    }
    // A create requested at the former account is waited for, though nothing was read back yet.
    let asked = AbsenceCount { asked: 1, ..AbsenceCount::default() };
    assert_eq!(settle(NOW, NOW, &elsewhere(), None, &known(), &asked).held, 1);
    assert_eq!(
        settle(NOW, NOW, &here(), None, &AbsenceLedger::default(), &asked).held,
        0,
        "an operator that never wrote an account begins in the middle of creates"
    );
    // Back before anyone has approved anything.
    let moved = settle(NOW, NOW, &elsewhere(), None, &known(), &counted(50, &["a", "b"]));
    assert_eq!(after(60, &moved, None, &counted(50, &[])), known());
}

/// What was believed to be gone at one place says nothing of another: there it was never looked for.
#[test]
fn what_was_believed_at_one_place_is_not_believed_at_another() {
    let gone = counted(3, &["a"]);
    let ledger = after(0, &known(), None, &gone);
    assert_eq!((ledger.held, may(&ledger, 1, &gone, "a")), (0, "believed"));
    assert_eq!(ledger.belief(NOW + secs(1), &elsewhere(), &gone, "a"), Belief::Doubted);
    let there = settle(NOW + secs(1), NOW + secs(1), &elsewhere(), None, &ledger, &gone);
    assert_eq!((there.held, there.known), (1, Some(here())), "nothing at the other place makes it the known one");
}

/// An hour that passes writes nothing (law L6), and what is read back after a restart is equal.
#[test]
fn nothing_changes_while_nothing_is_missing() {
    let believed = after(0, &known(), None, &counted(3, &["a"]));
    for seconds in [60, HOUR, 100 * HOUR] {
        assert_eq!(after(seconds, &believed, None, &counted(2, &[])), believed, "after {seconds} s");
        assert_eq!(after(seconds, &known(), None, &counted(2, &[])), known());
    }
    let held = after(0, &known(), None, &counted(3, &["a", "b"]));
    for time in believed.believed.values().chain(&held.since) {
        assert_eq!(*time, time.whole_second());
    }
}

/// Unreadable entries of a list are not missing, and readable ones exist, so one bad entry prevents no object from starting.
#[test]
fn a_list_with_holes_proves_no_absence_and_shows_what_it_shows() {
    let counts = |before: &AbsenceLedger, unreadable: [usize; 2], missing: &[&str]| {
        let [services, leads] = unreadable.map(crate::common::known);
        let record = platform::PlatformRecord { absences: before.clone(), ..platform::PlatformRecord::default() };
        let desired = platform::DesiredPlatform { account: here(), ..crate::platform::desired() };
        platform::decide(NOW, &desired, &record, &platform::PlatformFacts { services, leads, counted: Some(counted(5, missing)), ..crate::platform::facts() })
    };
    let first = counts(&AbsenceLedger::default(), [1, 0], &[]);
    assert_eq!(first.record.absences, AbsenceLedger { known: Some(here()), ..AbsenceLedger::default() }, "a new platform with a bad entry");
    for unreadable in [[1, 0], [0, 1]] {
        assert_eq!(counts(&known(), unreadable, &["a"]).record.absences, known(), "none is believed");
        assert_eq!(counts(&known(), unreadable, &["a", "b"]).record.absences, known(), "and none held");
    }
    assert_eq!(counts(&known(), [0, 0], &["a", "b"]).record.absences.held, 2);
    // The object itself reports what it reports for any list with gaps.
    let view = ServicesView { complete: false, ..ServicesView::default() };
    let facts = Facts { belief: Belief::Doubted, services: crate::common::known(view), ..empty_platform() };
    assert_eq!(told(&at(NOW, &be(desired()), &verified(), &facts)), "stop: False PlatformUnavailable Reconciling");
}

/// What an object concludes from a list that does not show its service.
#[test]
fn what_an_object_concludes() {
    let doubt = |belief: Belief| move |facts: Facts| Facts { belief, ..facts };
    let held = || {
        let two = counted(2, &["a", "b"]);
        after(0, &known(), None, &two).belief(NOW + secs(31), &here(), &two, "a")
    };
    let again = || oc_domain::service::DesiredService { recreate: true, ..desired() };
    let gone = crate::delete::gone;
    let table: [(&str, ServiceTarget, Belief, &str); 9] = [
        ("doubted", be(desired()), Belief::Doubted, "wait: False Verifying Reconciling"),
        ("held", be(desired()), held(), "stop: False AbsenceUnconfirmed Stalled"),
        ("believed", be(desired()), Belief::Believed, "stop: False DeletedExternally Stalled"),
        ("doubted, to be made again", be(again()), Belief::Doubted, "wait: False Verifying Reconciling"),
        ("held, to be made again", be(again()), held(), "stop: False AbsenceUnconfirmed Stalled"),
        ("doubted, going", gone(DeletionPolicy::Delete), Belief::Doubted, "wait: False Verifying Reconciling"),
        ("held, going", gone(DeletionPolicy::Delete), held(), "stop: False AbsenceUnconfirmed Stalled"),
        ("believed, going", gone(DeletionPolicy::Delete), Belief::Believed, "release: False Deleting Reconciling"),
        ("held, going, and it stays there anyway", gone(DeletionPolicy::Retain), held(), "release: False Deleting Reconciling"),
    ];
    for (what, target, belief, expected) in table {
        let decision = at(NOW, &target, &verified(), &doubt(belief.clone())(empty_platform()));
        assert_eq!(told(&decision), expected, "{what}");
        if belief != Belief::Believed {
            assert_eq!((decision.record.license, decision.record.guid), (verified().license, Some(guid(1))), "{what}: nothing is forgotten");
        }
    }
    // Another service of the tenant, where its own is not listed, proves nothing either.
    for belief in [Belief::Doubted, held()] {
        let another = Facts { services: crate::common::known(crate::common::view(&[crate::common::service(2)])), ..doubt(belief.clone())(empty_platform()) };
        let decision = at(NOW, &be(desired()), &verified(), &another);
        assert_eq!(decision.record.license, verified().license, "{belief:?}: {:?}", decision.verdict);
    }
    // A Ready object reports nothing new while its absence is only doubted.
    let ready = Facts { belief: Belief::Doubted, ready_at_generation: true, ..empty_platform() };
    assert!(at(NOW, &be(desired()), &verified(), &ready).hold);
    let held = Facts { belief: held(), ready_at_generation: true, ..empty_platform() };
    assert!(!at(NOW, &be(desired()), &verified(), &held).hold);
}

#[test]
fn what_a_lead_concludes() {
    let held = || Belief::Held(oc_domain::conditions::Trouble::new(Reason::AbsenceUnconfirmed, "x"));
    let consentless = |consentless| lead::DesiredLead {
        tenant: tenant(),
        consentless: crate::common::company(consentless),
        channel: None,
        deletion_policy: DeletionPolicy::Delete,
        rival: None,
        served: false,
    };
    let record = || oc_domain::record::Record { finalizer: true, ..Default::default() };
    let seen = |belief| Facts { belief, ..facts() };
    for target in [
        lead::LeadTarget::Present(consentless(true)),
        lead::LeadTarget::Present(consentless(false)),
        lead::LeadTarget::Absent { policy: DeletionPolicy::Delete, tenant: Some(tenant()), suspended: false },
    ] {
        for (belief, expected) in [(Belief::Doubted, Reason::Verifying), (held(), Reason::AbsenceUnconfirmed)] {
            let none = Facts { leads: crate::common::known_leads(vec![]), ..seen(belief) };
            let decision = lead::decide(NOW, &target, &record(), &none);
            assert_eq!(decision.verdict.reason, expected, "{target:?}: {:?}", decision.step);
        }
    }
}

/// An event on a platform with five services.
#[derive(Clone, Debug)]
enum Life {
    /// The list shows these of them.
    Shows(BTreeSet<u8>),
    /// Time passes, in seconds.
    Passes(u64),
    /// The platform object is reconciled; with `false` its status cannot be written.
    Counts(bool),
    /// An object accepts what it may.
    Concludes(u8),
    /// A person confirms that what is missing is gone.
    Approves,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let one = prop_oneof![
        4 => proptest::collection::btree_set(0u8..5, 0..6).prop_map(Life::Shows),
        4 => prop_oneof![Just(1), Just(29), Just(31), Just(3600)].prop_map(Life::Passes),
        8 => prop::bool::weighted(0.9).prop_map(Life::Counts),
        6 => (0u8..5).prop_map(Life::Concludes),
        1 => Just(Life::Approves),
    ];
    proptest::collection::vec(one, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    /// Within any hour, at most one object concludes that its service is gone, unless a person has confirmed it; and no more than was reported missing of what
    /// a person has accepted.
    #[test]
    fn no_hour_believes_more_than_its_room(lives in lives()) {
        let (mut now, mut ledger, mut shows, mut approvals) = (NOW, known(), (0u8..5).collect::<BTreeSet<u8>>(), 0u32);
        let mut recorded: BTreeSet<u8> = shows.clone();
        let (mut granted, mut accepted, mut by_word): (BTreeSet<String>, u32, u32) = (BTreeSet::new(), 0, 0);
        for life in lives {
            let missing: BTreeSet<String> = recorded.difference(&shows).map(ToString::to_string).collect();
            let counted = AbsenceCount { recorded: recorded.len(), missing, asked: 0 };
            match life {
                Life::Shows(these) => shows = these,
                Life::Passes(seconds) => now = now + secs(seconds),
                Life::Counts(writes) => {
                    let approval = approvals.to_string();
                    let next = settle(now, now, &here(), Some(&approval).filter(|_| approvals > 0).map(String::as_str), &ledger, &counted);
                    if writes {
                        accepted += next.accepted.saturating_sub(ledger.accepted);
                        ledger = next;
                    }
                }
                Life::Concludes(which) => {
                    let uid = which.to_string();
                    if counted.missing.contains(&uid) && ledger.belief(now, &here(), &counted, &uid) == Belief::Believed {
                        recorded.remove(&which);
                        by_word += u32::from(!granted.contains(&uid));
                        prop_assert!(by_word <= accepted, "{by_word} were believed without a grant, and a person has said so of {accepted}");
                        // The platform object counts before the next one concludes: `controllers::absences::changed` enqueues it.
                        let missing = recorded.difference(&shows).map(ToString::to_string).collect();
                        ledger = settle(now, now, &here(), None, &ledger, &AbsenceCount { recorded: recorded.len(), missing, asked: 0 });
                    }
                }
                Life::Approves => approvals += 1,
            }
            granted.extend(ledger.believed.keys().cloned());
            let grants: Vec<Time> = ledger.believed.values().copied().collect();
            prop_assert!(grants.iter().all(|one| grants.iter().filter(|at| **at <= *one && *one < **at + secs(HOUR)).count() <= 1), "{grants:?}");
        }
    }
}
