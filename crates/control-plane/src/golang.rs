//! Builds Go programs: the API server, and the tools that tests run.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::environment;

/// How often a running build reports its progress.
const EVERY: Duration = Duration::from_secs(10);

/// A program to build, with the texts that describe it.
pub struct Program<'a> {
    /// Its name for people, such as `the API server for the tests`.
    pub called: &'a str,
    /// The folder with its `go.mod`.
    pub module: &'a Path,
    pub package: &'a str,
    /// Flags for the linker.
    pub flags: &'a str,
    /// Build tags, which leave out parts that are not needed.
    pub tags: &'a str,
    /// How many packages are compiled when Go's cache is empty.
    pub packages: usize,
    /// Alternatives, for when it can't be built.
    pub otherwise: &'a str,
}

impl Program<'_> {
    /// Builds it into a file. It is built under another name first, so that a file of this name is always
    /// complete.
    pub fn build(&self, output: &Path, progress: fn(&str)) -> Result<()> {
        let partial = output.with_extension("partial");
        self.compile(&partial, progress)?;
        Ok(fs::rename(&partial, output)?)
    }

    fn compile(&self, output: &Path, progress: fn(&str)) -> Result<()> {
        let called = self.called;
        progress(&format!(
            "building {called}; this takes minutes the first time, and happens again only if its sources change"
        ));
        let started = environment::now();
        let mut child = self.go(output).spawn().map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                let otherwise = self.otherwise;
                anyhow::anyhow!(
                    "there is no `go` in PATH: {called} is built from source with Go 1.21 or later (https://go.dev/dl).\n{otherwise}"
                )
            } else {
                anyhow::Error::new(error).context("can't start go")
            }
        })?;
        let stderr = child.stderr.take().context("go has no stderr")?;
        let (sender, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            BufReader::new(stderr)
                .lines()
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });

        let (mut compiled, mut downloaded, mut said) = (0, 0, VecDeque::new());
        let mut next = EVERY;
        loop {
            match lines.recv_timeout(next.saturating_sub(started.elapsed())) {
                Ok(line) if line.starts_with("go: downloading") => downloaded += 1,
                // -v prints each package, whose name has neither blanks nor colons. A line with one of them
                // is a message.
                Ok(line) if !line.contains([' ', ':', '\t']) => compiled += 1,
                Ok(line) => {
                    said.push_back(line);
                    if said.len() > 30 {
                        said.pop_front();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let most = self.packages;
                    progress(&format!(
                        "{} s: {downloaded} modules downloaded, {compiled} of at most {most} packages compiled",
                        started.elapsed().as_secs()
                    ));
                    next = started.elapsed() + EVERY;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = child.wait()?;
        let _all_read = reader.join();
        if !status.success() {
            let said: Vec<String> = said.into();
            bail!(
                "can't build {called} ({status}):\n{}\n{}",
                said.join("\n"),
                self.otherwise
            );
        }
        progress(&format!("built in {} s", started.elapsed().as_secs()));
        Ok(())
    }

    fn go(&self, output: &Path) -> Command {
        let mut command = Command::new("go");
        command
            .args([
                "build",
                "-v",
                "-mod=readonly",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
                self.flags,
                "-tags",
                self.tags,
                "-o",
            ])
            .arg(output)
            .arg(self.package);
        // No C compiler is needed, and settings for other Go work must not apply here.
        command
            .current_dir(self.module)
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env("GOFLAGS", "");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

/// Waits until no other process builds in this folder, and creates the folder if needed. Others wait until
/// the returned lock is dropped.
pub fn only_builder(home: &Path, called: &str, progress: fn(&str)) -> Result<File> {
    fs::create_dir_all(home).with_context(|| format!("can't create {}", home.display()))?;
    let lock = File::options()
        .create(true)
        .append(true)
        .open(home.join("build.lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(&format!("another process is building {called}; waiting for it"));
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error).context("can't take the lock of the build"),
    }
    Ok(lock)
}

/// Returns the sources of a module: its Go files, and the two files that name its dependencies.
pub fn sources(module: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(module).with_context(|| format!("can't read {}", module.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "go")
                || path.ends_with("go.mod")
                || path.ends_with("go.sum")
        })
        .collect();
    files.sort();
    Ok(files)
}

/// Returns a name for a build, derived from its sources.
pub fn key(sources: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for path in sources {
        let text = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        // The length is hashed so that two lists of files with the same concatenation differ.
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    Ok(hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect())
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
}
