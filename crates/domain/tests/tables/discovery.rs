use std::collections::BTreeSet;

use oc_domain::conditions::{ConditionStatus, Reason};
use oc_domain::discovery::{Attempts, ClusterRefusal, Hindrance, Name, Rules, Used, name, platform_label};
use oc_domain::model::{Lead, MicrosoftStatus};
use proptest::prelude::*;

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
        ("french", Lead { countries: ["FR".into()].into(), ..lead() }),
        ("lower case", Lead { countries: ["be".into(), "FR".into()].into(), ..lead() }),
        ("nowhere", Lead { countries: Box::default(), ..lead() }),
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

/// Everybody gets an object: another company of the name, another tenant that begins alike, the same tenant on another platform. An object created by hand
/// belongs to none of them.
#[test]
fn names() {
    let whole = tenant().to_string();
    let (short, full, last) = ("contoso-22222222".to_owned(), format!("contoso-{whole}"), format!("lead-{whole}-team-b"));
    type Row<'a> = (&'a str, &'a [(&'a str, Used)], Name);
    let table: [Row<'_>; 6] = [
        ("nothing is there", &[], Name::Free(short.clone())),
        ("it is there", &[(&short, Used::ForThis)], Name::There),
        ("something else has the name", &[(&short, Used::ForAnother)], Name::Free(full.clone())),
        ("it is there under the whole id", &[(&short, Used::ForAnother), (&full, Used::ForThis)], Name::There),
        ("both are something else", &[(&short, Used::ForAnother), (&full, Used::ForAnother)], Name::Free(last.clone())),
        ("all are something else", &[(&short, Used::ForAnother), (&full, Used::ForAnother), (&last, Used::ForAnother)], Name::Taken(last.clone())),
    ];
    for (what, there, expected) in table {
        let used = |name: &str| there.iter().find(|(known, _)| *known == name).map(|(_, used)| *used);
        assert_eq!(name("team-b", "Contoso", &tenant(), used), expected, "{what}");
    }
    let plain = format!("lead-{whole}");
    let of_another = |name: &str| (name == plain).then_some(Used::ForAnother);
    assert_eq!(name("team-b", "", &tenant(), of_another), Name::Free(last), "a company without a name");
}

#[test]
fn a_name_is_the_company_in_small_letters() {
    let whole = tenant().to_string();
    let (longest, cut) = ("a".repeat(40), format!("{} bbb", "a".repeat(39)));
    for (company, expected) in [
        ("Contoso Netherlands", "contoso-netherlands-22222222".to_owned()),
        ("  O'Neill & Sons, Inc. ", "o-neill-sons-inc-22222222".to_owned()),
        ("3M", "3m-22222222".to_owned()),
        ("---a---B---", "a-b-22222222".to_owned()),
        ("a\u{0}b/../c", "a-b-c-22222222".to_owned()),
        ("Müller", "m-ller-22222222".to_owned()),
        (&"a".repeat(60), format!("{longest}-22222222")),
        (&cut, format!("{}-22222222", "a".repeat(39))),
        ("", format!("lead-{whole}")),
        (" .-! ", format!("lead-{whole}")),
    ] {
        assert_eq!(name("default", company, &tenant(), |_| None), Name::Free(expected), "{company:?}");
    }
}

/// A DNS label, by RFC 1123.
fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

proptest! {
    /// Whatever the company, the platform and what is there: a DNS label that nothing else has, and the same one each time.
    #[test]
    fn every_name_is_a_free_dns_label_and_stays(
        company in prop_oneof![any::<String>(), "[ -~]{0,80}", "[a-zA-Z ]{30,60}"],
        platform in "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
        number in any::<u32>(),
        taken in 0usize..4,
    ) {
        let there = std::cell::RefCell::new(Vec::new());
        for _ in 0..taken {
            if let Name::Free(free) = name(&platform, &company, &numbered(number), |name| there.borrow().iter().any(|one| one == name).then_some(Used::ForAnother)) {
                there.borrow_mut().push(free);
            }
        }
        let used = |name: &str| there.borrow().iter().any(|one| one == name).then_some(Used::ForAnother);
        let chosen = name(&platform, &company, &numbered(number), used);
        prop_assert_eq!(&chosen, &name(&platform, &company, &numbered(number), used));
        match chosen {
            Name::Free(free) => {
                prop_assert!(is_dns_label(&free) && used(&free).is_none(), "{free}");
                let whole = numbered(number).to_string();
                prop_assert!(free.contains(&whole) || free.ends_with(&format!("-{}", &whole[..8])), "{free}");
            }
            Name::Taken(last) => prop_assert!(taken >= 2 && used(&last).is_some() && is_dns_label(&last), "{last}"),
            Name::There => prop_assert!(false, "nothing is there for it"),
        }
    }

    #[test]
    fn a_platforms_name_fits_into_a_label(platform in "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?") {
        let label = platform_label(&platform);
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        prop_assert!((1..=63).contains(&label.len()) && end(label.chars().next()) && end(label.chars().last()), "{label}");
        prop_assert!(platform.len() > 63 || label == platform);
    }
}

