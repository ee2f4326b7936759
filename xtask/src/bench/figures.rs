//! The last table: one line for each number of services.

use anyhow::{Context, Result};

use crate::progress::result;

/// What a program costs with so many services.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// How many services.
    pub services: u32,
    /// The time until all are Ready, in seconds.
    pub ready: f64,
    /// This time, divided by what the API server alone takes for the operator's writes.
    pub ratio: f64,
    /// The same, divided by what it takes for those of the slimmest operator.
    pub slimmest: f64,
    /// CPU time for each service, in milliseconds.
    pub cpu: f64,
    /// Own memory when all are Ready, above that of the empty process, in MiB.
    pub busy: f64,
    /// Own memory for each service at rest, in KiB.
    pub memory: f64,
    /// The most resident memory, in MiB.
    pub resident: f64,
    /// CPU time of the API server for each service, in milliseconds.
    pub server: f64,
    /// This time, divided by what it spends for the slimmest operator.
    pub server_slimmest: f64,
}

impl Figures {
    /// The median of each figure of several runs with as many services.
    pub fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            let (low, high) = (all.get(all.len().saturating_sub(1) / 2), all.get(all.len() / 2));
            (low.copied().unwrap_or_default() + high.copied().unwrap_or_default()) / 2.0
        };
        Self {
            services: runs.first().map_or(0, |run| run.services),
            ready: of(|run| run.ready),
            ratio: of(|run| run.ratio),
            slimmest: of(|run| run.slimmest),
            cpu: of(|run| run.cpu),
            busy: of(|run| run.busy),
            memory: of(|run| run.memory),
            resident: of(|run| run.resident),
            server: of(|run| run.server),
            server_slimmest: of(|run| run.server_slimmest),
        }
    }
}

/// Prints the table of a program.
pub fn print(name: &str, all: &[Figures]) {
    result(&format!(
        "\nAll results of {name}:\n\n\
         | Services | All Ready after | Ratio to its own writes | Ratio to the slimmest | CPU per service | \
         Own memory, all Ready | Own memory per service, at rest | Resident memory, at most | \
         CPU of the API server per service | Ratio to the slimmest |\n|---|---|---|---|---|---|---|---|---|---|"
    ));
    for figures in all {
        result(&line(figures));
    }
}

fn line(of: &Figures) -> String {
    format!(
        "| {} | {:.1} s | {:.2} | {:.2} | {:.2} ms | {:.1} MiB | {:.1} KiB | {:.1} MiB | {:.1} ms | {:.2} |",
        written(of.services),
        of.ready,
        of.ratio,
        of.slimmest,
        of.cpu,
        of.busy,
        of.memory,
        of.resident,
        of.server,
        of.server_slimmest
    )
}

/// What so many of a hundred values are at most. The values are in order.
///
/// # Errors
/// When there is no value.
pub fn percentile<T: Copy + PartialOrd>(sorted: &[T], percent: usize) -> Result<T> {
    debug_assert!(sorted.is_sorted());
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().context("there is no value")
}

/// A number as it is written: `10,000`.
pub fn written(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        let numbers = [1, 999, 1_000, 10_000, 123_456, 1_000_000];
        assert_eq!(
            numbers.map(written),
            ["1", "999", "1,000", "10,000", "123,456", "1,000,000"]
        );
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let all: Vec<u32> = (1..=200).collect();
        assert_eq!(
            [50, 99, 100].map(|percent| percentile(&all, percent).unwrap()),
            [100, 198, 200]
        );
        assert_eq!(
            [50, 99].map(|percent| percentile(&all[..100], percent).unwrap()),
            [50, 99]
        );
        assert_eq!(
            [1, 99].map(|percent| percentile(&all[..1], percent).unwrap()),
            [1, 1]
        );
        assert!(percentile::<u32>(&[], 50).is_err());
    }

    #[test]
    fn a_line_has_a_cell_for_each_column() {
        let figures = Figures {
            services: 4_000,
            ready: 1.0,
            ratio: 2.0,
            slimmest: 2.5,
            cpu: 3.0,
            busy: 3.5,
            memory: 4.0,
            resident: 5.0,
            server: 6.0,
            server_slimmest: 7.0,
        };
        assert_eq!(
            line(&figures),
            "| 4,000 | 1.0 s | 2.00 | 2.50 | 3.00 ms | 3.5 MiB | 4.0 KiB | 5.0 MiB | 6.0 ms | 7.00 |"
        );
    }

    #[test]
    fn each_figure_has_its_own_median() {
        let run = |ready, cpu| Figures {
            services: 10,
            ready,
            cpu,
            ..Figures::default()
        };
        let median = Figures::median(&[run(9.0, 1.0), run(1.0, 2.0), run(2.0, 9.0)]);
        assert_eq!((median.services, median.ready, median.cpu), (10, 2.0, 2.0));
        assert_eq!(Figures::median(&[run(1.0, 1.0), run(2.0, 4.0)]).cpu, 2.5);
    }
}
