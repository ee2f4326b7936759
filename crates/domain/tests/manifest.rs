//! The crate's purity, enforced through its manifest.

/// A crate without dependencies has nothing to call for I/O, the time or a random number.
#[test]
fn the_domain_depends_on_nothing() {
    let manifest = include_str!("../Cargo.toml");
    let mut section = "";
    let mut dependencies = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
            let table = section.trim_matches(['[', ']']);
            let inline = table.starts_with("dependencies.")
                || table.starts_with("build-dependencies")
                || (table.starts_with("target.") && !table.contains("dev-dependencies"));
            assert!(!inline, "{line} gives the domain a dependency");
        } else if section == "[dependencies]" {
            dependencies.push(line);
        }
    }
    assert!(manifest.contains("[dependencies]"), "the empty section says that it is empty on purpose");
    assert_eq!(dependencies, Vec::<&str>::new(), "crates/domain has no dependencies, and must have none");
}

/// Nor does its own code use the parts of std that can.
#[test]
fn the_domain_uses_nothing_impure_of_std() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = std::fs::read_to_string(&entry).expect("a source file");
            read += 1;
            for word in ["SystemTime", "Instant::", "std::fs", "std::net", "std::env", "std::process", "std::thread", "RandomState", "HashMap", "HashSet"] {
                assert!(!text.contains(word), "{} uses {word}", entry.display());
            }
        }
    }
    assert!(read > 10, "the sources were found");
}
