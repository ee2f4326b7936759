//! The location of a platform. What is unique on a platform is unique at its place, whatever objects point
//! there.

use std::sync::Arc;

/// The place of a platform, in one spelling for all forms of its URL.
///
/// Two equal places are one platform. Two different places may still be one, through a DNS alias, a second
/// port or a proxy, which a URL does not show.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(Arc<str>);

impl Place {
    /// Builds a place from the parts of a parsed URL: an internationalized host name in its ASCII form, and
    /// the port, explicit or the default of the scheme.
    ///
    /// The path is compared without regard to case, like the host, because the servers usually used for the
    /// vendor's paths ignore case. This is an assumption, and it errs on the side that creates nothing twice.
    pub fn new(scheme: &str, host: &str, port: u16, path: &str) -> Self {
        let host = host.trim_end_matches('.');
        let mut place = format!("{scheme}://{host}:{port}");
        for segment in segments(&decoded(path)) {
            place.push('/');
            place.push_str(segment);
        }
        Self(place.to_ascii_lowercase().into())
    }

    /// The place as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The named segments of a path, with `.` and `..` resolved.
fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    segments
}

/// Decodes the characters of a path that mean the same encoded and unencoded (RFC 3986, 2.3), and encodes a
/// `%` that does not begin an escape.
fn decoded(path: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let byte = |hex: &str| {
        hex.bytes()
            .all(|digit| digit.is_ascii_hexdigit())
            .then(|| u8::from_str_radix(hex, 16).ok())
            .flatten()
    };
    let mut text = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        rest = after;
        match after.get(..2).and_then(byte) {
            Some(byte) if unreserved(byte) => {
                text.push(char::from(byte));
                rest = &after[2..];
            }
            Some(_) => text.push('%'),
            None => text.push_str("%25"),
        }
    }
    text + rest
}
