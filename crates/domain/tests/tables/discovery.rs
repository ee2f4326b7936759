use std::collections::BTreeSet;

use oc_domain::discovery::{Attempts, Name, Rules, Told, Used, name};
use oc_domain::model::{Lead, MicrosoftStatus};

use crate::common::{NOW, lead, secs, tenant};

/// Each rule by itself, against the same leads: which of them it wants.
#[test]
fn each_rule_leaves_out_its_leads() {
    let status = |status| Lead { status, ..lead() };
    let other = || MicrosoftStatus::Other("Pending".into());
    let leads: [(&str, Lead); 11] = [
        ("plain", lead()),
        ("entered", Lead { consentless: true, ..lead() }),
        ("suspended", status(MicrosoftStatus::Suspended)),
        ("removed", status(MicrosoftStatus::Removed)),
        ("not active", status(MicrosoftStatus::NotActive)),
        ("pending", status(other())),
        ("french", Lead { countries: vec!["FR".into()], ..lead() }),
        ("lower case", Lead { countries: vec!["be".into(), "FR".into()], ..lead() }),
        ("nowhere", Lead { countries: Vec::new(), ..lead() }),
        ("channel", Lead { channel: Some(1574), ..lead() }),
        ("channel 2", Lead { channel: Some(2), ..lead() }),
    ];
    let base = || Rules { consented: true, ..Rules::default() };
    let all = "plain, suspended, not active, pending, french, lower case, nowhere, channel, channel 2";
    let statuses = |wanted: &[MicrosoftStatus]| Rules { statuses: Some(wanted.to_vec()), ..base() };
    let countries = |wanted: &[&str]| Rules { countries: Some(wanted.iter().map(|country| (*country).to_owned()).collect()), ..base() };
    let channels = |wanted: &[i64]| Rules { channels: Some(wanted.to_vec()), ..base() };
    let table: [(&str, Rules, &str); 14] = [
        ("consented ones", base(), all),
        ("consentless ones", Rules { consentless: true, ..Rules::default() }, "entered"),
        ("no origin", Rules::default(), ""),
        ("Active", statuses(&[MicrosoftStatus::Active]), "plain, french, lower case, nowhere, channel, channel 2"),
        ("Removed, if named", statuses(&[MicrosoftStatus::Removed]), "removed"),
        ("two statuses", statuses(&[MicrosoftStatus::Suspended, MicrosoftStatus::NotActive]), "suspended, not active"),
        ("a word of the platform", statuses(&[other()]), "pending"),
        ("a country", countries(&["FR"]), "french, lower case"),
        ("another case", countries(&["BE"]), "lower case"),
        ("a channel", channels(&[1574]), "channel"),
        ("two channels", channels(&[2, 1574, 9]), "channel, channel 2"),
        ("a channel that no lead has", channels(&[9]), ""),
        ("an excluded tenant", Rules { excluded: BTreeSet::from([tenant()]), ..base() }, ""),
        ("another excluded tenant", Rules { excluded: BTreeSet::from([numbered(1)]), ..base() }, all),
    ];
    for (what, rules, expected) in table {
        let wanted: Vec<&str> = leads.iter().filter(|(_, lead)| rules.want(lead)).map(|(name, _)| *name).collect();
        assert_eq!(wanted.join(", "), expected, "{what}");
    }
    let both = Rules { countries: Some(vec!["NL".into()]), channels: Some(vec![1574]), ..base() };
    assert!(both.want(&leads[9].1) && !both.want(&leads[0].1), "all rules must want it");
}

/// Two platforms that discover into one namespace both get their objects, and an object created by hand belongs to neither.
#[test]
fn names() {
    let (plain, full) = (format!("lead-{}", tenant()), format!("lead-{}-team-b", tenant()));
    type Row<'a> = (&'a str, &'a [(&'a str, Used)], Name);
    let table: [Row<'_>; 5] = [
        ("nothing is there", &[], Name::Free(plain.clone())),
        ("it is there", &[(&plain, Used::ForThis)], Name::There),
        ("the same tenant of another platform", &[(&plain, Used::ForAnother)], Name::Free(full.clone())),
        ("both are there", &[(&plain, Used::ForAnother), (&full, Used::ForThis)], Name::There),
        ("both are something else", &[(&plain, Used::ForAnother), (&full, Used::ForAnother)], Name::Taken(full.clone())),
    ];
    for (what, there, expected) in table {
        let used = |name: &str| there.iter().find(|(known, _)| *known == name).map(|(_, used)| *used);
        assert_eq!(name("team-b", &tenant(), used), expected, "{what}");
    }
    let long = format!("{}.{}", "a".repeat(210), "b".repeat(40));
    let Name::Free(name) = name(&long, &tenant(), |name| name.ends_with(&tenant().to_string()).then_some(Used::ForAnother)) else { panic!("it is free") };
    assert!(name.len() <= 253 && name.ends_with('a'), "{name}");
}

