//! The one gate for text: what a platform says passes it before it is folded, cut or shown anywhere.
//!
//! A secret comes back in many shapes: whole, one line of it, without its blanks, cut off by the platform or
//! by us, escaped as the JSON or the form it was sent in, or in base64. So the gate does not look for the
//! secret, but for any stretch of it that is long enough to reveal something.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::text::{first_sentence, shown};

/// Replaces a secret in a text.
const INSTEAD: &str = "(withheld)";
/// Replaces a whole text that may hold secrets which are no longer known.
const UNKNOWN: &str = "(withheld: it may repeat a secret variable)";
/// A secret with fewer characters, blanks not counted, is only matched as a whole word.
const LEAST: usize = 4;
/// The longest stretch of a longer secret that may remain has one character less than this.
const MOST: usize = 8;

/// The secrets that an answer may repeat. Cheap to clone. `Debug` prints nothing of them.
///
/// For a secret of four characters or more, no stretch of half its length (at least four characters, at most
/// eight) remains in a text, nor such a stretch of one of its lines. Blanks and `+` do not count, and case is
/// ignored. This holds for plain text, text escaped for JSON once or twice, text encoded for a form, a URL or
/// HTML, and base64. The text between two such stretches stays. A shorter secret is removed only where it
/// appears unchanged with no letter or digit beside it: elsewhere it cannot be told apart from the rest of
/// the text.
#[derive(Clone, Default)]
pub struct Secrets {
    needles: Arc<[Needle]>,
    words: Arc<[SecretString]>,
    unknown: bool,
}

/// One form of a secret, folded by [`fold_case`].
struct Needle {
    folded: SecretSlice<u8>,
    window: usize,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// No secrets.
    pub fn none() -> Self {
        Self::default()
    }

    /// Secrets that may exist but are no longer known: every text is withheld as a whole.
    pub fn unknown() -> Self {
        Self {
            unknown: true,
            ..Self::default()
        }
    }

    /// Collects these secrets.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut needles = Vec::new();
        let mut words = Vec::new();
        for secret in secrets {
            let text = secret.expose_secret();
            // A line can be shorter than the stretch that the whole secret is matched by.
            for part in std::iter::once(text).chain(text.lines().filter(|line| *line != text)) {
                needles.extend(needle(part));
            }
            needles.extend(
                in_base64(text)
                    .iter()
                    .filter_map(|form| needle(form.expose_secret())),
            );
            let word = text.trim();
            if !word.is_empty() && fold_case(&plain(word)).len() < LEAST {
                words.push(SecretString::from(word));
            }
        }
        Self {
            needles: needles.into(),
            words: words.into(),
            unknown: false,
        }
    }

    /// Whether there are none, as far as is known.
    pub(crate) fn is_none(&self) -> bool {
        self.needles.is_empty() && self.words.is_empty() && !self.unknown
    }

    /// How many bytes of memory the secrets take.
    pub(crate) fn size(&self) -> usize {
        self.needles
            .iter()
            .map(|needle| needle.folded.expose_secret().len())
            .sum::<usize>()
            + self.words.len() * LEAST
    }

    /// Returns a platform text in a form that may be shown: without secrets, bounded, on one line, without
    /// personal data. Empty when it is a web page.
    pub(crate) fn shown(&self, text: &str) -> String {
        self.pass(text, shown)
    }

    /// Returns the code and the first sentence of an Entra `error_description`.
    pub(crate) fn first_sentence(&self, text: &str) -> String {
        self.pass(text, first_sentence)
    }

    /// Returns the first line of a plain text: stack traces follow it. Empty when it is not readable.
    pub(crate) fn first_line(&self, text: &str) -> String {
        self.pass(text, |text| {
            let line = text.trim().lines().next().unwrap_or_default();
            if line.chars().any(|c| c.is_control() && c != '\t') {
                String::new()
            } else {
                shown(line)
            }
        })
    }

    /// Returns the platform's word for a state.
    pub(crate) fn word(&self, text: &str) -> String {
        let plain = text.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
        if self.unknown && plain {
            text.to_owned()
        } else {
            self.pass(text, str::to_owned)
        }
    }

    fn pass(&self, text: &str, show: impl Fn(&str) -> String) -> String {
        match self.unknown {
            true if show(text).is_empty() => String::new(),
            true => UNKNOWN.to_owned(),
            false => show(&self.withhold(text)),
        }
    }

    fn withhold<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.needles.is_empty() && self.words.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut spans: Vec<Range<usize>> = views(text)
            .iter()
            .flat_map(|view| self.found(&fold_case(view)))
            .collect();
        spans.extend(
            self.words
                .iter()
                .flat_map(|word| alone(text, word.expose_secret())),
        );
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        spans.sort_by_key(|span| (span.start, span.end));
        let mut clean = String::new();
        let mut end = 0;
        let mut before = false;
        for span in spans {
            let gap = text.get(end..span.start).unwrap_or_default();
            if !before || gap.chars().any(counts) {
                clean.push_str(gap);
                clean.push_str(INSTEAD);
            }
            before = true;
            end = end.max(span.end);
        }
        clean.push_str(text.get(end..).unwrap_or_default());
        Cow::Owned(clean)
    }

    /// Finds the stretches of the secrets in a text.
    fn found(&self, text: &[Glyph<u8>]) -> Vec<Range<usize>> {
        let mut places: [Option<HashMap<u64, Vec<usize>>>; MOST + 1] = Default::default();
        let mut spans = Vec::new();
        for needle in self.needles.iter() {
            let Some(places) = places.get_mut(needle.window) else {
                continue;
            };
            let places = places.get_or_insert_with(|| {
                let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
                for (at, window) in text.windows(needle.window).enumerate() {
                    places
                        .entry(key(window.iter().map(|glyph| glyph.what)))
                        .or_default()
                        .push(at);
                }
                places
            });
            for window in needle.folded.expose_secret().windows(needle.window) {
                // A stretch that repeats within the secret was already recorded.
                for at in places.remove(&key(window.iter().copied())).unwrap_or_default() {
                    let found = text.get(at..at + needle.window).unwrap_or_default();
                    let (from, to) = (
                        found.iter().map(|glyph| glyph.from).min(),
                        found.iter().map(|glyph| glyph.to).max(),
                    );
                    spans.extend(from.zip(to).map(|(from, to)| from..to));
                }
            }
        }
        spans
    }
}

