//! The last table: one line for each number of services.

use crate::progress::result;

/// What a program costs with so many services.
pub struct Figures {
    /// How many services.
    pub services: u32,
    /// The time until all are Ready, in seconds.
    pub ready: f64,
    /// This time, divided by what the API server alone takes for the writes that a service needs at least.
    pub ratio: f64,
    /// CPU time for each service, in milliseconds.
    pub cpu: f64,
    /// Own memory for each service, in KiB.
    pub memory: f64,
    /// The most resident memory, in MiB.
    pub resident: f64,
    /// CPU time of the API server for each service, in milliseconds.
    pub server: f64,
}

/// Prints the table of a program.
pub fn print(name: &str, all: &[Figures]) {
    result(&format!(
        "\nAll results of {name}:\n\n\
         | Services | All Ready after | Ratio to the API server alone | CPU per service | Own memory per service | \
         Resident memory, at most | CPU of the API server per service |\n|---|---|---|---|---|---|---|"
    ));
    for figures in all {
        result(&line(figures));
    }
}

fn line(of: &Figures) -> String {
    format!(
        "| {} | {:.1} s | {:.2} | {:.2} ms | {:.1} KiB | {:.0} MiB | {:.1} ms |",
        written(of.services),
        of.ready,
        of.ratio,
        of.cpu,
        of.memory,
        of.resident,
        of.server
    )
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
    fn a_line_has_a_cell_for_each_column() {
        let figures = Figures {
            services: 4_000,
            ready: 1.0,
            ratio: 2.0,
            cpu: 3.0,
            memory: 4.0,
            resident: 5.0,
            server: 6.0,
        };
        assert_eq!(
            line(&figures),
            "| 4,000 | 1.0 s | 2.00 | 3.00 ms | 4.0 KiB | 5 MiB | 6.0 ms |"
        );
    }
}
