//! What the documents name exists: the tests of `docs/threads.md`, every file that a document links to, and the quoted messages of a status in the code.

#![allow(clippy::unwrap_used, reason = "a file that can't be read fails the test")]

use std::path::{Path, PathBuf};

#[path = "documents/names.rs"]
mod names;
#[path = "documents/numbers.rs"]
mod numbers;

use oc_domain::conditions::{ConditionStatus, Reason, Verdict};

/// The number of threads.
const THREADS: usize = 38;

/// How the last cell of a row begins, and what the count of such rows is called at the top.
const VERDICTS: [(&str, &str); 3] = [("Test: ", "shown by a test"), ("Does not apply: ", "does not apply"), ("Not yet: issue ", "not yet")];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The cells of a table row; none for a line that is no row.
fn cells(line: &str) -> Vec<&str> {
    let row = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
    row.map(|row| row.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// The rows that begin with a number.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(cells).filter(|cells| cells.first().is_some_and(|first| first.parse::<usize>().is_ok())).collect()
}

/// The texts between backticks.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The targets of the links in a text, without those on the same page.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter_map(|target| target.split('#').next()).filter(|target| !target.is_empty()).collect()
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// Whether a file has a test of this name: by its attribute; in Go, by the name itself; or by the list in the `main.rs` beside it, which lists tests without
/// the harness.
fn has_test(file: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "go") {
        return name.starts_with("Test") && file.to_string_lossy().ends_with("_test.go") && text.contains(&format!("\nfunc {name}(t *testing.T)"));
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.contains(&format!("fn {name}("))) else { return false };
    let above = lines.iter().take(at).rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let listed = std::fs::read_to_string(file.with_file_name("main.rs")).is_ok_and(|main| main.contains(name));
    listed || above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

/// What a cell names as tests and does not exist; the page is in `folder`.
fn missing(folder: &Path, cell: &str) -> Vec<String> {
    let files: Vec<PathBuf> = links(cell).into_iter().map(|target| folder.join(target)).filter(|file| file.is_file()).collect();
    // A name has no spaces: a span with spaces is the text of a wrong operator.
    let is_there = |span: &str| match span.rsplit("::").next() {
        Some(name) if !span.contains(' ') => files.iter().any(|file| has_test(file, name)),
        _ => files.iter().any(|file| std::fs::read_to_string(file).unwrap().contains(&format!("\"{span}\""))),
    };
    let named = spans(cell);
    let none = if named.is_empty() { vec!["a test".to_owned()] } else { Vec::new() };
    named.into_iter().filter(|span| !is_there(span)).map(str::to_owned).chain(none).collect()
}

#[test]
fn every_thread_has_a_row_and_every_test_that_is_named_is_there() {
    let text = std::fs::read_to_string(docs().join("threads.md")).unwrap();
    let rows = rows(&text);
    let numbers: Vec<String> = rows.iter().filter_map(|row| row.first()).map(|number| (*number).to_owned()).collect();
    assert_eq!(numbers, (1..=THREADS).map(|number| number.to_string()).collect::<Vec<_>>());
    let mut bad = Vec::new();
    for row in &rows {
        let [number, thread, wrong, how, shown] = row.as_slice() else {
            bad.push(format!("{row:?} has not five cells"));
            continue;
        };
        if !thread.contains("](https://github.com/") || wrong.is_empty() || how.is_empty() {
            bad.push(format!("row {number} has no thread, or a cell that is empty"));
        }
        if !VERDICTS.iter().any(|(begins, _)| shown.starts_with(begins)) {
            bad.push(format!("row {number} says neither what shows it nor why nothing does: {shown}"));
        }
        if shown.starts_with("Test: ") {
            bad.extend(missing(&docs(), shown).into_iter().map(|what| format!("row {number}: {what} is not there")));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    for (begins, called) in VERDICTS {
        let count = rows.iter().filter(|row| row.last().is_some_and(|shown| shown.starts_with(begins))).count();
        assert!(text.contains(&format!("{count} {called}")), "the top of the page does not say: {count} {called}");
    }
}

#[test]
fn every_law_has_tests_that_are_there() {
    let folder = docs().join("design");
    let text = std::fs::read_to_string(folder.join("laws.md")).unwrap();
    let laws: Vec<Vec<&str>> = text.lines().map(cells).filter(|row| row.first().is_some_and(|first| first.starts_with('L'))).collect();
    assert_eq!(laws.iter().map(|row| row[0]).collect::<Vec<_>>(), ["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10"]);
    let bad: Vec<String> = laws.iter().flat_map(|row| missing(&folder, row[2]).into_iter().map(|what| format!("{}: {what} is not there", row[0]))).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// The files with this ending in these folders, recursively.
fn files(mut folders: Vec<PathBuf>, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found
}

/// All documents: those in `docs` and its subfolders, and those at the top of the repository.
fn documents() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let at_the_top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| top.join(name));
    at_the_top.into_iter().chain(files(vec![docs()], "md")).collect()
}

/// Every Rust file of the repository.
fn sources() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    files(["src", "crates", "tests", "xtask"].map(|folder| top.join(folder)).to_vec(), "rs")
}

/// The anchors of a page's headings, as forges generate them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |heading: String| heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>();
    headings.map(|heading| kept(heading).replace(' ', "-")).collect()
}

