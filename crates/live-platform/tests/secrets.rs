//! No secret comes back in a text that is shown, whatever the platform, or this client, has done to it on the way.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod support;

use live_platform::wire::errors;
use live_platform::{Client, CreateService, Secrets, SecretsSent};
use oc_domain::model::TaskState;
use oc_domain::names::{ShortName, TaskId, TenantId};
use oc_domain::requests::{IpGroup, NewService, ServiceParameters, SipConnection};
use proptest::prelude::*;
use support::*;

/// What is shown of a text that comes as a refusal.
fn shown(secrets: &[&str], text: &str) -> String {
    let secrets = Secrets::new(secrets.iter().map(|secret| (*secret).into()));
    errors::fault(serde_json::to_string(text).unwrap().as_bytes(), &secrets).text
}

fn escaped(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    text[1..text.len() - 1].to_owned()
}

/// Escaped as System.Text.Json does it.
fn escaped_all(text: &str) -> String {
    text.encode_utf16()
        .map(|unit| if (unit as u8 as char).is_ascii_alphanumeric() && unit < 128 { (unit as u8 as char).to_string() } else { format!("\\u{unit:04X}") })
        .collect()
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

fn html(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c.is_whitespace() { c.to_string() } else { format!("&#{};", c as u32) }).collect()
}

fn base64(text: &str, alphabet: &[u8; 64]) -> String {
    let digits = text.as_bytes().chunks(3).flat_map(|three| {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        [18, 12, 6, 0].map(|shift| (bits >> shift & 63) as usize).into_iter().take(three.len() + 1)
    });
    digits.map(|digit| char::from(alphabet[digit])).collect()
}

/// What can happen to a secret as a whole.
const WAYS: [fn(&str) -> String; 14] = [
    |secret| secret.to_owned(),
    |secret| secret.trim().to_owned(),
    |secret| secret.split_whitespace().collect::<Vec<_>>().join(" "),
    |secret| secret.split_whitespace().collect(),
    |secret| secret.replace(['\r', '\n'], ""),
    |secret| secret.replace(['\r', '\n', '\t'], "  "),
    |secret| secret.to_ascii_uppercase(),
    escaped,
    |secret| escaped(&escaped(secret)),
    escaped_all,
    percent,
    |secret| url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
    html,
    |secret| escaped(&percent(secret)),
];

/// Neither these nor the texts around them share letters with the placeholders, or with each other, so remains of a secret are noticed.
const AROUND: (&str, &str) = ("did it: ", " held");

/// Letters and signs, some of them awkward; no blank at either end.
fn secret() -> impl Strategy<Value = String> {
    let inner = "[abcfgjkmnopqrsuvxyz0-9!#$%&*/+\"'\\\\=?_.éß€😀 \t\n-]{2,250}";
    ("[abcfg0-9]", inner, "[xyz0-9]").prop_map(|(first, inner, last)| first + &inner + &last)
}

fn counting(text: &str) -> usize {
    text.chars().filter(|c| !(c.is_whitespace() || c.is_control() || *c == '+')).count()
}

/// The length of the stretch that must never remain.
fn stretch(secret: &str) -> usize {
    (counting(secret) / 2).clamp(4, 8)
}

fn is_withheld(secrets: &[&str], part: &str) -> Result<(), TestCaseError> {
    let (before, after) = AROUND;
    prop_assert_eq!(shown(secrets, &format!("{}{}{}", before, part, after)), format!("{before}(withheld){after}"), "{:?} of {:?}", part, secrets);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn nothing_of_a_secret_is_left_whatever_became_of_it(secret in secret(), other in secret(), way in 0..WAYS.len()) {
        prop_assume!(counting(&secret) >= 4);
        is_withheld(&[&other, &secret], &WAYS[way](&secret))?;
        // From a file, with its line end.
        is_withheld(&[&format!("{secret}\n")], &WAYS[way](&secret))?;
        is_withheld(&[&secret], &format!("{secret}\r\n"))?;
    }

    #[test]
    fn nor_of_its_lines(secret in secret(), way in 0..WAYS.len()) {
        for line in secret.lines().map(|line| line.trim_matches(|c: char| c == '+' || c.is_whitespace())).filter(|line| counting(line) >= 4) {
            is_withheld(&[&secret], &WAYS[way](line))?;
        }
    }

    #[test]
    fn nor_of_a_part_that_was_cut_out(secret in secret(), from: prop::sample::Index, length: prop::sample::Index) {
        let chars: Vec<char> = secret.chars().collect();
        let from = from.index(chars.len());
        let part: String = chars[from..].iter().take(length.index(chars.len()) + 1).collect();
        let part = part.trim_matches(|c: char| c == '+' || c.is_whitespace());
        prop_assume!(counting(&secret) >= 4 && counting(part) >= stretch(&secret));
        is_withheld(&[&secret], part)?;
    }

    #[test]
    fn nor_when_one_is_in_another(before in secret(), inner in secret(), after in secret()) {
        let outer = format!("{before}{inner}{after}");
        for secrets in [[&outer[..], &inner], [&inner, &outer]] {
            is_withheld(&secrets, &outer)?;
        }
    }

    /// Base64 may leave ends that hold bits of what is beside the secret.
    #[test]
    fn nor_in_base64(secret in "[a-z0-9/+é_-]{9,90}", before in "[a-z:]{0,5}", after in "[a-z:]{0,5}", url: bool) {
        prop_assume!(counting(&secret) >= 9);
        let mut alphabet = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        if url {
            alphabet[62..].copy_from_slice(b"-_");
        }
        let part = base64(&format!("{before}{secret}{after}"), &alphabet);
        let text = shown(&[&secret], &format!("{}{}", "Basic ", part));
        prop_assert!(text.contains("(withheld)"), "{}", text);
        let left = text.len() - "Basic (withheld)".len();
        let most = 4 * (before.len() + after.len()) / 3 + 6;
        prop_assert!(left <= most, "{} of {} with {:?}", text, part, secret);
    }

    #[test]
    fn any_secret_and_any_text_are_survived(secret: String, other: String, text: String) {
        let text = shown(&[&secret, &other], &text);
        prop_assert!(text.chars().count() <= 300);
    }
}

