//! Which file of a program uses which, from its `use` lines and from the paths in its code that begin with `crate::` or `super::`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The modules that each module uses; paths are joined with `::`.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// Reads a folder of sources, without the tests in them.
pub fn read(src: &Path) -> Uses {
    let mut texts = BTreeMap::new();
    for file in super::files(src, ".rs") {
        let name = file.strip_prefix(src).unwrap().with_extension("").to_string_lossy().replace('/', "::");
        let text = std::fs::read_to_string(&file).unwrap();
        let is_test = name.ends_with("::tests");
        if !is_test && !["lib", "main"].contains(&name.as_str()) {
            let name = name.strip_suffix("::mod").map_or(name.clone(), str::to_owned);
            texts.insert(name, code(&text));
        }
    }
    of(&texts)
}

fn of(texts: &BTreeMap<String, String>) -> Uses {
    let known: BTreeSet<&str> = texts.keys().map(String::as_str).collect();
    let uses = |(name, text): (&String, &String)| {
        let used = paths(text).into_iter().filter_map(|path| module(&known, name, &path)).filter(|used| used != name).collect();
        (name.clone(), used)
    };
    texts.iter().map(uses).collect()
}

/// The code of a file without comments and without its test module.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths that a text names: those of its `use` lines with the braces expanded, and those that begin with `crate::` or `super::`.
fn paths(text: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("use ") {
        let begins = before.chars().next_back().is_none_or(|c| c.is_whitespace() || c == ')');
        let (tree, next) = after.split_once(';').unwrap_or((after, ""));
        if begins && tree.starts_with(|c: char| c.is_alphabetic()) {
            open(tree, &mut paths);
            rest = next;
        } else {
            rest = after;
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let path: String = text[at..].chars().take_while(|c| c.is_alphanumeric() || ['_', ':'].contains(c)).collect();
            paths.push(path.trim_end_matches(':').to_owned());
        }
    }
    paths
}

/// `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn open(tree: &str, into: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((prefix, inner)) = tree.split_once('{') else {
        into.push(tree.split(" as ").next().unwrap_or_default().trim().to_owned());
        return;
    };
    let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut part) = (0, String::new());
    for c in inner.chars().chain([',']) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            if !part.trim().is_empty() {
                open(&format!("{prefix}{}", part.trim()), into);
            }
            part.clear();
        } else {
            part.push(c);
        }
    }
}

/// The module that a path in the module `here` leads to: the longest prefix that is a module.
fn module(known: &BTreeSet<&str>, here: &str, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    let own: Vec<&str> = here.split("::").collect();
    let full: Vec<&str> = match *parts.first()? {
        "crate" => parts[1..].to_vec(),
        "self" => own.iter().chain(&parts[1..]).copied().collect(),
        "super" => {
            let ups = parts.iter().take_while(|part| **part == "super").count();
            own[..own.len().checked_sub(ups)?].iter().chain(&parts[ups..]).copied().collect()
        }
        // A child of this module, or another crate.
        _ => own.iter().chain(&parts).copied().collect(),
    };
    let child = !["crate", "self", "super"].contains(parts.first()?);
    let least = if child { own.len() + 1 } else { 1 };
    (least..=full.len()).rev().map(|length| full[..length].join("::")).find(|name| known.contains(name.as_str()))
}

/// A circle, if there is one: each uses the next, and the last is the first.
pub fn find(uses: &Uses) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    uses.keys().find_map(|name| walk(uses, name, &mut Vec::new(), &mut done))
}

fn walk<'a>(uses: &'a Uses, name: &'a str, way: &mut Vec<&'a str>, done: &mut BTreeSet<&'a str>) -> Option<Vec<String>> {
    if let Some(at) = way.iter().position(|before| *before == name) {
        return Some(way[at..].iter().chain([&name]).map(|name| (*name).to_owned()).collect());
    }
    if !done.insert(name) {
        return None;
    }
    way.push(name);
    let found = uses[name].iter().find_map(|used| walk(uses, used, way, done));
    way.pop();
    found
}

#[test]
fn a_circle_is_found_in_whatever_way_it_is_written() {
    let texts = |one: &str, two: &str, three: &str| {
        let files = [("a", "pub mod one;\npub use one::One;"), ("a::one", one), ("a::two", two), ("b", three)];
        files.into_iter().map(|(name, text)| (name.to_owned(), code(text))).collect::<BTreeMap<_, _>>()
    };
    let found = |one: &str, two: &str, three: &str| find(&of(&texts(one, two, three))).map(|circle| circle.join(" "));
    assert_eq!(found("use super::two::Two;", "use crate::b;", "struct B;"), None);
    let circle = Some("a::one a::two a::one".to_owned());
    assert_eq!(found("use super::two::Two;", "use crate::{b, a::{one::{One}}};", "struct B;"), circle);
    assert_eq!(found("pub(crate) use super::two;", "fn two() { super::one::one() }", "struct B;"), circle);
    assert_eq!(found("use super::X;", "", ""), Some("a a::one a".to_owned()), "a parent's own items");
    assert_eq!(found("// use super::two::Two;", "use super::one;", ""), None, "a comment");
    assert_eq!(found("#[cfg(test)]\nmod tests {\n use super::super::two; }", "use super::one;", ""), None, "a test");
}