fn numbered(number: u32) -> oc_domain::names::TenantId {
    oc_domain::names::TenantId::parse(&format!("{number:08x}-2222-4222-8222-222222222222")).expect("a tenant")
}

/// Plays one run over the leads without an object; `takes` says which are accepted. Returns how many were tried.
fn run(attempts: &mut Attempts, at: u64, missing: &mut Vec<u32>, takes: impl Fn(u32) -> bool) -> usize {
    let now = NOW + secs(at);
    attempts.begin(|tenant| missing.iter().any(|number| &numbered(*number) == tenant));
    if !attempts.may_run(now) {
        return 0;
    }
    let mut due: Vec<(u32, u32)> = missing.iter().filter_map(|number| Some((attempts.turn(now, &numbered(*number))?, *number))).collect();
    due.sort_unstable();
    let mut tried = 0;
    for (_, number) in due {
        tried += 1;
        if takes(number) {
            attempts.made(&numbered(number));
            missing.retain(|one| *one != number);
        } else if !attempts.refused(now, &numbered(number), &format!("{number} is refused")) {
            break;
        }
    }
    tried
}

/// One bad lead costs only itself, many cost a few tries, and the problem is reported until it is over.
#[test]
fn a_lead_that_is_refused_costs_only_itself() {
    let (mut attempts, mut missing) = (Attempts::default(), (1..=30).collect::<Vec<u32>>());
    let bad = |number: u32| number != 7;
    assert_eq!(run(&mut attempts, 0, &mut missing, bad), 30);
    assert_eq!((missing.as_slice(), attempts.told()), ([7].as_slice(), Some(Told::Some(1, "7 is refused".into()))));
    let tried: usize = (1..=3600).map(|at| run(&mut attempts, at, &mut missing, bad)).sum();
    assert!((10..=30).contains(&tried), "{tried} tries in an hour");
    assert!(attempts.next().is_some_and(|next| next <= NOW + secs(3600 + 300)));
    assert_eq!(run(&mut attempts, 7200, &mut missing, |_| true), 1);
    assert_eq!((attempts.told(), attempts.next()), (None, None));
}

#[test]
fn those_that_nobody_takes_do_not_hold_the_others() {
    let (mut attempts, mut missing) = (Attempts::default(), (1..=30).collect::<Vec<u32>>());
    let bad = |number: u32| number > 5;
    assert_eq!(run(&mut attempts, 0, &mut missing, bad), 3, "the first three are refused");
    assert_eq!(attempts.told(), Some(Told::Some(3, "1 is refused".into())), "they may be the only ones");
    for at in 1..=60 {
        run(&mut attempts, at, &mut missing, bad);
    }
    assert_eq!(missing, [1, 2, 3, 4, 5]);
}

/// A quota refuses all. It is reported, and costs few requests to the API server.
#[test]
fn what_refuses_all_is_asked_seldom_and_told() {
    let (mut attempts, mut missing) = (Attempts::default(), (1..=1000).collect::<Vec<u32>>());
    let tried: usize = (0..3600).map(|at| run(&mut attempts, at, &mut missing, |_| false)).sum();
    assert!((30..=90).contains(&tried), "{tried} tries in an hour");
    assert!(matches!(attempts.told(), Some(Told::None(said)) if said.ends_with("is refused")));
    for at in 3600..3960 {
        run(&mut attempts, at, &mut missing, |_| true);
    }
    assert_eq!((missing.len(), attempts.told()), (0, None));
}

/// The namespace is missing. A problem unrelated to any lead is reported at once, and not tried for each of them.
#[test]
fn what_keeps_all_from_being_made_is_told_at_once() {
    let mut attempts = Attempts::default();
    attempts.blocked(NOW, Some("namespaces \"leads\" not found"));
    assert_eq!(attempts.told(), Some(Told::None("namespaces \"leads\" not found".into())));
    assert!(!attempts.may_run(NOW) && attempts.may_run(NOW + secs(300)));
    attempts.made(&tenant());
    assert_eq!((attempts.told(), attempts.next()), (None, None));
    // A temporary problem is retried and not reported.
    attempts.blocked(NOW, None);
    assert_eq!(attempts.told(), None);
    assert!(attempts.next().is_some());
}