#[test]
fn a_long_secret_is_withheld_though_only_its_begin_would_be_shown() {
    let key: String = (0..60).map(|line| format!("{:064x}\n", 0x9e37_79b9_7f4a_7c15_u128.wrapping_mul(line * line + 7))).collect();
    let key = format!("-----BEGIN KEY-----\n{key}-----END KEY-----\n");
    let text = shown(&[&key], &format!("bad parameter {key}"));
    assert_eq!(text, "bad parameter (withheld)");
    // Cut by the platform, in the middle of a line.
    let head: String = key.chars().take(1000).collect();
    assert_eq!(shown(&[&key], &format!("bad parameter {head}…")), "bad parameter (withheld)…");
}

/// A short secret is removed where it is a whole word; anywhere else it cannot be told from the text.
#[test]
fn a_short_secret_is_a_whole_word() {
    for (secret, text, want) in [
        ("7", "code 7 of 70 (7)", "code (withheld) of 70 ((withheld))"),
        ("x9\n", "PIN=x9, x99", "PIN=(withheld), x99"),
        ("a b", "is a b or ab", "is (withheld) or ab"),
        ("", "as it is", "as it is"),
        (" \n", "as it is", "as it is"),
        ("éé", "an éé is", "an (withheld) is"),
    ] {
        assert_eq!(shown(&[secret], text), want, "{secret:?}");
    }
}

#[test]
fn what_stands_beside_a_secret_stays() {
    assert_eq!(shown(&["hunter2"], "bad value 'hunter2' in line 3"), "bad value '(withheld)' in line 3");
    assert_eq!(shown(&["one-secret", "two-secret"], "one-secret and two-secret"), "(withheld) and (withheld)");
    assert_eq!(shown(&["correct horse"], "Short name Contoso is already used"), "Short name Contoso is already used");
}

fn create(secrets: &[(&str, &str)]) -> CreateService {
    let group = IpGroup { proxy_set: "P".into(), online_pstn_gateway: "G".into(), site_location: None };
    let connection = SipConnection::IpGroup(Box::new(group));
    let parameters = ServiceParameters { connection, ..ServiceParameters::new(ShortName::as_written("Example_1"), "Example BV") };
    let tenant = TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap();
    let variables = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    CreateService { service: NewService { tenant, parameters }, variables }
}

const PASSWORD: &str = "hunter2-Secret\n";

