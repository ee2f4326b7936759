//! The rules of names, checked against an independent statement of them. Run by proptest in `crates/domain/tests/fuzz`, and by libFuzzer in `fuzz/`.

use oc_domain::names::{CustomerGuid, LeadId, ShortName, ShortNameRule, TaskId, TenantId};

/// S3 restated from the mission: 3 to 15 characters; none of `\ / : * ? " < > |`; no dot, no blank; not the word audit; and (N-4) no device name of Windows.
/// The newest pages allow letters, digits and underscore only.
fn allowed(text: &str, rule: ShortNameRule) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let same = |one: &[char], word: &str| one.len() == word.len() && one.iter().zip(word.chars()).all(|(one, other)| one.eq_ignore_ascii_case(&other));
    let is = |word: &str| same(&characters, word);
    let numbered = |word: &str| (b'1'..=b'9').any(|digit| is(&format!("{word}{}", char::from(digit))));
    let good = |c: char| match rule {
        ShortNameRule::Portal => !matches!(c, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '.') && !c.is_whitespace() && !c.is_control(),
        ShortNameRule::Alphanumeric => matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_'),
    };
    let device = ["con", "prn", "aux", "nul"].into_iter().any(is) || numbered("com") || numbered("lpt");
    (3..=15).contains(&characters.len()) && characters.iter().all(|c| good(*c)) && !characters.windows(5).any(|part| same(part, "audit")) && !device
}

/// A short name, and the other names, from any bytes.
pub fn short_name(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for rule in [ShortNameRule::Portal, ShortNameRule::Alphanumeric] {
        match ShortName::parse(&text, rule) {
            Ok(name) => {
                assert!(allowed(&text, rule), "{text:?} is taken by {rule:?}");
                assert_eq!(name.as_str(), text, "it is kept as it was written");
                assert_eq!(ShortName::parse(name.as_str(), rule), Ok(name.clone()));
                assert_eq!(name.folded(), ShortName::parse(&text.to_ascii_uppercase(), rule).map_or_else(|bad| bad.0, |name| name.folded()));
            }
            Err(bad) => {
                assert!(!allowed(&text, rule), "{text:?} is refused by {rule:?}: {bad}");
                assert!(!bad.0.is_empty() && bad.0.len() < 200 && (text.len() < 20 || !bad.0.contains(&*text)));
            }
        }
    }
    let guids =
        [TenantId::parse(&text).map(|id| id.to_string()), CustomerGuid::parse(&text).map(|id| id.to_string()), LeadId::parse(&text).map(|id| id.to_string())];
    for guid in guids.into_iter().flatten() {
        assert_eq!(guid, text.to_ascii_lowercase());
        assert!(guid.len() == 36 && guid.bytes().filter(|byte| *byte == b'-').count() == 4);
    }
    if let Ok(id) = TaskId::parse(&text) {
        assert!(id.as_str() == text && (1..=100).contains(&text.len()));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "it goes into a path: {text:?}");
    }
}
