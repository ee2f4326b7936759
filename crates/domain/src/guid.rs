//! A GUID in 16 bytes, so that an id costs no allocation to copy or compare. The crate has no dependency, so
//! no library serves.

use std::fmt;

/// The positions of the hyphens in a GUID's text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// The length of a GUID's text.
const LENGTH: usize = 36;

/// A GUID. Its order is that of its text in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Guid([u8; 16]);

impl Guid {
    /// Parses the form 8-4-4-4-12, in upper or lower case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text: &[u8; LENGTH] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (at, byte) in text.iter().enumerate() {
            if HYPHENS.contains(&at) {
                if *byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = u8::try_from(char::from(*byte).to_digit(16)?).ok()?;
            let place = bytes.get_mut(digits / 2)?;
            *place = *place << 4 | digit;
            digits += 1;
        }
        Some(Self(bytes))
    }

    fn text(self) -> [u8; LENGTH] {
        let mut text = [b'-'; LENGTH];
        let mut digits = self
            .0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 0xf])
            .map(|digit| {
                if digit < 10 {
                    b'0' + digit
                } else {
                    b'a' + digit - 10
                }
            });
        for (at, place) in text.iter_mut().enumerate() {
            if !HYPHENS.contains(&at) {
                *place = digits.next().unwrap_or(b'0');
            }
        }
        text
    }
}

/// In lower case, with hyphens.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}
