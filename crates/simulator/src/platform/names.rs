//! The rules for short names (platform-facts.md 3.4, C-2, C-3).

use super::settings::Settings;

const FORBIDDEN: &[char] = &['\\', '/', ':', '*', '?', '"', '<', '>', '|', '.'];

/// Returns what is wrong with a short name, if anything.
pub fn fault(name: &str, settings: &Settings) -> Option<&'static str> {
    let length = name.chars().count();
    if !(3..=15).contains(&length) {
        return Some("The short name must have 3 to 15 characters.");
    }
    if name
        .chars()
        .any(|letter| FORBIDDEN.contains(&letter) || letter.is_whitespace())
    {
        return Some("The short name contains a forbidden character.");
    }
    let folded = name.to_lowercase();
    if folded == "audit" || settings.audit_contains && folded.contains("audit") {
        return Some("The short name contains a forbidden word.");
    }
    let strict = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if settings.strict_short_names && !name.chars().all(strict) {
        return Some("The short name may only contain letters, digits and underscores.");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_a() {
        let settings = Settings::default();
        for good in [
            "abc",
            "Tenant_Walter2",
            "auto_sys_plus_r",
            "24124",
            "a-b",
            "auditor",
            "Müller",
        ] {
            assert_eq!(fault(good, &settings), None, "{good}");
        }
        for bad in [
            "",
            "ab",
            "sixteen_letters_",
            "a b",
            "a.b",
            "a\\b",
            "a/b",
            "a:b",
            "a*b",
            "a?b",
            "a\"b",
            "a<b",
            "a>b",
            "a|b",
            "audit",
            "AUDIT",
            "a\tb",
        ] {
            assert!(fault(bad, &settings).is_some(), "{bad}");
        }
    }

    #[test]
    fn rule_b_and_the_word() {
        let strict = Settings {
            strict_short_names: true,
            ..Settings::default()
        };
        assert!(fault("a-b", &strict).is_some());
        assert!(fault("Müller", &strict).is_some());
        assert_eq!(fault("Tenant_Walter2", &strict), None);
        let word = Settings {
            audit_contains: true,
            ..Settings::default()
        };
        assert!(fault("myAuditor", &word).is_some());
    }
}
