//! What the manifests cannot enforce: which part of the operator may use which, how long a file may be, and that its documents exist.

#![allow(clippy::unwrap_used, reason = "a file that can't be read fails the test")]

#[path = "architecture/circle.rs"]
mod circle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which folders of `src` each may use. No folder may use one above it, and the two halves (cluster and platform) do not know each other.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("runtime", &[]),
    ("cluster", &["runtime"]),
    ("platform", &["runtime"]),
    ("controllers", &["cluster", "platform", "runtime"]),
    ("cli", &[]),
    ("telemetry", &["cli", "cluster", "controllers", "platform", "runtime"]),
    ("app", &["cli", "cluster", "controllers", "runtime", "telemetry"]),
];

/// Which of the project's crates, and which clients of the API server and the platform, each folder may name.
const MAY_NAME: [(&str, &[&str]); 7] = [
    ("runtime", &["oc_domain"]),
    ("cluster", &["oc_domain", "oc_api", "kube", "k8s_openapi"]),
    ("platform", &["oc_domain", "live_platform"]),
    ("controllers", &["oc_domain", "oc_api", "kube", "k8s_openapi", "live_platform"]),
    ("cli", &[]),
    ("telemetry", &["oc_domain", "oc_api", "kube", "k8s_openapi", "live_platform"]),
    ("app", &["oc_domain", "oc_api", "kube", "k8s_openapi"]),
];

/// The files of the controllers that name the platform's client: the connection, the requests made with it, and the metrics of its calls.
const NAME_THE_CLIENT: [&str; 5] = [
    "controllers/customer.rs",
    "controllers/live_platform/connection.rs",
    "controllers/live_platform/steps.rs",
    "controllers/metrics.rs",
    "controllers/observe.rs",
];

/// Types of the custom resources with a twin in the domain, the client or the circuit: the same word for the same thing on the other side of a boundary.
const TWINS: [&str; 11] =
    ["Adoption", "Circuit", "Condition", "Contact", "DeletionPolicy", "LeadSpec", "Mode", "Operation", "PlanItem", "ShortNameRule", "SiteLocation"];

/// The most lines in one file of code.
const MOST_LINES: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// The modules of `src` that a text names as `crate::…`.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    code.split("crate::")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

/// The files of a module of `src`.
fn of_module(module: &str) -> Vec<PathBuf> {
    let folder = root().join("src").join(module);
    if folder.is_dir() { files(&folder, ".rs") } else { vec![folder.with_extension("rs")] }
}

#[test]
fn folders_use_only_what_they_stand_on() {
    let mut seen = 0;
    for (module, allowed) in MAY_USE {
        for file in of_module(module) {
            seen += 1;
            for name in used(&std::fs::read_to_string(&file).unwrap()) {
                assert!(name == module || allowed.contains(&name.as_str()), "{} uses crate::{name}; {module} may use {allowed:?}", file.display());
            }
        }
    }
    assert!(seen > 60, "only {seen} files were read");
}

/// The code of a file without its tests.
fn product(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether code has a path that begins with this crate.
fn names(code: &str, of: &str) -> bool {
    code.match_indices(&format!("{of}::")).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn folders_name_only_the_crates_that_are_theirs() {
    let crates: BTreeSet<&str> = MAY_NAME.iter().flat_map(|(_, may)| *may).copied().collect();
    for (module, allowed) in MAY_NAME {
        for file in of_module(module) {
            let code = product(&file);
            for of in crates.iter().filter(|of| names(&code, of)) {
                assert!(allowed.contains(of), "{} names {of}; {module} may name {allowed:?}", file.display());
            }
        }
    }
}

#[test]
fn controllers_reach_the_platform_by_its_folder() {
    let src = root().join("src");
    // `mod.rs` has a child of that name.
    let other = |file: &PathBuf| file.ends_with("controllers/mod.rs") || file.ends_with("tests.rs");
    let by_client = |file: &PathBuf| names(&product(file), "live_platform") && !other(file);
    let found: Vec<String> =
        of_module("controllers").iter().filter(|file| by_client(file)).map(|file| file.strip_prefix(&src).unwrap().to_string_lossy().into_owned()).collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, NAME_THE_CLIENT.into());
}

/// No two files use each other, directly or indirectly: a file's dependencies can be read top down. The program's root and its tests are exempt.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let files = circle::read(&root().join("src"));
    assert!(files.len() > 60, "only {} files were read", files.len());
    if let Some(circle) = circle::find(&files) {
        panic!("these files use each other in a circle: {}", circle.join(" -> "));
    }
}

#[test]
fn controllers_do_not_call_each_other() {
    let controllers = [("lead", "lead"), ("lead_policy", "lead_policy/mod"), ("live_platform", "live_platform/mod"), ("service", "service")];
    for (kind, file) in controllers {
        let text = std::fs::read_to_string(root().join(format!("src/controllers/{file}.rs"))).unwrap();
        for (other, _) in controllers {
            assert!(kind == other || !text.contains(&format!("controllers::{other}::")), "{kind} uses {other}");
        }
    }
}

