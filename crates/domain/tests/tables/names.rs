use oc_domain::model::{LicenseType, MicrosoftStatus};
use oc_domain::names::{CustomerGuid, LeadId, ShortName, ShortNameRule, TaskId, TenantId};

use ShortNameRule::{Alphanumeric, Portal};

/// S3: each rule, with a name that breaks only that rule and the word by which the refusal names it; `None`: it must pass.
#[test]
fn short_names() {
    let table: [(&str, ShortNameRule, Option<&str>); 34] = [
        ("abc", Portal, None),
        ("ab", Portal, Some("3 to 15")),
        ("", Portal, Some("3 to 15")),
        ("fifteen_letters", Portal, None),
        ("sixteen_letters_", Portal, Some("3 to 15")),
        ("ÄÖÜäöüÄÖÜäöüÄÖÜ", Portal, None),
        ("a\\bc", Portal, Some("any of")),
        ("a/bc", Portal, Some("any of")),
        ("a:bc", Portal, Some("any of")),
        ("a*bc", Portal, Some("any of")),
        ("a?bc", Portal, Some("any of")),
        ("a\"bc", Portal, Some("any of")),
        ("a<bc", Portal, Some("any of")),
        ("a>bc", Portal, Some("any of")),
        ("a|bc", Portal, Some("any of")),
        ("a.bc", Portal, Some("dot")),
        ("a bc", Portal, Some("blank")),
        ("a\tbc", Portal, Some("blank")),
        ("a\u{a0}bc", Portal, Some("blank")),
        ("a\u{0}bc", Portal, Some("blank")),
        ("a-b_c+d", Portal, None),
        ("audit", Portal, Some("audit")),
        ("AuDiT", Portal, Some("audit")),
        ("audi", Portal, None),
        ("con", Portal, Some("device")),
        ("COM1", Portal, Some("device")),
        ("LPT9", Portal, Some("device")),
        ("com0", Portal, None),
        ("Contoso_NL", Portal, None),
        ("Contoso_NL", Alphanumeric, None),
        ("Contoso-NL", Alphanumeric, Some("letters, digits")),
        ("Contosö", Alphanumeric, Some("letters, digits")),
        ("a.b", Alphanumeric, Some("dot")),
        ("123", Alphanumeric, None),
    ];
    for (text, rule, broken) in table {
        match (ShortName::parse(text, rule), broken) {
            (Ok(name), None) => assert_eq!(name.as_str(), text),
            (Err(bad), Some(word)) => assert!(bad.0.contains(word), "{text:?}: {bad}"),
            (got, want) => panic!("{text:?} under {rule:?}: {got:?}, and not {want:?}"),
        }
    }
}

/// Unique regardless of case (N-3), and shown as written.
#[test]
fn short_names_compare_without_regard_to_case() {
    let parse = |text| ShortName::parse(text, Portal).expect("a short name");
    assert_eq!(parse("Contoso_NL"), parse("CONTOSO_nl"));
    assert_ne!(parse("Contoso_NL"), parse("Contoso_DE"));
    assert_eq!(parse("Contoso_NL").to_string(), "Contoso_NL");
}

#[test]
fn guids() {
    let good = "22222222-ABCD-4222-8222-22222222abcd";
    for text in [good, "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(TenantId::parse(text).expect("a GUID").to_string(), text.to_lowercase());
        assert!(CustomerGuid::parse(text).is_ok() && LeadId::parse(text).is_ok());
    }
    let bad = [
        "",
        "22222222",
        "2222222-2222-4222-8222-222222222222",
        "22222222-2222-4222-8222-2222222222222",
        "22222222-2222-4222-8222-22222222222g",
        "{22222222-2222-4222-8222-222222222222}",
        " 22222222-2222-4222-8222-222222222222",
        "22222222222242228222222222222222",
        "22222222-2222-4222-8222-222222222222-",
        "22222222_2222_4222_8222_222222222222",
    ];
    for text in bad {
        assert!(TenantId::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn task_ids_fit_a_path() {
    let longest = "a".repeat(100);
    for good in ["wst_1", "tsk_ABC-9", longest.as_str()] {
        assert_eq!(TaskId::parse(good).expect("a task id").as_str(), good);
    }
    let too_long = "a".repeat(101);
    for bad in ["", "a/b", "../x", "a b", "a?b", "a%2f", "ä", too_long.as_str()] {
        assert!(TaskId::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn microsoft_statuses() {
    let table = [
        ("Active", MicrosoftStatus::Active, "Active"),
        ("active", MicrosoftStatus::Active, "Active"),
        (" ACTIVE ", MicrosoftStatus::Active, "Active"),
        ("Suspended", MicrosoftStatus::Suspended, "Suspended"),
        ("removed", MicrosoftStatus::Removed, "Removed"),
        ("Not Active", MicrosoftStatus::NotActive, "Not Active"),
        ("notActive", MicrosoftStatus::NotActive, "Not Active"),
        ("Pending", MicrosoftStatus::Other("Pending".into()), "Pending"),
        ("", MicrosoftStatus::Other(Box::default()), ""),
    ];
    for (text, status, label) in table {
        assert_eq!(MicrosoftStatus::parse(text), status, "{text:?}");
        assert_eq!(status.label(), label);
    }
}

/// S9: the portal's words.
#[test]
fn license_types() {
    let table = [
        (0, "Hosted Essentials"),
        (1, "Hosted Essentials Plus"),
        (2, "Hosted Pro"),
        (3, "OC Essential"),
        (4, "OC Essential Plus"),
        (5, "OC Pro"),
        (17, "License 17"),
    ];
    for (number, label) in table {
        assert_eq!(LicenseType::from_number(number).label(), label);
    }
}