#[test]
fn every_file_that_a_document_points_to_is_there() {
    let mut seen = 0;
    let mut bad = Vec::new();
    for file in documents() {
        let text = std::fs::read_to_string(&file).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|target| !is_elsewhere(target)) {
            seen += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let other = if path.is_empty() { file.clone() } else { file.with_file_name(path) };
            if !other.exists() {
                bad.push(format!("{}: {target} is not there", file.display()));
            } else if !anchor.is_empty() && !anchors(&std::fs::read_to_string(&other).unwrap()).iter().any(|known| known == anchor) {
                bad.push(format!("{}: {target} is no heading there", file.display()));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(seen > 200, "only {seen} links were followed");
}

/// Every page can be reached from the index.
#[test]
fn every_page_can_be_reached_from_the_index() {
    let mut reached = std::collections::BTreeSet::new();
    let mut next = vec![docs().join("README.md").canonicalize().unwrap()];
    while let Some(page) = next.pop() {
        let is_page = page.extension().is_some_and(|extension| extension == "md");
        if is_page && reached.insert(page.clone()) {
            let text = std::fs::read_to_string(&page).unwrap();
            let targets = links(&text).into_iter().filter(|target| !is_elsewhere(target));
            next.extend(targets.filter_map(|target| page.with_file_name(target).canonicalize().ok()));
        }
    }
    let pages = documents().into_iter().map(|page| page.canonicalize().unwrap());
    let lost: Vec<PathBuf> = pages.filter(|page| page.starts_with(docs().canonicalize().unwrap()) && !reached.contains(page)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:#?}");
}

/// The string literals of the code that a message can consist of, each as the parts between the placeholders.
fn texts() -> Vec<Vec<String>> {
    let mut folders: Vec<PathBuf> =
        ["crates/api/src", "crates/domain/src", "crates/live-platform/src", "src"].iter().map(|name| docs().join("..").join(name)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let code = std::fs::read_to_string(&path).unwrap().replace("\\\"", "\u{1}");
            for text in code.split('"').skip(1).step_by(2).filter(|text| text.len() < 2000) {
                let parts = text.split('{').enumerate().map(|(at, part)| if at == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) });
                found.push(parts.map(|part| part.replace('\u{1}', "\"")).collect());
            }
        }
    }
    found
}

