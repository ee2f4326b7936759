//! The entry of `fuzz/` for names, run for a moment: with any text, with texts close to the rules, and with the seeds of the corpus.
#![allow(clippy::unwrap_used, reason = "a seed that can't be read fails the test")]

mod entries;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn any_text(text: Vec<u8>) {
        entries::short_name(&text);
    }

    #[test]
    fn texts_of_about_that_length(text in "\\PC{2,17}") {
        entries::short_name(text.as_bytes());
    }

    #[test]
    fn texts_about_the_words(before in "[a-zA-Z_0-9. \u{130}\u{17f}-]{0,4}", word in "(?i)(audit|con|prn|aux|nul|com[0-9¹]|lpt[0-9])", after in "[a-zA-Z_0-9\\\\/:*?\"<>|]{0,4}") {
        entries::short_name(format!("{before}{word}{after}").as_bytes());
    }

    #[test]
    fn guids_and_task_ids(text in "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(wst|tsk)_[a-z0-9/.-]{1,100}") {
        entries::short_name(text.as_bytes());
    }
}

#[test]
fn the_seeds() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/short_name");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        entries::short_name(&std::fs::read(file.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 10, "{seen} seeds");
}
