//! Short and full names that fit the platform's rules.

use crate::names::ShortNameRule;

/// Makes a short name that fits the platform's rule. `None` if nothing usable is in the text, which is in ASCII.
pub fn fit_short_name(_text: &str, _rule: ShortNameRule) -> Option<String> {
    None
}

/// Makes a full name that fits. `None` if the text is blank.
pub fn fit_full_name(_text: &str) -> Option<String> {
    None
}
