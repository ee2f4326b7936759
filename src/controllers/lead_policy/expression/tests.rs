//! Expressions over leads: what they can say, what is told about wrong ones, and that none does harm.

use super::*;
use proptest::prelude::*;

fn lead() -> Lead {
    let countries: Vec<String> = (0..300).map(|number| format!("C{number}")).collect();
    serde_json::from_value(json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead",
        "metadata": { "name": "contoso", "namespace": "customers", "labels": { "team": "voice" } },
        "spec": { "platform": "default", "msTenantId": "22222222-2222-4222-8222-222222222222", "channelId": 1574 },
        "status": { "contact": { "fullName": "Ada Lovelace" }, "companyName": "Contoso Ltd", "microsoftStatus": "Active", "countries": countries, "consentedTime": "2026-01-02T03:04:05Z" },
    }))
    .unwrap()
}

fn spec(condition: &str, name: &str) -> LeadPolicySpec {
    let conditions = json!([{ "name": "a", "expression": condition }]);
    let names = json!({ "shortName": name, "fullName": "lead.status.companyName" });
    serde_json::from_value(json!({ "template": {}, "matchConditions": conditions, "names": names })).unwrap()
}

/// Compiles and evaluates, on a stack as in the product.
fn said(condition: &str, name: &str, lead: &Lead) -> Result<Evaluated, String> {
    let (spec, lead) = (spec(condition, name), lead.clone());
    let thread = std::thread::Builder::new().stack_size(STACK);
    let work = move || Expressions::compile(&spec).map(|compiled| compiled.evaluate(&lead));
    thread.spawn(work).unwrap().join().unwrap()
}

fn truth(condition: &str) -> Result<bool, String> {
    match said(condition, "'a'", &lead())? {
        Evaluated::Yes { .. } => Ok(true),
        Evaluated::No => Ok(false),
        Evaluated::Failed(why) => Err(why),
    }
}

