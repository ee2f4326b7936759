//! The build of the Go program.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::environment;

/// The packages that are compiled when none is in Go's cache.
const PACKAGES: usize = 2230;
/// How often a build that goes on says so.
const EVERY: Duration = Duration::from_secs(10);

const OTHER_WAYS: &str = "Instead of building it you can
  - set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver (setup-envtest downloads them), or
  - use a cluster that exists: OPERATORCONNECT_TEST_KUBECONFIG=<its kubeconfig> for the tests, --kubeconfig for the operator";

/// The project, from where this crate was compiled.
pub fn root() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    path.canonicalize().unwrap_or(path)
}

/// Where all that belongs to the control planes of a project is.
pub fn home(project_root: &Path) -> PathBuf {
    project_root.join("target/control-plane")
}

/// A line on stderr. `cargo test` does not capture it: nobody waits minutes before a silent screen.
pub fn to_stderr(text: &str) {
    let _closed = writeln!(std::io::stderr(), "control-plane: {text}");
}

/// See [`crate::build`].
pub fn build(project_root: &Path, progress: fn(&str)) -> Result<PathBuf> {
    let module = project_root.join("tests/control-plane");
    let sources = sources(&module)?;
    let home = home(project_root);
    let key = key(&sources)?;
    let program = home.join(&key).join("control-plane");
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(home.join(&key)).with_context(|| format!("{} can't be made", home.display()))?;
    let lock = File::options().create(true).append(true).open(home.join("build.lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress("another process builds the API server, waiting for it");
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error).context("the lock of the build can't be taken"),
    }
    if !program.exists() {
        // Built beside its name: a file of that name is always whole.
        let partial = program.with_extension("partial");
        compile(&module, &partial, progress)?;
        fs::rename(&partial, &program)?;
        sweep(&home, &key)?;
    }
    Ok(program)
}

fn sources(module: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(module).with_context(|| format!("{} can't be read", module.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "go") || path.ends_with("go.mod") || path.ends_with("go.sum"))
        .collect();
    files.sort();
    Ok(files)
}

/// Names a build by what it is made from.
fn key(sources: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for path in sources {
        let text = fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        // The length, so that no two lists of files read the same one after the other.
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn compile(module: &Path, output: &Path, progress: fn(&str)) -> Result<()> {
    progress("building the API server for the tests; minutes the first time, then never until its sources change");
    let started = environment::now();
    let mut child = go(module, output)?.spawn().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            anyhow::anyhow!("Go is missing: the API server for the tests is built from source by `go` (1.21 or later, https://go.dev/dl), and there is none in PATH.\n{OTHER_WAYS}")
        } else {
            anyhow::Error::new(error).context("go can't be started")
        }
    })?;
    let stderr = child.stderr.take().context("go has no stderr")?;
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));

    let (mut compiled, mut downloaded, mut said) = (0, 0, VecDeque::new());
    let mut next = EVERY;
    loop {
        match lines.recv_timeout(next.saturating_sub(started.elapsed())) {
            Ok(line) if line.starts_with("go: downloading") => downloaded += 1,
            // -v names each package, which has neither blanks nor colons; what has is a message.
            Ok(line) if !line.contains([' ', ':', '\t']) => compiled += 1,
            Ok(line) => {
                said.push_back(line);
                if said.len() > 30 {
                    said.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                progress(&format!("{} s: {downloaded} modules downloaded, {compiled} of at most {PACKAGES} packages compiled", started.elapsed().as_secs()));
                next = started.elapsed() + EVERY;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    let _all_read = reader.join();
    if !status.success() {
        let said: Vec<String> = said.into();
        bail!("the API server for the tests can't be built ({status}):\n{}\n{OTHER_WAYS}", said.join("\n"));
    }
    progress(&format!("built in {} s", started.elapsed().as_secs()));
    Ok(())
}

fn go(module: &Path, output: &Path) -> Result<Command> {
    let version = kubernetes_version(&fs::read_to_string(module.join("go.mod"))?)?;
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // Without these the API server calls itself v0.0.0, which clients and charts look at. -s -w: no debugger's tables.
    let package = "k8s.io/component-base/version";
    let flags = format!("-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}");
    let mut command = Command::new("go");
    command.args(["build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", &flags, "-o"]).arg(output).arg(".");
    // No C compiler is needed; and what somebody set for other Go work has no say here.
    command.current_dir(module).env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

/// The version of Kubernetes that go.mod asks for.
fn kubernetes_version(go_mod: &str) -> Result<String> {
    let version = go_mod.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes ")).context("go.mod does not ask for k8s.io/kubernetes")?;
    Ok(version.trim().to_owned())
}

/// Removes all builds but this one and the newest other: a change of branch and back costs nothing, ten do not fill the disk.
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
        // A build that is being removed by somebody else is as good as removed.
        let _gone = fs::remove_dir_all(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_by_the_names_and_the_content_of_its_sources() {
        let folder = tempfile::tempdir().unwrap();
        let named = |files: &[(&str, &str)]| {
            let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
            for (path, (_, text)) in paths.iter().zip(files) {
                fs::write(path, text).unwrap();
            }
            key(&paths).unwrap()
        };
        let first = named(&[("a.go", "x"), ("go.sum", "y")]);
        assert_eq!(first.len(), 16);
        assert_eq!(first, named(&[("a.go", "x"), ("go.sum", "y")]));
        assert_ne!(first, named(&[("a.go", "xy"), ("go.sum", "")]));
        assert_ne!(first, named(&[("b.go", "x"), ("go.sum", "y")]));
    }

    #[test]
    fn the_current_build_and_the_newest_other_are_kept() {
        let home = tempfile::tempdir().unwrap();
        for name in ["1111111111111111", "2222222222222222", "3333333333333333", "runs"] {
            fs::create_dir(home.path().join(name)).unwrap();
            fs::write(home.path().join(name).join("control-plane"), name).unwrap();
            File::open(home.path().join(name)).unwrap().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(name.as_bytes()[0].into())).unwrap();
        }
        sweep(home.path(), "1111111111111111").unwrap();
        let mut left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["1111111111111111", "3333333333333333", "runs"]);
    }

    #[test]
    fn the_version_is_that_of_the_module() {
        let text = fs::read_to_string(root().join("tests/control-plane/go.mod")).unwrap();
        assert!(kubernetes_version(&text).unwrap().starts_with("v1."));
    }
}