/// The watch may deliver an object a moment after it was created: until then, it is neither created again nor is its name given to another company.
#[test]
fn what_was_just_created_counts_as_there() {
    let mut attempts = Attempts::default();
    attempts.begin(NOW, |_| true);
    attempts.made(NOW, &numbered(1), "contoso-00000001");
    let again = NOW + secs(5);
    attempts.begin(again, |_| true);
    assert_eq!((attempts.turn(again, &numbered(1)), attempts.turn(again, &numbered(2))), (None, Some(0)));
    assert!(attempts.has_just_used("contoso-00000001", &numbered(2)) && !attempts.has_just_used("contoso-00000001", &numbered(1)));
    // It has arrived: somebody who deletes it now gets it back.
    let mut arrived = attempts.clone();
    arrived.begin(again, |_| false);
    assert_eq!((arrived.turn(again, &numbered(1)), arrived.next()), (Some(0), None));
    // It never arrives: somebody deleted it before the watch saw it.
    let next = attempts.next().expect("a time");
    assert!(next <= NOW + secs(60));
    attempts.begin(next, |_| true);
    assert_eq!((attempts.turn(next, &numbered(1)), attempts.next()), (Some(0), None));
}

fn numbered(number: u32) -> oc_domain::names::TenantId {
    oc_domain::names::TenantId::parse(&format!("{number:08x}-2222-4222-8222-222222222222")).expect("a tenant")
}

/// Plays one run over the leads without an object; `takes` says which are accepted. Returns how many were tried.
fn run(attempts: &mut Attempts, at: u64, missing: &mut Vec<u32>, takes: impl Fn(u32) -> bool) -> usize {
    let now = NOW + secs(at);
    attempts.begin(now, |tenant| missing.iter().any(|number| &numbered(*number) == tenant));
    if !attempts.may_run(now) {
        return 0;
    }
    let mut due: Vec<(u32, u32)> = missing.iter().filter_map(|number| Some((attempts.turn(now, &numbered(*number))?, *number))).collect();
    due.sort_unstable();
    let mut tried = 0;
    for (_, number) in due {
        tried += 1;
        if takes(number) {
            attempts.made(now, &numbered(number), &number.to_string());
            missing.retain(|one| *one != number);
        } else if !attempts.refused(now, &numbered(number), ClusterRefusal::Policy, &format!("{number} is refused")) {
            break;
        }
    }
    tried
}

/// The reason and the counts of matched, present, made and failed leads, and the first lead of each kind of refusal.
fn told(attempts: &Attempts, matched: usize, missing: usize) -> (Reason, [usize; 4], Vec<String>) {
    let report = attempts.report(matched, missing, matched - missing);
    let (truth, reason, message) = report.condition("customers");
    assert_eq!(truth == ConditionStatus::True, reason == Reason::Succeeded, "{message}");
    let first = |hindrance: &Hindrance| format!("{:?} {}: {}", hindrance.refusal, hindrance.count, hindrance.said);
    (reason, [report.matched, report.present, report.made, report.failed], report.hindrances.iter().map(first).collect())
}

/// One bad lead costs only itself, many cost a few tries, and the problem is reported until it is over.
#[test]
fn a_lead_that_is_refused_costs_only_itself() {
    let (mut attempts, mut missing) = (Attempts::default(), (1..=30).collect::<Vec<u32>>());
    let bad = |number: u32| number != 7;
    assert_eq!(run(&mut attempts, 0, &mut missing, bad), 30);
    assert_eq!(missing, [7]);
    let expected = || (Reason::ClusterRefused, [30, 29, 29, 1], vec!["Policy 1: 7 is refused".to_owned()]);
    // The 29 others were just created: the watch has not delivered them.
    assert_eq!(told(&attempts, 30, 30), expected());
    let tried: usize = (1..=3600).map(|at| run(&mut attempts, at, &mut missing, bad)).sum();
    assert!((10..=30).contains(&tried), "{tried} tries in an hour");
    assert_eq!(told(&attempts, 30, 1), expected(), "nothing in it changes while it lasts");
    assert!(attempts.next().is_some_and(|next| next <= NOW + secs(3600 + 300)));
    assert_eq!(run(&mut attempts, 7200, &mut missing, |_| true), 1);
    assert_eq!(run(&mut attempts, 7201, &mut missing, |_| true), 0);
    assert_eq!((told(&attempts, 30, 0), attempts.next()), ((Reason::Succeeded, [30, 30, 30, 0], Vec::new()), None));
}