/// A character of a text, or its folded form, with the range of bytes it was made from.
#[derive(Clone, Copy)]
struct Glyph<T> {
    what: T,
    from: usize,
    to: usize,
}

fn plain(text: &str) -> Vec<Glyph<char>> {
    text.char_indices()
        .map(|(from, what)| Glyph {
            what,
            from,
            to: from + what.len_utf8(),
        })
        .collect()
}

/// Whether a character counts for matching. Blanks come and go in transit, and in a form a `+` is a blank.
fn counts(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || c == '+')
}

/// Returns the lowest byte of each character that counts, in lower case: enough to recognize a stretch.
/// Characters that share that byte cause too much to be removed, never too little.
fn fold_case(text: &[Glyph<char>]) -> Vec<Glyph<u8>> {
    let fold = |glyph: &Glyph<char>| Glyph {
        what: (u32::from(glyph.what.to_ascii_lowercase()) & 0xff) as u8,
        from: glyph.from,
        to: glyph.to,
    };
    text.iter().filter(|glyph| counts(glyph.what)).map(fold).collect()
}

/// Packs at most eight bytes into a number.
fn key(window: impl Iterator<Item = u8>) -> u64 {
    window.fold(0, |key, byte| key << 8 | u64::from(byte))
}

fn needle(text: &str) -> Option<Needle> {
    let folded: Vec<u8> = fold_case(&plain(text)).iter().map(|glyph| glyph.what).collect();
    let window = (folded.len() / 2).clamp(LEAST, MOST);
    (folded.len() >= LEAST).then(|| Needle {
        folded: folded.into(),
        window,
    })
}

/// Returns the base64 digits that a secret contributes, at each of the three alignments and in both
/// alphabets.
fn in_base64(text: &str) -> Vec<SecretString> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(text.bytes()).collect();
        let digits = bytes.chunks_exact(3).flat_map(|three| {
            let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            [bits >> 18, bits >> 12, bits >> 6, bits].map(|bits| bits & 63)
        });
        // The first digits also depend on the bytes before.
        let digits: Vec<u32> = digits.skip([0, 2, 3][before]).collect();
        for (plus, slash) in [(b'+', b'/'), (b'-', b'_')] {
            let digit = |digit: &u32| match *digit as u8 {
                digit @ 0..=25 => b'A' + digit,
                digit @ 26..=51 => b'a' + digit - 26,
                digit @ 52..=61 => b'0' + digit - 52,
                62 => plus,
                _ => slash,
            };
            forms.push(SecretString::from(
                digits.iter().map(|d| char::from(digit(d))).collect::<String>(),
            ));
        }
    }
    forms
}

/// Returns a text unchanged, and in each decoding that it may need.
fn views(text: &str) -> Vec<Vec<Glyph<char>>> {
    let mut views = vec![plain(text)];
    let mut add = |decode: fn(&[Glyph<char>]) -> Vec<Glyph<char>>, sign: char, of: Range<usize>| {
        for at in of {
            if views
                .get(at)
                .is_some_and(|view| view.iter().any(|glyph| glyph.what == sign))
            {
                let view = decode(views.get(at).map(Vec::as_slice).unwrap_or_default());
                views.push(view);
            }
        }
        views.len()
    };
    let once = add(from_json, '\\', 0..1);
    let twice = add(from_json, '\\', 1..once);
    let percent = add(from_percent, '%', 0..twice);
    add(from_html, '&', 0..percent);
    views
}