/// L3: controllers request changes, and `Budget::change` sends one only while this process holds the lease.
#[test]
fn controllers_ask_for_changes_only_with_the_lease() {
    let texts: Vec<String> = files(&root().join("src/controllers"), ".rs").iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let (mut changes, mut clients) = (0, 0);
    for text in &texts {
        assert!(!text.contains(".call("), "a call of a controller bypasses the lease");
        changes += text.matches(".change(").count() + text.matches(".change_channel(").count();
        clients += ["create_service", "delete_service", "create_lead", "delete_lead", "assign_channel", "run_job"]
            .iter()
            .map(|call| text.matches(&format!(".{call}(")).count())
            .sum::<usize>();
    }
    // `.assign_channel(` does not match within `.unassign_channel(`, which is counted separately.
    clients += texts.iter().map(|text| text.matches(".unassign_channel(").count()).sum::<usize>();
    assert!(changes >= 7 && changes == clients, "{clients} calls that change something, of which {changes} ask for the lease");
}

/// The places that write to the API server, as the head of `src/cluster/patch.rs` says. `src/cluster/send.rs` only sends what they write.
#[test]
fn three_places_write_to_the_api_server() {
    let src = root().join("src");
    let writes = |path: &PathBuf| {
        ["PatchParams", "PostParams", "DeleteParams", "cluster::send::"].iter().any(|word| std::fs::read_to_string(path).unwrap().contains(word))
    };
    let found: Vec<String> = files(&src, ".rs")
        .iter()
        .filter(|path| !path.ends_with("cluster/send.rs") && writes(path))
        .map(|path| path.strip_prefix(&src).unwrap().to_string_lossy().into_owned())
        .collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ["cluster/election.rs", "cluster/events.rs", "cluster/patch.rs"].into());
}

/// The names of the types that a file defines, except those inside functions and in its tests.
fn types(code: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        let rest = ["struct ", "enum ", "trait ", "type "].iter().find_map(|word| rest.strip_prefix(word))?;
        Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
    };
    code.lines().filter_map(name).collect()
}

#[test]
fn no_type_name_stands_twice() {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in ["src", "crates/api/src", "crates/domain/src", "crates/live-platform/src"] {
        for file in files(&root().join(folder), ".rs").iter().filter(|file| !file.ends_with("tests.rs")) {
            for name in types(&product(file)) {
                seen.entry(name).or_default().push(file.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert!(seen.len() > 300, "only {} types were found", seen.len());
    for (name, places) in seen {
        let twin = TWINS.contains(&name.as_str()) && places.len() == 2 && places.iter().filter(|place| place.starts_with("crates/api")).count() == 1;
        assert!(places.len() == 1 || twin, "{name} is a type of {places:?}: give each its own word");
    }
}

#[test]
fn no_file_of_code_is_too_long() {
    for file in files(&root(), ".rs") {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines; would two rooms be easier to live in?", file.display());
    }
}

/// The sections of each reason's page, in this order.
const SECTIONS: [&str; 5] = ["What it means", "What to do", "What the operator does meanwhile", "How to see that it is over", "What it looks like"];

#[test]
fn every_event_has_a_row_and_every_row_an_event() {
    let text = std::fs::read_to_string(root().join("docs/events.md")).unwrap();
    let rows: Vec<String> = text.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 6).map(str::to_owned).collect();
    let known: Vec<String> = oc_domain::events::Event::ALL.iter().map(|event| format!("| `{event}` | {:?} | {} |", event.severity(), event.action())).collect();
    assert_eq!(rows.len(), known.len());
    for (row, event) in rows.iter().zip(known) {
        assert!(row.starts_with(&event), "{row} instead of {event}");
    }
}

#[test]
fn every_reason_has_a_page_and_every_page_a_reason() {
    let folder = root().join("docs/reasons");
    let name = |file: &PathBuf| file.file_stem().unwrap().to_string_lossy().into_owned();
    let written: BTreeSet<String> = files(&folder, ".md").iter().map(name).filter(|name| name != "README").collect();
    let known: BTreeSet<String> = oc_domain::conditions::Reason::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(written, known);
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for reason in oc_domain::conditions::Reason::ALL {
        let page = std::fs::read_to_string(folder.join(format!("{reason}.md"))).unwrap();
        let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert!(page.starts_with(&format!("# {reason}\n")) && sections == SECTIONS, "{reason}: {sections:?}");
        let row = format!("| [{reason}]({reason}.md) |");
        let above = index.split(&row).next().filter(|above| above.len() < index.len()).unwrap_or_else(|| panic!("the index has no row for {reason}"));
        let heading = above.lines().rev().find_map(|line| line.strip_prefix("## ")).unwrap();
        assert!(heading.starts_with(whose(reason)), "{reason} is listed under: {heading}");
    }
}

/// The index's words for the party whose move it is.
fn whose(reason: oc_domain::conditions::Reason) -> &'static str {
    use oc_domain::conditions::Responsible;
    match reason.whose_move() {
        Responsible::Operator => "The operator's move",
        Responsible::User => "The user's move",
        Responsible::PlatformOperator => "The platform operator's move",
        Responsible::Administrator => "The administrator's move",
        Responsible::Nobody => "Nobody's move",
    }
}
