//! Makes a platform's texts fit for a status condition: bounded, on one line, without personal data, and the
//! same on each attempt. Text that may hold a secret comes here only through [`crate::secrets`].

use std::borrow::Cow;

/// How many characters of one platform text are kept.
pub(crate) const TEXT: usize = 300;

/// Cuts a text to `most` characters; the last is an ellipsis when some were cut. A text that is short enough is
/// not copied.
pub(crate) fn bounded<'a>(text: impl Into<Cow<'a, str>>, most: usize) -> Cow<'a, str> {
    let text = text.into();
    match text.char_indices().nth(most) {
        None => text,
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// After these words comes something that changes on each attempt.
const LABELS: [&str; 9] = [
    "trace id",
    "traceid",
    "trace-id",
    "correlation id",
    "correlationid",
    "request id",
    "requestid",
    "timestamp",
    "errorticket",
];

/// Returns a platform text in a form that may be shown. Empty when it is a web page.
pub(crate) fn shown(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('<') {
        return String::new();
    }
    let end = text.char_indices().nth(4 * TEXT).map_or(text.len(), |(at, _)| at);
    let head = text.get(..end).unwrap_or_default();
    // ASCII folding keeps every byte where it is.
    let folded = head.to_ascii_lowercase();
    let end = LABELS
        .iter()
        .filter_map(|label| folded.find(label))
        .min()
        .unwrap_or(head.len());
    let head = head.get(..end).unwrap_or_default();
    let mut told = String::new();
    let mut in_number = false;
    for word in head
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '+');
        if in_number && !core.is_empty() && core.chars().all(|c| c.is_ascii_digit() || c == '-') {
            continue;
        }
        in_number = is_number(word) && !is_time(core);
        if !told.is_empty() {
            told.push(' ');
        }
        told.push_str(stand_in(word, core).unwrap_or(word));
    }
    let end = told.trim_end_matches([' ', '(', '[', ',', ';', '-']).len();
    told.truncate(end);
    bounded(told, TEXT).into_owned()
}

fn stand_in(word: &str, core: &str) -> Option<&'static str> {
    if word.contains("eyJ") && word.len() > 20 {
        return Some("(withheld)");
    }
    if word.contains('@') && word.len() > 2 {
        return Some("(address withheld)");
    }
    if is_time(core) {
        return Some("(time)");
    }
    if is_number(word) {
        return Some("(number withheld)");
    }
    has_hex_run(core, 32).then_some("(id)")
}

/// Whether a word holds a `+` followed by a digit, as telephone numbers begin.
fn is_number(word: &str) -> bool {
    word.as_bytes()
        .windows(2)
        .any(|pair| matches!(pair, [b'+', digit] if digit.is_ascii_digit()))
}

fn has_hex_run(text: &str, length: usize) -> bool {
    text.split(|c: char| !c.is_ascii_hexdigit())
        .any(|run| run.len() >= length)
}

/// Whether a word is a date or a time: `2025-01-02…`, `03:04:05…` or `1/2/2025`.
fn is_time(core: &str) -> bool {
    let begins = |shape: &str| {
        let mut chars = core.chars();
        shape.chars().all(|wanted| match chars.next() {
            Some(c) if wanted == '9' => c.is_ascii_digit(),
            Some(c) => c == wanted,
            None => false,
        })
    };
    let head = || core.chars().take(10);
    begins("9999-99-99")
        || begins("99:99:99")
        || begins("9:99:99")
        || (head().filter(|c| *c == '/').count() == 2 && head().all(|c| c.is_ascii_digit() || c == '/'))
}

/// Returns the code and the first sentence of an Entra `error_description`. The rest holds trace ids and
/// times.
pub(crate) fn first_sentence(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    shown(line.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_or_is_personal_goes() {
        for (given, want) in [
            ("Entity with id 3700 not found", "Entity with id 3700 not found"),
            (
                "Customer with 55555555-5555-4555-8555-555555555555 not found",
                "Customer with 55555555-5555-4555-8555-555555555555 not found",
            ),
            (
                "broke at 2025-01-02T03:04:05.1234567Z, sorry",
                "broke at (time) sorry",
            ),
            (
                "broke at 2025-01-02 03:04:05Z sorry",
                "broke at (time) (time) sorry",
            ),
            ("broke. Trace ID: 1 Correlation ID: 2 Timestamp: 3", "broke."),
            (
                "see 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                "see (id)",
            ),
            (
                "mail a@example.com or call +31 20 123 4567 now",
                "mail (address withheld) or call (number withheld) now",
            ),
            (
                "token eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.x bad",
                "token (withheld) bad",
            ),
            ("two\r\n  lines\u{0}here", "two lines here"),
            ("<html><body>No</body></html>", ""),
            ("", ""),
        ] {
            assert_eq!(shown(given), want, "{given}");
        }
        assert_eq!(shown(&"x".repeat(10_000)).chars().count(), TEXT);
        assert_eq!(bounded("äöü", 3), "äöü");
        assert_eq!(bounded("äöüß", 3), "äö…");
    }

    #[test]
    fn entra_is_cut_at_its_first_sentence() {
        let text = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.\r\nTrace ID: 1\r\nCorrelation ID: 2\r\nTimestamp: 2025-01-02 03:04:05Z";
        assert_eq!(
            first_sentence(text),
            "AADSTS7000215: Invalid client secret provided."
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_bounded_and_on_one_line(text: String) {
            let shown = shown(&text);
            proptest::prop_assert!(shown.chars().count() <= TEXT);
            proptest::prop_assert!(!shown.contains('\n'));
        }
    }
}
