//! Short and full names that fit the platform's rules.

use crate::names::{ShortName, ShortNameRule, fold_case};

/// The longest short name (platform-facts.md 3.4).
const LONGEST: usize = 15;

/// The shortest short name.
const SHORTEST: usize = 3;

/// The longest full name (platform-facts-2.md 6: the rule of the Direct Routing create).
const LONGEST_FULL: usize = 200;

/// The highest number that is appended to a short name.
const MOST_OF_ONE_NAME: usize = 9999;

/// A word that no short name may contain.
const FORBIDDEN: &str = "audit";

/// Makes a short name that fits the platform's rule: what is not allowed is dropped, and the rest is cut. A name
/// that is too short, or is one of the forbidden words, gets underscores. `None` if the text, which is in ASCII,
/// has nothing that is allowed.
pub fn fit_short_name(text: &str, rule: ShortNameRule) -> Option<String> {
    let mut name: String = text.chars().filter(|c| is_allowed(*c, rule)).collect();
    while let Some(at) = name.to_ascii_lowercase().find(FORBIDDEN) {
        name.replace_range(at..at + FORBIDDEN.len(), "");
    }
    name.truncate(LONGEST);
    if !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    while name.len() < SHORTEST {
        name.push('_');
    }
    if ShortName::check(&name, rule).is_err() {
        name.truncate(LONGEST - 1);
        name.push('_');
    }
    ShortName::check(&name, rule).is_ok().then_some(name)
}

fn is_allowed(c: char, rule: ShortNameRule) -> bool {
    match rule {
        ShortNameRule::Alphanumeric => c.is_ascii_alphanumeric() || c == '_',
        ShortNameRule::Portal => c.is_ascii_graphic() && !r#"\/:*?"<>|."#.contains(c),
    }
}

/// Makes a full name that fits: on one line, without blanks around it, and cut. `None` if the text is blank.
pub fn fit_full_name(text: &str) -> Option<String> {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let cut: String = line.trim().chars().take(LONGEST_FULL).collect();
    let name = cut.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns the name, or the name with the lowest number that is free: `Contoso`, `Contoso_2`, … Each fits the
/// platform's rule as the name does. `None` if all are taken.
pub(super) fn numbered(name: &str, taken: impl Fn(&str) -> bool) -> Option<String> {
    let is_free = |name: &String| !taken(&fold_case(name));
    std::iter::once(name.to_owned())
        .chain((2..=MOST_OF_ONE_NAME).map(|number| with_number(name, number)))
        .find(is_free)
}

fn with_number(name: &str, number: usize) -> String {
    let number = format!("_{number}");
    let base = &name[..name.len().min(LONGEST - number.len())];
    format!("{base}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_into_fifteen_characters() {
        let taken = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            move |name: &str| names.iter().any(|taken| taken == name)
        };
        assert_eq!(numbered("Contoso", taken(&[])).as_deref(), Some("Contoso"));
        assert_eq!(
            numbered("Contoso", taken(&["contoso"])).as_deref(),
            Some("Contoso_2")
        );
        let both = taken(&["contoso", "contoso_2"]);
        assert_eq!(numbered("Contoso", both).as_deref(), Some("Contoso_3"));
        let long = taken(&["fifteen_letters"]);
        assert_eq!(
            numbered("Fifteen_Letters", long).as_deref(),
            Some("Fifteen_Lette_2")
        );
        let to_nine =
            |name: &str| name == "fifteen_letters" || name.ends_with(|c: char| ('2'..='9').contains(&c));
        assert_eq!(
            numbered("Fifteen_Letters", to_nine).as_deref(),
            Some("Fifteen_Lett_10")
        );
        assert_eq!(numbered("Contoso", |_| true), None);
    }
}