/// Every path on which the answer to a create can bring a variable back.
#[tokio::test]
async fn no_refusal_repeats_a_variable() {
    let folded = "hunter2-Secret";
    let bodies: Vec<(u16, String)> = vec![
        (400, format!(r#"{{"errors":{{"{folded}":["bad {folded}"],"Password":["{folded} is bad","set pw={folded}"]}}}}"#)),
        (400, format!(r#"{{"errors":["{folded}"]}}"#)),
        (400, format!(r#"{{"errors":"{folded}"}}"#)),
        (400, format!(r#"{{"detail":"the value {folded} is bad"}}"#)),
        (400, format!(r#"{{"error":{{"message":"{folded}"}}}}"#)),
        (400, format!("\"{folded}\"")),
        (400, format!(r#"["{folded}"]"#)),
        (400, format!("bad {folded}\r\n  at X")),
        (404, format!("\"{folded}\"")),
        (403, format!(r#"{{"description":"{folded}"}}"#)),
        (409, r#""{\"scriptParameters\":{\"Password\":\"hunter2-Secret\\n\"}}""#.to_owned()),
        (500, format!(r#"{{"title":"{folded}"}}"#)),
        (200, format!(r#"{{"succeeded":false,"message":"{folded}"}}"#)),
        (200, format!(r#"{{"status":false,"data":"{folded}"}}"#)),
    ];
    let count = bodies.len();
    let server = Server::start(move |_, before| json(bodies[before].0, &bodies[before].1)).await;
    let client = server.client();
    for _ in 0..count {
        let error = client.create_service(&create(&[("Password", PASSWORD)])).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2") && !text.contains("Secret\"") && !text.contains("-Secret"), "{text}");
        assert!(text.contains("(withheld)"), "{text}");
    }
}

/// Script errors come in the task, long after the create.
#[tokio::test]
async fn no_task_repeats_a_variable() {
    let server = Server::start(|seen, _| match (seen.method.as_str(), seen.path.ends_with("wst_2")) {
        ("POST", _) => json(200, r#"{"jobId":"wst_1"}"#),
        (_, false) => json(
            200,
            r#"{"status":"Failed","executionMessages":[{"level":"Error","message":"set password hunter2-Secret failed"},{"level":"hunter2-Secret","message":"a"},
                {"level":"Error","message":"PUT {\"Password\":\"hunter2-Secret\\n\"}"}]}"#,
        ),
        (_, true) => json(200, r#"{"status":"Failed hunter2-Secret","details":["set password hunter2-Secret failed"]}"#),
    })
    .await;
    let client = server.client();
    let id = client.create_service(&create(&[("Password", PASSWORD)])).await.unwrap();
    for sent in [SecretsSent::Perhaps, SecretsSent::No] {
        let task = client.task(&id, sent).await.unwrap().unwrap();
        assert_eq!(*task.messages, ["Error: set password (withheld) failed", "(withheld): a", "Error: PUT {\"Password\":\"(withheld)\\n\"}"]);
    }
    // After a restart the variables are unknown, as they are for a task that another process started.
    for (client, id) in [(server.client(), id), (client, TaskId::parse("wst_2").unwrap())] {
        let task = client.task(&id, SecretsSent::Perhaps).await.unwrap().unwrap();
        let text = format!("{task:?}");
        assert!(task.state == TaskState::Failed && !task.messages.is_empty() && !text.contains("hunter2"), "{text}");
        assert!(task.messages.iter().all(|message| message.ends_with("(withheld: it may repeat a secret variable)")), "{text}");
    }
    // A service without variables has none, and its texts help.
    let task = server.client().task(&TaskId::parse("wst_3").unwrap(), SecretsSent::No).await.unwrap().unwrap();
    assert_eq!(task.messages.first().map(String::as_str), Some("Error: set password hunter2-Secret failed"));
}

/// The directory repeats what it was sent, in its own way.
#[tokio::test]
async fn no_token_error_repeats_the_credential() {
    let said = format!("AADSTS7000215: Invalid client secret provided: '{}'. Trace ID: 1", SECRET.to_uppercase());
    let encoded = percent(SECRET);
    let bodies = [
        format!(r#"{{"error":"invalid_client","error_description":"{said}"}}"#),
        format!(r#"{{"error":"{encoded}","error_description":"client_secret={encoded}&grant_type=x"}}"#),
        format!(r#"{{"error":"{}"}}"#, &SECRET[3..]),
    ];
    for body in bodies {
        let server = Server::raw(move |_, _| json(401, &body)).await;
        let error = server.client().services().await.unwrap_err().to_string();
        assert!(error.contains("(withheld)"), "{error}");
        let folded = error.to_lowercase();
        assert!(!folded.contains("of-the-client") && !folded.contains("s3cr3t"), "{error}");
    }
    let file = std::env::temp_dir().join(format!("live-platform-secrets-{}", std::process::id()));
    std::fs::write(&file, "an-assertion-of-ours\n").unwrap();
    let server = Server::raw(|_, _| json(400, r#"{"error":"invalid_client","error_description":"bad an-assertion-of-ours"}"#)).await;
    let credential = live_platform::Credential::FederatedToken { file: file.clone() };
    let error = Client::new(server.settings(), credential, None).unwrap().services().await.unwrap_err().to_string();
    std::fs::remove_file(file).unwrap();
    assert!(error.contains("bad (withheld)"), "{error}");
}

#[test]
fn secrets_do_not_print() {
    assert_eq!(format!("{:?}", Secrets::new(["hunter2".into()])), "Secrets { .. }");
}