#[test]
fn those_that_nobody_takes_do_not_hold_the_others() {
    let (mut attempts, mut missing) = (Attempts::default(), (1..=30).collect::<Vec<u32>>());
    let bad = |number: u32| number > 5;
    assert_eq!(run(&mut attempts, 0, &mut missing, bad), 3, "the first three are refused");
    let few = (Reason::ClusterRefused, [30, 0, 0, 3], vec!["Policy 3: 1 is refused".to_owned()]);
    assert_eq!(told(&attempts, 30, 30), few, "they may be the only ones");
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
    let all = (Reason::ClusterRefused, [1000, 0, 0, 1000], vec!["Policy 1000: 1 is refused".to_owned()]);
    assert_eq!(told(&attempts, 1000, 1000), all);
    for at in 3600..3960 {
        run(&mut attempts, at, &mut missing, |_| true);
    }
    assert_eq!((missing.len(), told(&attempts, 1000, 0).0), (0, Reason::Succeeded));
}

/// The namespace is missing. A problem that concerns no lead in particular is reported at once, and not tried for each of them.
#[test]
fn what_keeps_all_from_being_made_is_told_at_once() {
    let mut attempts = Attempts::default();
    assert!(!attempts.refused(NOW, &tenant(), ClusterRefusal::NoNamespace, "namespaces \"customers\" not found"));
    let all = (Reason::InvalidSpec, [12, 2, 2, 10], vec!["NoNamespace 10: namespaces \"customers\" not found".to_owned()]);
    assert_eq!(told(&attempts, 12, 10), all);
    assert!(!attempts.may_run(NOW) && attempts.may_run(NOW + secs(300)));
    // Another spec, or a person who asks, does not wait.
    let mut asked = attempts.clone();
    asked.ask("something new");
    assert!(asked.may_run(NOW) && told(&asked, 12, 10).2.is_empty());
    attempts.made(NOW, &tenant(), "contoso");
    assert_eq!(told(&attempts, 12, 10), (Reason::Progressing, [12, 3, 3, 0], Vec::new()));
    attempts.begin(NOW, |_| false);
    assert_eq!(attempts.next(), None);
    // A temporary problem is retried and not reported.
    attempts.unanswered(NOW);
    assert_eq!(told(&attempts, 12, 10).0, Reason::Progressing);
    assert!(attempts.next().is_some());
}

/// Several things refuse: each is named with the lead that it happened to first.
#[test]
fn each_refusal_is_told_with_its_first_lead() {
    let mut attempts = Attempts::default();
    attempts.begin(NOW, |_| true);
    for (at, number, refusal) in
        [(0, 9, ClusterRefusal::NameTaken), (5, 2, ClusterRefusal::Policy), (6, 1, ClusterRefusal::Policy), (900, 9, ClusterRefusal::NameTaken)]
    {
        attempts.begin(NOW + secs(at), |_| true);
        attempts.refused(NOW + secs(at), &numbered(number), refusal, &format!("no to {number}"));
    }
    let report = attempts.report(20, 3, 0);
    let (truth, reason, message) = report.condition("customers");
    assert_eq!((truth, reason, report.failed), (ConditionStatus::False, Reason::ClusterRefused, 3));
    for words in [
        "2 leads have no Lead object in the namespace customers. For tenant 00000002-2222-4222-8222-222222222222: no to 2.",
        "1 lead has no Lead object in the namespace customers. For tenant 00000009-2222-4222-8222-222222222222: no to 9.",
        "spec.leadDiscovery.excludeTenants",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(report.trouble("customers"), None, "the platform object is in order");
}

/// What the API server of Kubernetes 1.37 answers, and whose move it is.
#[test]
fn refusals_by_the_api_servers_words() {
    let table: [(u16, &str, Option<ClusterRefusal>); 12] = [
        (404, r#"namespaces "customers" not found"#, Some(ClusterRefusal::NoNamespace)),
        (
            403,
            r#"leads.operatorconnect.dev "a" is forbidden: unable to create new content in namespace customers because it is being terminated"#,
            Some(ClusterRefusal::NoNamespace),
        ),
        (
            403,
            r#"leads.operatorconnect.dev is forbidden: User "u" cannot create resource "leads" in API group "operatorconnect.dev" in the namespace "customers""#,
            Some(ClusterRefusal::NoRight),
        ),
        (
            403,
            r#"leads.operatorconnect.dev "a" is forbidden: exceeded quota: few, requested: count/leads.operatorconnect.dev=1, used: count/leads.operatorconnect.dev=4, limited: count/leads.operatorconnect.dev=4"#,
            Some(ClusterRefusal::Quota),
        ),
        (422, r#"leads.operatorconnect.dev "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#, Some(ClusterRefusal::Policy)),
        (400, r#"admission webhook "w.example.com" denied the request: no"#, Some(ClusterRefusal::Policy)),
        (409, r#"leads.operatorconnect.dev "a" already exists"#, Some(ClusterRefusal::NameTaken)),
        (401, "Unauthorized", None),
        (429, "Too many requests", None),
        (500, "Internal error occurred", None),
        (503, "The server is unavailable", None),
        (504, "Timeout", None),
    ];
    for (code, said, expected) in table {
        assert_eq!(ClusterRefusal::parse(code, said), expected, "{code} {said}");
    }
}
