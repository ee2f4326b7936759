//! Builds the API server.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::golang::{Program, key, only_builder, sources};

/// How many packages are compiled when Go's cache is empty.
const PACKAGES: usize = 2230;
const CALLED: &str = "the API server for the tests";
const OTHER_WAYS: &str = "Instead of building it you can
  - set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver (setup-envtest downloads them), or
  - use a cluster that exists: OPERATORCONNECT_TEST_KUBECONFIG=<its kubeconfig> for the tests, --kubeconfig for the operator";

/// Returns the root of the project in which this crate was compiled.
pub fn root() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    path.canonicalize().unwrap_or(path)
}

/// Returns the folder for everything of a project's control planes.
pub fn home(project_root: &Path) -> PathBuf {
    project_root.join("target/control-plane")
}

/// Prints a line to stderr. `cargo test` does not capture it, so that nobody waits minutes before a silent
/// screen.
pub fn to_stderr(text: &str) {
    let _closed = writeln!(std::io::stderr(), "control-plane: {text}");
}

/// Builds the API server; see [`crate::build`].
pub fn build(project_root: &Path, progress: fn(&str)) -> Result<PathBuf> {
    let module = project_root.join("tests/control-plane");
    let sources = sources(&module)?;
    let home = home(project_root);
    let key = key(&sources)?;
    let program = home.join(&key).join("control-plane");
    if program.exists() {
        return Ok(program);
    }
    let _only = only_builder(&home, CALLED, progress)?;
    if !program.exists() {
        fs::create_dir_all(home.join(&key))?;
        let flags = flags(&fs::read_to_string(module.join("go.mod"))?)?;
        let server = Program {
            called: CALLED,
            module: &module,
            package: ".",
            flags: &flags,
            tags: "",
            packages: PACKAGES,
            otherwise: OTHER_WAYS,
        };
        server.build(&program, progress)?;
        sweep(&home, &key)?;
    }
    Ok(program)
}

/// Returns the linker flags. Without them the API server reports v0.0.0, and clients and charts read its
/// version. -s -w omit the debugger's tables.
fn flags(go_mod: &str) -> Result<String> {
    let version = kubernetes_version(go_mod)?;
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    Ok(format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    ))
}

/// Returns the version of Kubernetes that go.mod requires.
fn kubernetes_version(go_mod: &str) -> Result<String> {
    let version = go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .context("go.mod does not require k8s.io/kubernetes")?;
    Ok(version.trim().to_owned())
}

/// Removes all builds except this one and the newest other: switching a branch and back costs nothing, and
/// ten switches do not fill the disk.
fn sweep(home: &Path, current: &str) -> Result<()> {
    let mut others = Vec::new();
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != current && name.len() == 16 && name.chars().all(|letter| letter.is_ascii_hexdigit()) {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    others.pop();
    for (_, path) in others {
        // Another process may be removing the same build.
        let _gone = fs::remove_dir_all(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_current_build_and_the_newest_other_are_kept() {
        let home = tempfile::tempdir().unwrap();
        for name in ["1111111111111111", "2222222222222222", "3333333333333333", "runs"] {
            fs::create_dir(home.path().join(name)).unwrap();
            fs::write(home.path().join(name).join("control-plane"), name).unwrap();
            fs::File::open(home.path().join(name))
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH + Duration::from_secs(name.as_bytes()[0].into()))
                .unwrap();
        }
        sweep(home.path(), "1111111111111111").unwrap();
        let mut left: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["1111111111111111", "3333333333333333", "runs"]);
    }

    #[test]
    fn the_version_is_that_of_the_module() {
        let text = fs::read_to_string(root().join("tests/control-plane/go.mod")).unwrap();
        assert!(kubernetes_version(&text).unwrap().starts_with("v1."));
    }
}
