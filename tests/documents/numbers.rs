//! Every fact about the platform and every law that a comment in the code cites is defined in `docs/design`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{cells, docs, documents, sources};

/// The words of a file's comments, without the punctuation around them.
fn words(text: &str) -> Vec<&str> {
    let comments = text.lines().filter_map(|line| line.split_once("//")).filter(|(before, _)| !before.contains('"')).map(|(_, comment)| comment);
    let edges = |c: char| !c.is_alphanumeric();
    comments.flat_map(str::split_whitespace).map(move |word| word.trim_matches(edges)).collect()
}

/// `C-12`, `U-8`, `N-3`; `L1`, `S3`, `E7`: a letter, and a number.
fn is_number(word: &str) -> bool {
    let of =
        |letters: &str, rest: &str| word.len() > rest.len() && letters.contains(&word[..1]) && !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match word.split_once('-') {
        Some((letter, rest)) => letter.len() == 1 && of("CUN", rest),
        None => word.is_char_boundary(1) && of("LSE", word.get(1..).unwrap_or_default()),
    }
}

fn pages() -> BTreeMap<String, String> {
    let pages = ["laws.md", "flow.md", "platform-facts.md", "platform-facts-2.md", "platform-facts-3.md"];
    pages.into_iter().map(|page| (page.to_owned(), std::fs::read_to_string(docs().join("design").join(page)).unwrap())).collect()
}

#[test]
fn every_number_that_the_code_cites_is_defined() {
    // A row begins with its number, or has it in bold where it is new.
    let pages = pages();
    let begins = |text: &str| text.lines().map(cells).filter_map(|row| row.first()?.split([' ', ',', ':']).next().map(str::to_owned)).collect::<Vec<_>>();
    let bold =
        |text: &str| text.split("**").skip(1).step_by(2).map(|bold| bold.split([' ', ',', ':']).next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let defined: BTreeSet<String> = pages.values().flat_map(|text| [begins(text), bold(text)].concat()).filter(|word| is_number(word)).collect();
    assert!(defined.len() > 90, "{} numbers are defined", defined.len());
    let (mut seen, mut bad) = (0, Vec::new());
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in words(&text).into_iter().filter(|word| is_number(word)) {
            seen += 1;
            if !defined.contains(word) {
                bad.push(format!("{}: {word} is defined nowhere in docs/design", file.display()));
            }
        }
    }
    assert!(seen > 150, "{seen} numbers are cited");
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_page_that_a_comment_names_is_there() {
    let known: BTreeSet<String> = documents().iter().filter_map(|page| Some(page.file_name()?.to_string_lossy().into_owned())).collect();
    let here = |word: &str| {
        known.contains(word.rsplit('/').next().unwrap_or(word))
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/oc-essentials-operator").join(word).exists()
    };
    let (mut seen, mut bad) = (0, Vec::new());
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in words(&text).into_iter().filter(|word| word.ends_with(".md")) {
            seen += 1;
            if !here(word) {
                bad.push(format!("{}: there is no page {word}", file.display()));
            }
        }
    }
    assert!(seen > 100, "{seen} pages are named");
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_section_that_the_code_cites_is_there() {
    let pages = pages();
    let (mut seen, mut bad) = (0, Vec::new());
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        let comments: Vec<&str> = text.lines().filter_map(|line| line.split_once("//").map(|(_, comment)| comment)).collect();
        for cited in comments.join(" ").split("platform-facts").skip(1) {
            let (page, rest) = cited.split_once(".md").unwrap_or((cited, ""));
            let Some(page) = pages.get(&format!("platform-facts{page}.md")) else {
                bad.push(format!("{}: there is no page platform-facts{page}.md", file.display()));
                continue;
            };
            let section = rest.split_whitespace().next().unwrap_or_default().trim_matches(|c: char| !c.is_ascii_digit());
            let heading =
                |line: &str| line.trim_start_matches('#').trim_start().split([' ']).next().is_some_and(|number| number.trim_end_matches('.') == section);
            if section.bytes().next().is_none_or(|b| !b.is_ascii_digit()) || rest.trim_start().starts_with(['C', 'U', 'N', 'E']) {
                continue;
            }
            seen += 1;
            if !page.lines().filter(|line| line.starts_with("##")).any(heading) {
                bad.push(format!("{}: platform-facts has no section {section}", file.display()));
            }
        }
    }
    assert!(seen > 80, "{seen} sections are cited");
    assert!(bad.is_empty(), "{bad:#?}");
}
