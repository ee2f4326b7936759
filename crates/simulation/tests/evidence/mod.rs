//! The results of a run, for `cargo xtask evidence`.

/// Writes a result into the target folder.
pub fn write(name: &str, text: &str) {
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    std::fs::create_dir_all(target.join("evidence")).expect("the folder can be made");
    std::fs::write(target.join(format!("evidence/{name}.json")), text).expect("the counts can be written");
}
