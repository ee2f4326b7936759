//! Where the operator's memory goes, by heaptrack.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::progress::{note, result, step};

/// Where Debian and others put heaptrack's parts.
const FOLDERS: [&str; 3] = [
    "/usr/lib/heaptrack",
    "/usr/lib64/heaptrack",
    "/usr/local/lib/heaptrack",
];

/// How many places are printed of each list.
const PLACES: usize = 15;

/// How many functions are printed of each place.
const FUNCTIONS: usize = 3;

/// What does not say where memory goes: the ways to an allocation, and the ways into the program.
const PASSED_OVER: [&str; 4] = ["library/", "/rustc/", "hashbrown", "bytes_mut.rs"];

/// The operator under heaptrack.
pub struct Heap {
    parts: PathBuf,
    folder: PathBuf,
}

impl Heap {
    /// Finds heaptrack.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn new() -> Result<Self> {
        let parts = FOLDERS.iter().map(PathBuf::from);
        let parts = parts
            .into_iter()
            .find(|folder| folder.join("libheaptrack_preload.so").is_file())
            .context("--heap needs heaptrack; install it (Debian: apt-get install heaptrack)")?;
        let folder = build::target().join("bench-heap");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(Self { parts, folder })
    }

    /// A program that runs this one under heaptrack, in the same process: its memory and CPU are measured as
    /// without, and have grown by what heaptrack takes.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn wrap(&self, program: &Path) -> Result<PathBuf> {
        let script = format!(
            "#!/bin/sh\nexport LD_PRELOAD='{}' DUMP_HEAPTRACK_OUTPUT=\"{}/raw.$$\"\nexec '{}' \"$@\"\n",
            self.parts.join("libheaptrack_preload.so").display(),
            self.folder.display(),
            std::path::absolute(program)?.display()
        );
        let path = self.folder.join("operator");
        std::fs::write(&path, script)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Prints where the memory of the first process was at its peak, and where it was at its end.
    ///
    /// # Errors
    /// When there is no process, or heaptrack can't read what it has written.
    pub fn print(&self) -> Result<()> {
        step("Reading what heaptrack has written");
        let data = self.interpreted()?;
        note(&format!("{} can be opened with heaptrack_gui", data.display()));
        let read = Command::new("heaptrack_print")
            .arg("--file")
            .arg(&data)
            .args(["--print-allocators=0", "--print-temporary=0", "--print-peaks=1"])
            .args(["--print-leaks=1", "--peak-limit=40", "--sub-peak-limit=40"])
            .output()
            .context("can't run heaptrack_print")?;
        ensure!(read.status.success(), "heaptrack_print: {}", read.status);
        let text = String::from_utf8_lossy(&read.stdout);
        for (title, word) in [
            ("at its peak", "consumed over"),
            ("when it was stopped", "leaked over"),
        ] {
            result(&format!("\n| Memory {title} | Where |\n|---|---|"));
            for place in places(&text, word).into_iter().take(PLACES) {
                result(&format!(
                    "| {:.0} KB in {} | {} |",
                    place.bytes / 1000.0,
                    place.calls,
                    place.functions
                ));
            }
        }
        for line in text.lines().rev().take(8).filter(|line| line.contains(": ")) {
            note(line);
        }
        Ok(())
    }

    /// What the first process has left, in the form that can be read.
    fn interpreted(&self) -> Result<PathBuf> {
        let mut raw: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("raw.") {
                raw.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        raw.sort();
        let (_, first) = raw.first().context("heaptrack has written nothing")?;
        let data = self.folder.join("heap.data");
        let interpreter = Command::new(self.parts.join("libexec/heaptrack_interpret"))
            .stdin(std::fs::File::open(first)?)
            .stdout(std::fs::File::create(&data)?)
            .stderr(Stdio::null())
            .status()
            .context("can't run heaptrack_interpret")?;
        ensure!(interpreter.success(), "heaptrack_interpret: {interpreter}");
        Ok(data)
    }
}

/// Memory that was allocated at one place.
#[derive(Debug, PartialEq)]
struct Place {
    bytes: f64,
    /// How many allocations.
    calls: u64,
    /// The innermost functions that say something.
    functions: String,
}

/// The places of a text of heaptrack_print: paragraphs that begin with `<size> <word> <number> calls from:`.
/// The largest is first.
fn places(text: &str, word: &str) -> Vec<Place> {
    let mut places = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((bytes, calls)) = heading(line, word) else {
            continue;
        };
        let (mut name, mut functions, mut told) = ("", String::new(), 0);
        while let Some(inner) = lines.next_if(|line| line.starts_with("    ")) {
            match inner.trim().strip_prefix("at ") {
                Some(at) if told < FUNCTIONS && !PASSED_OVER.iter().any(|passed| at.contains(passed)) => {
                    let mut parts = at.rsplit('/');
                    let (file, folder) = (parts.next().unwrap_or(at), parts.next().unwrap_or_default());
                    let _written = write!(
                        functions,
                        "{}{name} ({folder}/{file})",
                        if told == 0 { "" } else { " < " }
                    );
                    told += 1;
                }
                Some(_) => {}
                None => name = inner.trim(),
            }
        }
        places.push(Place {
            bytes,
            calls,
            functions,
        });
    }
    places.sort_by(|one, other| other.bytes.total_cmp(&one.bytes));
    places
}

fn heading(line: &str, word: &str) -> Option<(f64, u64)> {
    let (size, rest) = line.split_once(' ')?;
    let calls = rest
        .strip_prefix(word)?
        .trim_start()
        .strip_suffix(" calls from:")?;
    let digits = size.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match size.strip_prefix(digits)? {
        "G" => 1e9,
        "M" => 1e6,
        "K" => 1e3,
        _ => 1.0,
    };
    Some((digits.parse::<f64>().ok()? * unit, calls.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_by_what_says_something() {
        let text = "PEAK MEMORY CONSUMERS\n\
            1.5M peak memory consumed over 9 calls from\n\
            12K consumed over 3 calls from:\n    \
                reserve\n      at /x/bytes-1.12.2/src/bytes_mut.rs:626\n      in /x/operator\n    \
                said<>\n      at /x/src/controllers/object.rs:128\n    \
                pass\n      at /x/src/controllers/customer.rs:497\n\
            1.20M consumed over 40 calls from:\n    \
                list\n      at /x/src/platform/list.rs:7\n\
            7B leaked over 1 calls from:\n    \
                once\n      at /x/src/main.rs:1\n";
        let peak = places(text, "consumed over");
        let told: Vec<(f64, u64, &str)> = peak
            .iter()
            .map(|place| (place.bytes, place.calls, place.functions.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (1_200_000.0, 40, "list (platform/list.rs:7)"),
                (
                    12_000.0,
                    3,
                    "said<> (controllers/object.rs:128) < pass (controllers/customer.rs:497)"
                ),
            ]
        );
        assert_eq!(places(text, "leaked over").len(), 1);
    }
}