#[test]
fn conditions_read_the_lead() {
    for (condition, expected) in [
        (r#"lead.status.countries.exists(c, c in ["NL", "C7"])"#, true),
        (r#"lead.status.countries.exists(c, c == "NL")"#, false),
        (
            r#"lead.metadata.labels.team == "voice" && lead.metadata.name == "contoso""#,
            true,
        ),
        (
            "has(lead.metadata.labels.size) || has(lead.metadata.annotations.x)",
            false,
        ),
        ("has(lead.status.contact) || has(lead.spec.consentless)", false),
        ("lead.spec.channelId == 1574 && lead.spec.channelId > 1000", true),
        (
            "size(lead.status.otherLeads) == 0 && lead.status.countries.size() == 300",
            true,
        ),
        (
            r#"lead.status.companyName.startsWith("Con") && lead.status.companyName.endsWith("Ltd")"#,
            true,
        ),
        (
            r#"lead.status.companyName.contains("toso") && lead.status.companyName.matches("^C.*[Ll]td$")"#,
            true,
        ),
        (r#"lead.status.consentedTime > "2026-01-01T00:00:00Z""#, true),
        (
            r#"int("12") + 1 == 13 && string(7) == "7" && double("1.5") > 1.0 && uint(3) == 3u"#,
            true,
        ),
        (
            r#"lead.status.countries.filter(c, c == "C1").map(c, c + "!")[0] == "C1!""#,
            true,
        ),
        (
            r#"lead.status.countries.exists_one(c, c == "C1") && lead.status.countries.all(c, c.startsWith("C"))"#,
            true,
        ),
        (
            r#"(lead.spec.suspend ? "yes" : "no") == "no" && !(1 > 2) && -1 < 0 && 7 % 4 == 3 && 6 / 2 * 2 - 1 == 5"#,
            true,
        ),
        (
            r#"{"a": 1}["a"] == 1 && [1, 2][1] == 2 && 1 != 2 && 1 <= 1 && 2 >= 1"#,
            true,
        ),
    ] {
        assert_eq!(truth(condition), Ok(expected), "{condition}");
    }
    let named = said(
        "true",
        r#"lead.status.companyName + " " + lead.status.countries[1]"#,
        &lead(),
    );
    let yes = Evaluated::Yes {
        short_name: "Contoso Ltd C1".into(),
        full_name: "Contoso Ltd".into(),
    };
    assert_eq!(named, Ok(yes));
}

#[test]
fn the_policy_of_the_examples_is_one() {
    let text = include_str!("../../../../examples/policies/benelux.yaml");
    let policy: oc_api::LeadPolicy = serde_saphyr::from_str(text).unwrap();
    let compiled = Expressions::compile(&policy.spec).unwrap();
    let mut lead = lead();
    lead.metadata.labels = Some([("short-name".to_owned(), "Contoso_NL".to_owned())].into());
    assert_eq!(compiled.evaluate(&lead), Evaluated::No, "it is from elsewhere");
    lead.status.as_mut().unwrap().countries = vec!["DE".into(), "NL".into()];
    let said = |lead: &Lead| match compiled.evaluate(lead) {
        Evaluated::Yes {
            short_name,
            full_name,
        } => (short_name, full_name),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&lead), ("Contoso_NL".to_owned(), "Contoso Ltd".to_owned()));
    lead.metadata.labels = None;
    assert_eq!(said(&lead).0, "Contoso Ltd");
}

/// Wrong conditions, and how the message goes on after the field.
const WRONG: &[(&str, &str)] = &[
    ("lead.status.companyName ==", ", line 1, column 27: "),
    (
        "lead.status\n  .companyName == company",
        ", line 2, column 19: there is no variable company;",
    ),
    (
        "companyName == 'x'",
        ", line 1, column 1: there is no variable companyName;",
    ),
    (
        "lead.state.x == 'x'",
        ", line 1, column 6: lead has no field state;",
    ),
    (
        "lead.status.companyName.lower() == 'x'",
        ", line 1, column 25: there is no function lower;",
    ),
    (
        "lead.status.companyName.matches(lead.metadata.name)",
        ", line 1, column 25: matches takes a pattern in quotes.",
    ),
    (
        r#"lead.status.companyName.matches("(")"#,
        ", line 1, column 25: the pattern of matches is no regular expression",
    ),
    (
        r#"lead.status.companyName.matches("(\\pL{100}){100}")"#,
        ", line 1, column 25: the pattern of matches is too large;",
    ),
    (
        "size(lead.status.companyName)",
        ": it returns a value of type int, and must return a bool.",
    ),
    (
        "'true'",
        ": it returns a value of type string, and must return a bool.",
    ),
    (
        "lead.status.countries.map(c, c)",
        ": it returns a value of type list, and must return a bool.",
    ),
    (
        "lead.status.countries.all(a, lead.status.countries.all(b, a == b))",
        ": it can take too many steps for one lead",
    ),
    (
        "type(lead) == 'x'",
        ", line 1, column 1: there is no function type;",
    ),
    ("Lead{a: 1} == 'x'", ", line 1, column 1: there is no type Lead."),
];

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let condition = "spec.matchConditions[0].expression (a)";
    for (expression, expected) in WRONG {
        let told = truth(expression).unwrap_err();
        assert!(
            told.starts_with(&format!("{condition}{expected}")),
            "{expression}: {told}"
        );
    }
    let told = said("true", "lead.status.companyName == 'x'", &lead()).unwrap_err();
    assert_eq!(
        told,
        "spec.names.shortName: it returns a value of type bool, and must return a string."
    );
}

#[test]
fn what_fails_for_a_lead_is_told_without_its_data() {
    let condition = "spec.matchConditions[0].expression (a) fails for this lead: ";
    for (expression, expected) in [
        (
            "lead.status.contact.email == 'x'",
            "the lead has no field contact there; test it with has() first.",
        ),
        (
            "lead.metadata.labels[lead.status.companyName] == 'x'",
            "a map has no such key; test it with the operator in first.",
        ),
        (
            "lead.status.countries[300] == 'x'",
            "a list has no such entry; test its size() first.",
        ),
        ("lead.spec.channelId / 0 == 1", "it divides by zero."),
        (
            "lead.spec.channelId * 9223372036854775807 > 1",
            "a number becomes too large.",
        ),
        (
            "int(lead.status.companyName) > 1",
            "the function int can't use its argument.",
        ),
        (
            "lead.status.companyName + 1 == 'x'",
            "an operator or a function gets a value of a type that it does not take.",
        ),
        (
            "lead.status.companyName",
            "it returns a value of type string, and must return a bool.",
        ),
    ] {
        assert_eq!(
            truth(expression).unwrap_err(),
            format!("{condition}{expected}"),
            "{expression}"
        );
    }
}

#[test]
fn a_lead_that_is_too_large_is_refused() {
    let mut large = lead();
    large.metadata.annotations = Some([("a".to_owned(), "x".repeat(40_000))].into());
    let mut many = lead();
    many.metadata.labels = Some(
        (0..301)
            .map(|number| (format!("l{number}"), String::new()))
            .collect(),
    );
    for lead in [large, many] {
        let said = said("true", "'a'", &lead);
        assert!(
            matches!(&said, Ok(Evaluated::Failed(why)) if why.contains("too large")),
            "{said:?}"
        );
    }
}

/// The longest and deepest expressions that the schema accepts end, and soon.
#[test]
fn no_expression_takes_long_or_ends_the_process() {
    let repeat = |begin: &str, part: &str, end: &str| {
        let count = (1000 - begin.len() - end.len()) / part.len();
        format!("{begin}{}{end}", part.repeat(count))
    };
    let nested = |open: &str, middle: &str, close: &str| {
        let count = (1000 - middle.len()) / (open.len() + close.len());
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let all = [
        nested("(", "true", ")"),
        nested("[", "1", "]"),
        nested("{1:", "1", "}"),
        nested("size(", "'a'", ")"),
        nested("true?", "true", ":true"),
        nested("lead[", "'a'", "]"),
        "(".repeat(1000),
        "[".repeat(1000),
        "{".repeat(1000),
        repeat("", "!", "true"),
        repeat("", "-", "1 < 2"),
        repeat("", "- ", "1"),
        repeat("lead", ".a", ""),
        repeat("lead", "['a']", ""),
        repeat("true", "&&true", ""),
        repeat("true", "||true", ""),
        repeat("1", "+1", "== 2"),
        repeat("1", "==1", ""),
        repeat("true", "?true:true", ""),
        repeat("lead.status.companyName", "+lead.status.companyName", " == 'x'"),
        repeat("[lead.status.countries]", ".map(a, a + a)", " == []"),
        repeat("lead.status.countries", ".map(a, [a, a])", " == []"),
        repeat("lead.status.countries", ".filter(a, a != '')", " == []"),
        nested("lead.status.countries.all(a,", "true", ")"),
        nested("[1,2,3].exists(a,", "true", ")"),
        nested("[1,2,3].map(a,", "1", ")"),
        repeat("['x']", ".map(a, a+a+a+a+a+a+a+a)", " == []"),
        repeat("lead.status.countries.all(a, ", "a.matches('x') || ", "true)"),
    ];
    let lead = lead();
    for expression in &all {
        assert!(expression.chars().count() <= 1000, "{expression}");
        // That it ends soon is what this shows.
        let _ended = said(expression, "'a'", &lead);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_text_is_survived(any in "\\PC{0,60}", parts in proptest::collection::vec(prop_oneof![
        Just("lead"), Just(".status"), Just(".countries"), Just(".exists(c, "), Just(".map(c, "), Just("c"), Just("'x'"), Just("\""), Just("r\"\\"),
        Just("b'\\xff'"), Just("1"), Just("-9223372036854775808"), Just("1e999"), Just("0x"), Just("18446744073709551615u"), Just("has("), Just("("), Just(")"),
        Just("["), Just("]"), Just("{"), Just("}"), Just(":"), Just("?"), Just(","), Just("&&"), Just("||"), Just("=="), Just("in"), Just("+"), Just("-"),
        Just("*"), Just("/"), Just("%"), Just("!"), Just("<"), Just("."), Just(" "), Just("null"), Just("true"), Just("size("), Just("string("), Just("int("),
        Just("timestamp('x')"), Just("duration('1h')"), Just("optional.of(1)"), Just("\\u{0}"), Just("//"), Just("@result"),
    ], 0..14)) {
        let lead = lead();
        let _ = said(&any, &any, &lead);
        let joined = parts.concat();
        let _ = said(&joined, &joined, &lead);
    }
}
