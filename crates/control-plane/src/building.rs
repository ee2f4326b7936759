//! Builds the Go module, once for each state of its sources.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// About how many packages the build has, so that progress can be a share.
const PACKAGES: usize = 2100;

const OTHER_WAYS: &str = "Install Go 1.26 or newer (https://go.dev/dl). Or use another API server: set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver, or OPERATORCONNECT_TEST_KUBECONFIG to the kubeconfig of a cluster that exists";

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/control-plane")
}

/// A key of all that the program is made from.
fn key(module: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(module)
        .with_context(|| format!("{} can't be read", module.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| ["go", "mod", "sum", "yaml"].iter().any(|wanted| extension == *wanted)))
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(std::fs::read(&file)?);
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn target() -> PathBuf {
    // The program that calls lies in <target>/<profile>/ or <target>/<profile>/deps/.
    let exe = std::env::current_exe().ok();
    let target = exe.as_deref().and_then(|exe| exe.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()));
    target.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), Path::to_owned)
}

/// The program, built when it is not there.
pub fn build(progress: fn(&str)) -> Result<PathBuf> {
    let module = module();
    let all = target().join("control-plane");
    let folder = all.join(key(&module)?);
    let program = folder.join("control-plane");
    if program.exists() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    // Test programs that start at the same time build it once.
    let lock = std::fs::File::create(all.join("lock"))?;
    lock.lock().context("the build can't be locked")?;
    if program.exists() {
        return Ok(program);
    }
    let unfinished = folder.join("unfinished");
    compile(&module, &unfinished, progress)?;
    std::fs::rename(&unfinished, &program)?;
    sweep(&all, &folder);
    Ok(program)
}

fn compile(module: &Path, into: &Path, progress: fn(&str)) -> Result<()> {
    progress("building kube-apiserver and etcd from source: 5 to 10 minutes on two cores, and only once");
    let mut child = match Command::new("go")
        .args(["build", "-v", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(into)
        .arg(".")
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!("Go is not installed, and the tests' API server is built with it. {OTHER_WAYS}."),
        Err(error) => return Err(error).context("go can't be run"),
    };
    let mut last: Vec<String> = Vec::new();
    let mut packages = 0;
    if let Some(said) = child.stderr.take() {
        for line in BufReader::new(said).lines() {
            let line = line?;
            packages += usize::from(!line.contains(' '));
            if packages % 200 == 0 && !line.contains(' ') {
                progress(&format!("{packages} of about {PACKAGES} packages built"));
            }
            last.push(line);
            if last.len() > 20 {
                last.remove(0);
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the API server could not be built ({status}). {OTHER_WAYS}. The end of what go said:\n{}", last.join("\n"));
    }
    Ok(())
}

/// Removes what earlier states of the sources left, but for the newest of them.
fn sweep(all: &Path, current: &Path) {
    let Ok(entries) = std::fs::read_dir(all) else { return };
    let mut old: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_dir() && path != current)
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    old.sort();
    old.pop();
    for (_, path) in old {
        let _absent = std::fs::remove_dir_all(path);
    }
}
