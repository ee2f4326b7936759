//! What the documents name is there: the tests of `docs/threads.md`, and every file that a document points to.

#![allow(clippy::unwrap_used, reason = "a file that can't be read fails the test")]

use std::path::{Path, PathBuf};

/// How many threads there are.
const THREADS: usize = 38;

/// How the last cell of a row begins, and what the count of such rows is called at the top.
const VERDICTS: [(&str, &str); 3] = [("Test: ", "shown by a test"), ("Does not apply: ", "does not apply"), ("Not yet: issue ", "not yet")];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The cells of a row of a table; none for a line that is no row.
fn cells(line: &str) -> Vec<&str> {
    let row = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
    row.map(|row| row.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// The rows that begin with a number.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(cells).filter(|cells| cells.first().is_some_and(|first| first.parse::<usize>().is_ok())).collect()
}

/// What stands between backticks.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Where the links of a text lead, without the ones to places on the same page.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter_map(|target| target.split('#').next()).filter(|target| !target.is_empty()).collect()
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// Whether a file has a test of that name: an attribute says so, or, in Go, the name itself, or the list in the `main.rs` beside it, which is how tests without the harness are listed.
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

/// What of a cell that names tests is not there.
fn missing(cell: &str) -> Vec<String> {
    let files: Vec<PathBuf> = links(cell).into_iter().map(|target| docs().join(target)).filter(|file| file.is_file()).collect();
    // A name has no spaces: what has some is the text of a wrong operator.
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
            bad.extend(missing(shown).into_iter().map(|what| format!("row {number}: {what} is not there")));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    for (begins, called) in VERDICTS {
        let count = rows.iter().filter(|row| row.last().is_some_and(|shown| shown.starts_with(begins))).count();
        assert!(text.contains(&format!("{count} {called}")), "the top of the page does not say: {count} {called}");
    }
}

#[test]
fn every_file_that_a_document_points_to_is_there() {
    let mut seen = 0;
    for entry in std::fs::read_dir(docs()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for target in links(&text).into_iter().filter(|target| !is_elsewhere(target)) {
            seen += 1;
            assert!(file.with_file_name(target).exists(), "{}: {target} is not there", file.display());
        }
    }
    assert!(seen > 50, "only {seen} links were followed");
}

#[test]
fn what_is_missing_is_seen() {
    let there = "Test: `every_thread_has_a_row_and_every_test_that_is_named_is_there` ([documents.rs](../tests/documents.rs))";
    assert_eq!(missing(there), Vec::<String>::new());
    assert_eq!(missing(&there.replace("every_thread", "no_thread")).len(), 1);
    assert_eq!(missing("Test: `missing` ([documents.rs](../tests/documents.rs))"), ["missing"], "a function that is no test");
    assert_eq!(missing("Test: it is clear"), ["a test"]);
    let go = "Test: `TestRealObjectsHaveTheHealthOfTheTable` ([health_test.go](../tests/gitops/health_test.go))";
    assert_eq!(missing(go), Vec::<String>::new());
    assert_eq!(missing(&go.replace("TestReal", "TestUnreal")).len(), 1);
    assert_eq!(rows("| # | x |\n|---|---|\n| 1 | a |\nno row"), [["1", "a"]]);
    assert_eq!(links("[a](b.md#c), [d](#e), [f](https://g)"), ["b.md", "https://g"]);
}
