//! The folder of one run, and the removal of folders whose run was killed.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The folder of a run, held as long as the run lasts. Its lock shows others that it is in use.
pub struct Folder {
    path: PathBuf,
    _lock: File,
    // Last, so that the folder is removed after everything else of the run.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// Creates a folder below `home`, or uses the one to keep.
    pub fn open(home: &Path, keep: Option<&Path>) -> Result<Self> {
        let Some(keep) = keep else {
            return Self::temporary(home);
        };
        fs::create_dir_all(keep).with_context(|| format!("can't create {}", keep.display()))?;
        let path = keep.canonicalize()?;
        let Some(lock) = lock(&path)? else {
            bail!("another control plane runs in {}", path.display())
        };
        // Only what a run creates: the folder may hold other files of its owner.
        for name in ["etcd", "pki"] {
            remove(fs::remove_dir_all(path.join(name)))?;
        }
        for name in ["audit.log", "control-plane.log", "admin.kubeconfig"] {
            remove(fs::remove_file(path.join(name)))?;
        }
        Ok(Self {
            path,
            _lock: lock,
            _temporary: None,
        })
    }

    fn temporary(home: &Path) -> Result<Self> {
        let runs = home.join("runs");
        fs::create_dir_all(&runs).with_context(|| format!("can't create {}", runs.display()))?;
        // While this lock is held, no other process creates a folder, so the sweep can't remove one that is
        // not locked yet.
        let gate = File::options()
            .create(true)
            .append(true)
            .open(home.join("runs.lock"))?;
        gate.lock()?;
        sweep(&runs)?;
        let temporary = TempDir::with_prefix_in("run-", &runs)?;
        let path = temporary.path().canonicalize()?;
        let lock = lock(&path)?.context("another process has locked a new folder")?;
        Ok(Self {
            path,
            _lock: lock,
            _temporary: Some(temporary),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn remove(result: std::io::Result<()>) -> std::io::Result<()> {
    result.or_else(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })
}

/// Takes the lock of a run's folder; `None` when another process holds it.
fn lock(folder: &Path) -> Result<Option<File>> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Removes the folders of runs whose process is gone.
fn sweep(runs: &Path) -> Result<()> {
    for entry in fs::read_dir(runs)? {
        let path = entry?.path();
        // A folder may disappear just now, which is fine. One that can't be removed is tried again the next
        // time.
        if let Ok(Some(_lock)) = lock(&path) {
            let _left = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_run_that_is_gone_is_removed_and_that_of_a_living_one_is_not() {
        let home = tempfile::tempdir().unwrap();
        let living = Folder::open(home.path(), None).unwrap();
        let dead = home.path().join("runs/run-dead");
        fs::create_dir_all(dead.join("etcd")).unwrap();
        let next = Folder::open(home.path(), None).unwrap();
        assert!(living.path().exists() && next.path().exists() && !dead.exists());
    }

    #[test]
    fn a_kept_folder_begins_without_old_data_keeps_other_files_and_is_used_once_at_a_time() {
        let keep = tempfile::tempdir().unwrap();
        fs::create_dir(keep.path().join("etcd")).unwrap();
        fs::write(keep.path().join("operator.log"), "mine").unwrap();
        let first = Folder::open(keep.path(), Some(keep.path())).unwrap();
        assert!(!keep.path().join("etcd").exists() && keep.path().join("operator.log").exists());
        assert!(Folder::open(keep.path(), Some(keep.path())).is_err());
        drop(first);
        assert!(Folder::open(keep.path(), Some(keep.path())).is_ok());
    }
}
