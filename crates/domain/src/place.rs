//! Where a platform is. What is unique on a platform is unique at its place, whatever the objects are called that point there.

/// The place of a platform, in one spelling for all the ways to write its URL.
///
/// Two places that are equal are one platform. Two that differ may still be one, by an alias in DNS, a second port or a proxy, which nobody can know from
/// a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(String);

impl Place {
    /// From the parts of a URL as a parser gives them: an internationalized host name in its ASCII form, and the port, given or the scheme's own.
    ///
    /// The case of the path counts as little as that of the host: the vendor's paths are matched without regard to it on the servers that are usual for
    /// it. That is an assumption, and it errs on the side that makes nothing twice.
    pub fn new(scheme: &str, host: &str, port: u16, path: &str) -> Self {
        let host = host.trim_end_matches('.');
        let mut place = format!("{scheme}://{host}:{port}");
        for segment in segments(&decoded(path)) {
            place.push('/');
            place.push_str(segment);
        }
        Self(place.to_ascii_lowercase())
    }

    /// As one text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The segments that name something, with `.` and `..` followed.
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

/// The path with those characters decoded that mean the same encoded and not (RFC 3986, 2.3), and a `%` that begins no escape encoded.
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
