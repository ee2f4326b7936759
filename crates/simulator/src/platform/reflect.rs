//! Repeats what a client sent in refusals and in a task's messages, in the forms in which it may come back.

use std::collections::BTreeMap;

/// Replaces each `{form:name}` in a text with what was sent under that name. The forms are `raw`, `trimmed`,
/// `folded` (on one line, with single blanks), `joined` (without its line breaks), `half` (its first half),
/// and a number (that line of it, from 1). An unknown name or form stays unchanged.
pub fn filled(text: &str, sent: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let value = rest
            .find('}')
            .and_then(|end| Some((end, value(&rest[1..end], sent)?)));
        let (end, value) = value.unwrap_or((0, "{".into()));
        out.push_str(&value);
        rest = &rest[end + 1..];
    }
    out + rest
}

fn value(place: &str, sent: &BTreeMap<String, String>) -> Option<String> {
    let (form, name) = place.split_once(':')?;
    let value = sent.get(name)?;
    Some(match form {
        "raw" => value.clone(),
        "trimmed" => value.trim().to_owned(),
        "folded" => value.split_whitespace().collect::<Vec<_>>().join(" "),
        "joined" => value.lines().collect(),
        "half" => value.chars().take(value.chars().count() / 2).collect(),
        line => value
            .lines()
            .nth(line.parse::<usize>().ok()?.checked_sub(1)?)?
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn each_form_of_what_was_sent() {
        let sent = [("Key".to_owned(), " one  two\nthree\n".to_owned())].into();
        for (text, expected) in [
            ("<{raw:Key}>", "< one  two\nthree\n>"),
            ("{trimmed:Key}", "one  two\nthree"),
            ("{folded:Key}, {folded:Key}", "one two three, one two three"),
            ("{joined:Key}", " one  twothree"),
            ("{half:Key}", " one  tw"),
            ("{2:Key}", "three"),
            (
                "{3:Key} {0:Key} {what:Key} {raw:Other} {",
                "{3:Key} {0:Key} {what:Key} {raw:Other} {",
            ),
        ] {
            assert_eq!(filled(text, &sent), expected, "{text}");
        }
    }
}
