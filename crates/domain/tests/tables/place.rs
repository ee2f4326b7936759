use oc_domain::place::Place;
use proptest::prelude::*;

fn at(path: &str) -> Place {
    Place::new("https", "live.example.com", 443, path)
}

/// One place, however it is written.
#[test]
fn spellings_of_one_place() {
    let plain = at("/tenantui");
    assert_eq!(plain.as_str(), "https://live.example.com:443/tenantui");
    for path in [
        "/tenantui/",
        "tenantui",
        "//tenantui//",
        "/./tenantui/.",
        "/x/../tenantui",
        "/../tenantui",
        "/TenantUI",
        "/%74enantui",
        "/%74%65nantui/%2E",
        "/x/%2e%2e/tenantui",
    ] {
        assert_eq!(at(path), plain, "{path}");
    }
    for (scheme, host) in [("HTTPS", "LIVE.example.com"), ("https", "live.example.com."), ("Https", "Live.Example.Com.")] {
        assert_eq!(Place::new(scheme, host, 443, "/tenantui"), plain, "{scheme} {host}");
    }
    assert_eq!(at("/a%2Fb"), at("/A%2fB"), "the case of an escape does not count either");
    assert_eq!(at("/a%b"), at("/a%25b"), "a percent sign that begins no escape is one");
}

/// Different places stay different: encoded characters that mean something else, and broken encodings.
#[test]
fn places_that_differ() {
    let all = ["/tenantui", "", "/tenantui/x", "/x/tenantui", "/a%2Fb", "/a/b", "/a%25b", "/a%", "/a%2", "/%zz", "/ä%", "/%e4"].map(at);
    for (i, one) in all.iter().enumerate() {
        for other in &all[i + 1..] {
            assert_ne!(one, other);
        }
    }
    assert_ne!(Place::new("https", "live.example.com", 8443, "/tenantui"), at("/tenantui"));
    assert_ne!(Place::new("http", "live.example.com", 443, "/tenantui"), at("/tenantui"));
    assert_ne!(Place::new("https", "live.example.org", 443, "/tenantui"), at("/tenantui"));
}

/// The same path with some letters escaped, in another case, with more slashes and detours.
fn spelt(segments: &[String], noise: &[u8]) -> String {
    let mut noise = noise.iter().cycle().copied();
    let mut path = String::new();
    for segment in segments {
        path.push_str(["/", "//", "/./", "/x/../", "/%2e/"][usize::from(noise.next().unwrap_or(0) % 5)]);
        for letter in segment.chars() {
            match noise.next().unwrap_or(0) % 3 {
                0 => path.push_str(&format!("%{:02x}", u32::from(letter))),
                1 => path.push(letter.to_ascii_uppercase()),
                _ => path.push(letter),
            }
        }
    }
    path + ["", "/", "//", "/.", "/x/.."][usize::from(noise.next().unwrap_or(0) % 5)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Another spelling is the same place, and another segment is not.
    #[test]
    fn any_spelling_is_the_same_place(segments in prop::collection::vec("[a-z0-9_~-]{1,6}", 0..4), noise in prop::collection::vec(any::<u8>(), 1..40)) {
        let plain = at(&format!("/{}", segments.join("/")));
        prop_assert_eq!(&at(&spelt(&segments, &noise)), &plain);
        let mut other = segments;
        other.push("another".into());
        prop_assert_ne!(&at(&spelt(&other, &noise)), &plain);
    }

    /// Any text has a place, and parsing a place again gives the same place.
    #[test]
    fn any_path_is_survived_and_read_once(path in "\\PC{0,20}|[%/.a-fA-F0-9]{0,20}") {
        let place = at(&path);
        let rest = place.as_str().strip_prefix("https://live.example.com:443").expect("scheme, host and port stand before it");
        prop_assert_eq!(&at(rest), &place);
    }
}
