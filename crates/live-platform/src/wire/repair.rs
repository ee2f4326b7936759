//! Repairs small faults in JSON, so that one bad byte costs only its own text and not the whole list.
//!
//! Such answers occur with other systems. A name that was cut in the middle of an emoji leaves half a
//! surrogate pair (`\ud83d`), which the grammar of RFC 8259 allows and no reader accepts. A name in Latin-1
//! gives bytes that are not UTF-8. A script writes a raw tab, or `NaN`.

/// How many levels are kept: well below the reader's limit.
const LEVELS: usize = 100;

/// How many bytes longer the repaired text may be than the original.
const SPARE: usize = 64 << 10;

/// Returns the text with small faults repaired; `None` when there is none. Worse faults stay, for the reader
/// to reject.
///
/// In texts, bytes that are not UTF-8 and halves of a surrogate pair become U+FFFD, raw control characters
/// become a blank, and unknown escapes become the character itself. In objects and arrays, invalid or too
/// large numbers become null, and so does anything nested more than 100 levels deep. Memory: one copy, at
/// most 64 KiB longer.
pub(super) fn repaired(body: &[u8]) -> Option<Vec<u8>> {
    let mut mender = Mender {
        body,
        at: 0,
        kept: Vec::with_capacity(body.len()),
        spare: SPARE,
        changed: false,
    };
    let mut depth = 0usize;
    while let Some(byte) = mender.peek(0) {
        match byte {
            b'"' => mender.text(),
            b'[' | b'{' if depth == LEVELS => mender.too_deep(),
            b'[' | b'{' => {
                depth += 1;
                mender.keep(1);
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                mender.keep(1);
            }
            b'\t' | b'\n' | b'\r' => mender.keep(1),
            0..0x20 | 0x7f => mender.instead(1, b" "),
            0x80.. if depth > 0 => mender.instead(1, b" "),
            b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' if depth > 0 => mender.bare(),
            _ => mender.keep(1),
        }
    }
    mender.changed.then_some(mender.kept)
}

struct Mender<'b> {
    body: &'b [u8],
    at: usize,
    kept: Vec<u8>,
    spare: usize,
    changed: bool,
}

impl Mender<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.body.get(self.at + ahead).copied()
    }

    fn keep(&mut self, length: usize) {
        let end = (self.at + length).min(self.body.len());
        self.kept
            .extend_from_slice(self.body.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    fn instead(&mut self, length: usize, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.at += length;
        self.changed = true;
    }

    /// Copies a text from its quote to the closing one.
    fn text(&mut self) {
        self.keep(1);
        while let Some(byte) = self.peek(0) {
            match byte {
                b'"' => return self.keep(1),
                b'\\' => self.escape(),
                0..0x20 => self.instead(1, b" "),
                0x20..0x80 => self.keep(1),
                0x80.. => self.beyond_ascii(byte),
            }
        }
    }

    fn beyond_ascii(&mut self, first: u8) {
        let length = match first {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        if self
            .body
            .get(self.at..self.at + length)
            .is_some_and(|bytes| std::str::from_utf8(bytes).is_ok())
        {
            return self.keep(length);
        }
        if self.spare < 2 {
            return self.instead(1, b"?");
        }
        self.spare -= 2;
        self.instead(1, "\u{fffd}".as_bytes());
    }

    fn escape(&mut self) {
        match self.peek(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.keep(2),
            Some(b'u') => match (self.unit(0), self.unit(6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => self.keep(12),
                (Some(0xd800..=0xdfff), _) => self.instead(6, b"\\ufffd"),
                (Some(_), _) => self.keep(6),
                (None, _) => self.instead(1, b""),
            },
            // The answer ends here: being cut off is another fault.
            None => self.keep(1),
            Some(_) => self.instead(1, b""),
        }
    }

    /// Reads the code unit of a `\uXXXX`.
    fn unit(&self, ahead: usize) -> Option<u16> {
        let escape = self.body.get(self.at + ahead..self.at + ahead + 6)?;
        let digits = escape.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?)
        })
    }

    /// Replaces an array or object that is nested too deeply.
    fn too_deep(&mut self) {
        let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
        let ends = |byte: &u8| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => depth += 1,
                b']' | b'}' if !in_text => depth -= 1,
                _ => {}
            }
            depth == 0
        };
        match self
            .body
            .get(self.at..)
            .and_then(|rest| rest.iter().position(ends))
        {
            Some(last) => self.instead(last + 1, b"null"),
            // Being cut off is another fault.
            None => self.keep(self.body.len() - self.at),
        }
    }

    /// Copies a number or a word, or replaces it with null.
    fn bare(&mut self) {
        let is_part =
            |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z');
        let rest = self.body.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        let token = rest.get(..length).unwrap_or_default();
        let number = |token: &[u8]| serde_json::from_slice::<f64>(token).is_ok();
        let bad = match token.first() {
            Some(b'A'..=b'Z' | b'a'..=b'z') => {
                [&b"NaN"[..], b"nan", b"Infinity", b"inf", b"undefined"].contains(&token)
            }
            // A number at the end of the answer may be cut off.
            _ => length < rest.len() && !number(token),
        };
        if bad {
            self.instead(length, b"null")
        } else {
            self.keep(length)
        }
    }
}
