//! Formats times. The time itself comes from outside, in milliseconds since 1970.

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

fn civil(days: u64) -> (u64, u64, u64) {
    // Howard Hinnant's days-to-civil, for days from 1970 on.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn to_second(at: Millis) -> String {
    let (year, month, day) = civil(at / 86_400_000);
    let seconds = at / 1_000 % 86_400;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Formats a time as in leads: seven fraction digits and `Z` (platform-facts.md 2.1, U-20).
pub fn lead_time(at: Millis) -> String {
    format!("{}.{:03}0000Z", to_second(at), at % 1_000)
}

/// Formats a time as in numbers: `+00:00` (U-20).
pub fn number_time(at: Millis) -> String {
    format!("{}+00:00", to_second(at))
}

/// Formats a time as in the topology: `+0000` (U-20).
pub fn topology_time(at: Millis) -> String {
    format!("{}+0000", to_second(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_vendor_does() {
        assert_eq!(lead_time(1_735_787_045_123), "2025-01-02T03:04:05.1230000Z");
        assert_eq!(number_time(1_709_164_800_000), "2024-02-29T00:00:00+00:00");
        assert_eq!(topology_time(0), "1970-01-01T00:00:00+0000");
    }
}
