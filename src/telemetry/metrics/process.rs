//! The kernel's figures for this process.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::runtime::clock;
use crate::telemetry::metrics::catalogue;
use crate::telemetry::metrics::gauges::put;

/// Ticks per second in `/proc/self/stat`: a constant in Linux's interface to programs (`USER_HZ`), whatever
/// the kernel's own rate.
const TICKS: f64 = 100.0;

/// The process metrics, read at each scrape.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let cpu = std::fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|stat| cpu_seconds(&stat));
        put(&mut encoder, &catalogue::CPU, cpu.map(|seconds| ([], seconds)))?;
        let resident = std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| resident_bytes(&status));
        put(
            &mut encoder,
            &catalogue::MEMORY,
            resident.map(|bytes| ([], bytes)),
        )?;
        put(
            &mut encoder,
            &catalogue::START,
            [([], clock::started().0 as f64 / 1000.0)],
        )
    }
}

/// User plus system time. The program's name comes before them in parentheses and may contain spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "1 (a b) c) S 0 1 1 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 12345 1000000 500";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(
            resident_bytes("VmPeak:\t  99 kB\nVmRSS:\t  12 kB\n"),
            Some(12_288.0)
        );
        assert_eq!((cpu_seconds(""), resident_bytes("")), (None, None));
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(resident_bytes(&own).is_some_and(|bytes| bytes > 1_000_000.0));
        assert!(cpu_seconds(&std::fs::read_to_string("/proc/self/stat").unwrap()).is_some());
    }
}
