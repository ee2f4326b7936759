//! Turns bytes into facts: pure functions that never panic, and whose memory is bounded by their input.
//!
//! Reading is tolerant: field names in any case (C-4), numbers as digits and digits as numbers (C-10),
//! missing and unknown fields, one nested level in lists (C-13), bytes that are not UTF-8, halves of a
//! surrogate pair, invalid numbers. It is strict about one thing: the shape of the answer as a whole.
//!
//! A platform text that is to be shown passes [`crate::Secrets`] first.

mod bounded;
pub mod entries;
pub mod errors;
pub mod in_order;
pub mod json;
pub mod leads;
pub mod node;
mod repair;
pub mod services;
pub mod tasks;
pub mod token;
pub mod topology;

use jiff::Timestamp;
use oc_domain::time::Time;

/// Reads the date forms of the platform (U-20): any number of fraction digits, `Z`, `+00:00`, `+0000`, or no
/// zone, which is read as UTC. Year 1 is the server's "no date" and gives `None`, as does anything
/// unreadable.
pub fn time(text: &str) -> Option<Time> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    let at = text
        .parse::<Timestamp>()
        .or_else(|_| format!("{text}Z").parse::<Timestamp>())
        .ok()?;
    let time = Time(at.as_millisecond());
    (time.0 > 0).then_some(time)
}

/// Normalizes a GUID to the form 8-4-4-4-12 in lower case. Braces and missing dashes are accepted. Returns
/// `None` when it is not a GUID, or is the empty one.
pub fn guid(text: &str) -> Option<GuidText> {
    let text = text.trim().trim_start_matches('{').trim_end_matches('}');
    let mut digits = text.bytes();
    let mut guid = [b'-'; 36];
    for (at, byte) in guid.iter_mut().enumerate() {
        let dash = matches!(at, 8 | 13 | 18 | 23);
        if dash && text.len() == 32 {
            continue;
        }
        *byte = digits.next()?.to_ascii_lowercase();
        let fits = if dash {
            *byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        };
        if !fits {
            return None;
        }
    }
    let empty = guid.iter().all(|b| matches!(b, b'0' | b'-'));
    (digits.next().is_none() && !empty).then_some(GuidText(guid))
}

/// A GUID in the form 8-4-4-4-12 in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuidText([u8; 36]);

impl std::ops::Deref for GuidText {
    type Target = str;

    fn deref(&self) -> &str {
        // It holds nothing but digits and dashes.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Whether a body is a web page (or XML): it begins with `<`.
pub fn is_page(body: &[u8]) -> bool {
    let body = json::without_mark(body);
    body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_of_u20() {
        let want = Some(Time(1_735_787_045_123));
        for text in [
            "2025-01-02T03:04:05.1234567Z",
            "2025-01-02T03:04:05.1234567+00:00",
            "2025-01-02T03:04:05.1234567+0000",
            "2025-01-02T04:04:05.123+01:00",
            "2025-01-02T03:04:05.1234567",
            " 2025-01-02 03:04:05.123Z ",
        ] {
            assert_eq!(time(text), want, "{text}");
        }
        for text in [
            "0001-01-01T00:00:00",
            "0001-01-01T00:00:00Z",
            "",
            "yesterday",
            "2025-13-02T03:04:05Z",
            "1/2/2025 3:04:05 AM",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn guids_in_all_their_forms() {
        let want = Some("22222222-2222-4222-8222-2222222222aa");
        for text in [
            "22222222-2222-4222-8222-2222222222aa",
            "22222222-2222-4222-8222-2222222222AA",
            "{22222222-2222-4222-8222-2222222222aa}",
            "222222222222422282222222222222aa",
        ] {
            assert_eq!(guid(text).as_deref(), want, "{text}");
        }
        for text in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "22222222-2222-4222-8222-2222222222a",
            "22222222222224222-8222-2222222222aax",
            "22222222222222222-8222-2222222222aa",
            "222222222222422282222222222222a-",
            "ä2222222-2222-4222-8222-2222222222a",
        ] {
            assert_eq!(guid(text), None, "{text}");
        }
    }
}