/// The share of a message, in percent, that appears in the code: filled-in values do not.
fn share_in_the_code(message: &str, texts: &[Vec<String>]) -> usize {
    let mut covered = vec![false; message.len()];
    for parts in texts {
        let mut from = 0;
        let mut places = Vec::new();
        for part in parts.iter().filter(|part| !part.trim().is_empty()) {
            let Some(at) = message.get(from..).and_then(|rest| rest.find(part.as_str())) else {
                places.clear();
                break;
            };
            places.push((from + at, part.len()));
            from += at + part.len();
        }
        // A word or two occur in many texts.
        if places.iter().map(|(_, length)| length).sum::<usize>() >= 12 {
            places.iter().for_each(|(at, length)| covered[*at..at + length].fill(true));
        }
    }
    covered.iter().filter(|one| **one).count() * 100 / message.len()
}

/// The conditions that a reason's page shows: type, status, reason, message.
fn shown(page: &str) -> Vec<[String; 4]> {
    let yaml = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let example: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    let conditions = example["status"]["conditions"].as_array().expect("conditions");
    conditions.iter().map(|one| ["type", "status", "reason", "message"].map(|key| one[key].as_str().unwrap_or_default().to_owned())).collect()
}

#[test]
fn what_the_pages_of_the_reasons_show_is_what_the_code_says() {
    let texts = texts();
    for reason in Reason::ALL {
        let page = std::fs::read_to_string(docs().join(format!("reasons/{reason}.md"))).unwrap();
        let conditions = shown(&page);
        let message = conditions[0][3].clone();
        let share = share_in_the_code(&message, &texts);
        assert!(share >= 45, "{reason}: {share} % of its message stand in the code: {message}");
        let verdict = match reason {
            Reason::Succeeded => Verdict::ready(message),
            // It asks for a decision and blocks nothing.
            Reason::PlanReady => Verdict { stalled: false, ..Verdict::not_ready(reason, message) },
            // The schema's default, before any operator has seen the object.
            Reason::Progressing => Verdict { ready: ConditionStatus::Unknown, ..Verdict::not_ready(reason, message) },
            // Ready stays as it is.
            Reason::ClusterRefused => Verdict { discovered: Some((ConditionStatus::False, reason, message.into())), ..Verdict::ready("x") },
            _ => Verdict::not_ready(reason, message),
        };
        let told = |condition: &oc_domain::conditions::Condition| {
            [condition.kind.to_owned(), condition.truth.as_str().to_owned(), condition.reason.to_string(), condition.message.to_string()]
        };
        let mut expected: Vec<[String; 4]> = verdict.conditions().iter().map(told).collect();
        if reason == Reason::Progressing {
            expected.truncate(1);
        }
        if reason == Reason::ClusterRefused {
            expected.remove(0);
        }
        assert_eq!(conditions, expected, "{reason}");
    }
    let made_up = "The frobnicator of the tenant has come loose, so that nothing goes on until somebody tightens it.";
    assert!(share_in_the_code(made_up, &texts) < 30, "a message that nobody says is seen");
}

#[test]
fn what_is_missing_is_seen() {
    let there = "Test: `every_thread_has_a_row_and_every_test_that_is_named_is_there` ([documents.rs](../tests/documents.rs))";
    assert_eq!(missing(&docs(), there), Vec::<String>::new());
    assert_eq!(missing(&docs(), &there.replace("every_thread", "no_thread")).len(), 1);
    assert_eq!(missing(&docs(), "Test: `missing` ([documents.rs](../tests/documents.rs))"), ["missing"], "a function that is no test");
    assert_eq!(missing(&docs(), "Test: it is clear"), ["a test"]);
    let go = "Test: `TestRealObjectsHaveTheHealthOfTheTable` ([health_test.go](../tests/gitops/health_test.go))";
    assert_eq!(missing(&docs(), go), Vec::<String>::new());
    assert_eq!(missing(&docs(), &go.replace("TestReal", "TestUnreal")).len(), 1);
    assert_eq!(rows("| # | x |\n|---|---|\n| 1 | a |\nno row"), [["1", "a"]]);
    assert_eq!(links("[a](b.md#c), [d](#e), [f](https://g)"), ["b.md", "https://g"]);
}
