//! The CPU time and the memory of a process, as the kernel counts them in `/proc`.

use std::time::Duration;

use anyhow::{Context, Result};

/// The resources that a process has used.
pub struct Usage {
    /// User and system time since its start.
    pub cpu: Duration,
    /// Resident memory, in MiB.
    pub resident: f64,
    /// The most resident memory it ever had, in MiB.
    pub peak: f64,
    /// Resident memory that is not backed by a file, in MiB.
    pub own: f64,
}

/// The CPU time of several processes.
///
/// # Errors
/// When one of them is not running.
pub fn cpu_of(processes: &[u32]) -> Result<Duration> {
    processes.iter().map(|id| Ok(of(*id)?.cpu)).sum()
}

/// What a process has used so far.
///
/// # Errors
/// When it is not running.
pub fn of(id: u32) -> Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))
        .with_context(|| format!("process {id} is not running"))?;
    // The second field is the name in parentheses. After it, user and system time are the 12th and 13th
    // fields, in hundredths of a second.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let mebibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|kib| kib.parse::<f64>().ok())
            .unwrap_or_default()
            / 1024.0
    };
    Ok(Usage {
        cpu: Duration::from_millis(ticks * 10),
        resident: mebibytes("VmRSS:"),
        peak: mebibytes("VmHWM:"),
        own: mebibytes("RssAnon:"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_is_read() {
        let used = of(std::process::id()).unwrap();
        assert!(used.own > 0.0 && used.resident >= used.own && used.peak >= used.resident);
        assert!(cpu_of(&[std::process::id()]).unwrap() >= used.cpu);
        // No process has this number: it is above the kernel's highest.
        assert!(of(u32::MAX).is_err());
    }
}