fn hex(glyphs: &[Glyph<char>]) -> Option<u32> {
    glyphs
        .iter()
        .try_fold(0, |number, glyph| Some(number << 4 | glyph.what.to_digit(16)?))
}

fn from_json(text: &[Glyph<char>]) -> Vec<Glyph<char>> {
    let mut view = Vec::with_capacity(text.len());
    let mut at = 0;
    let unit = |at: usize| {
        (text.get(at)?.what == '\\' && text.get(at + 1)?.what == 'u')
            .then(|| hex(text.get(at + 2..at + 6)?))
            .flatten()
    };
    while let Some(glyph) = text.get(at) {
        let next = text.get(at + 1).filter(|_| glyph.what == '\\');
        let (what, length) = match (unit(at), next.map(|next| next.what)) {
            (Some(high @ 0xd800..=0xdbff), _) => match unit(at + 6) {
                Some(low @ 0xdc00..=0xdfff) => (
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
                    12,
                ),
                _ => (None, 6),
            },
            (Some(unit), _) => (char::from_u32(unit), 6),
            (None, Some('n' | 'r' | 't' | 'b' | 'f')) => (Some(' '), 2),
            (None, Some(next)) => (Some(next), 2),
            (None, None) => (Some(glyph.what), 1),
        };
        let to = text.get(at + length - 1).map_or(glyph.to, |last| last.to);
        view.push(Glyph {
            what: what.unwrap_or(char::REPLACEMENT_CHARACTER),
            from: glyph.from,
            to,
        });
        at += length;
    }
    view
}

fn from_percent(text: &[Glyph<char>]) -> Vec<Glyph<char>> {
    let mut view = Vec::with_capacity(text.len());
    let mut at = 0;
    let byte = |at: usize| {
        (text.get(at)?.what == '%')
            .then(|| hex(text.get(at + 1..at + 3)?))
            .flatten()
            .map(|byte| byte as u8)
    };
    while let Some(glyph) = text.get(at) {
        let bytes: Vec<u8> = (0..).map_while(|number| byte(at + 3 * number)).collect();
        if bytes.is_empty() {
            view.push(*glyph);
            at += 1;
            continue;
        }
        // Invalid UTF-8 changes the length. Then each span covers the whole run.
        let decoded = String::from_utf8_lossy(&bytes);
        let whole = decoded.len() == bytes.len();
        for (place, what) in decoded.char_indices() {
            let (first, last) = if whole {
                (place, place + what.len_utf8() - 1)
            } else {
                (0, bytes.len() - 1)
            };
            let span = text.get(at + 3 * first).zip(text.get(at + 3 * last + 2));
            view.extend(span.map(|(first, last)| Glyph {
                what,
                from: first.from,
                to: last.to,
            }));
        }
        at += 3 * bytes.len();
    }
    view
}

fn from_html(text: &[Glyph<char>]) -> Vec<Glyph<char>> {
    let mut view = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(glyph) = text.get(at) {
        let end = (glyph.what == '&')
            .then(|| text.iter().skip(at).take(10).position(|glyph| glyph.what == ';'))
            .flatten();
        let name: Option<String> = end.map(|end| {
            text.iter()
                .skip(at + 1)
                .take(end - 1)
                .map(|glyph| glyph.what)
                .collect()
        });
        let what = name.and_then(|name| match name.as_str() {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            number => {
                let number = number.strip_prefix('#')?;
                let hex = number
                    .strip_prefix(['x', 'X'])
                    .map(|hex| u32::from_str_radix(hex, 16));
                char::from_u32(hex.unwrap_or_else(|| number.parse()).ok()?)
            }
        });
        let (what, length) = match (what, end) {
            (Some(what), Some(end)) => (what, end + 1),
            _ => (glyph.what, 1),
        };
        let to = text.get(at + length - 1).map_or(glyph.to, |last| last.to);
        view.push(Glyph {
            what,
            from: glyph.from,
            to,
        });
        at += length;
    }
    view
}

/// Finds a short secret where no letter or digit is beside it.
fn alone(text: &str, word: &str) -> Vec<Range<usize>> {
    let free = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let found = text.match_indices(word).map(|(at, word)| at..at + word.len());
    found
        .filter(|span| {
            free(
                text.get(..span.start)
                    .and_then(|before| before.chars().next_back()),
            ) && free(text.get(span.end..).and_then(|rest| rest.chars().next()))
        })
        .collect()
}
