//! Durations as the messages print them.

use std::time::Duration;

/// Go's notation: `500ms`, `1.5s`, `1m0s`, `1h0m0s`.
pub fn in_units(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => decimal(nanoseconds, 1_000) + "\u{b5}s",
        1_000_000..1_000_000_000 => decimal(nanoseconds, 1_000_000) + "ms",
        _ => {
            let minutes = duration.as_secs() / 60;
            let seconds =
                decimal(nanoseconds - u128::from(minutes) * 60_000_000_000, 1_000_000_000) + "s";
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// `value / unit` in decimal notation, exact, without trailing zeros. `unit` is a power of ten.
fn decimal(value: u128, unit: u128) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Seconds with two decimals, rounded as `%.2f` rounds a double.
pub fn in_seconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5\u{b5}s"),
            (100_000, "100\u{b5}s"),
            (1_500_000, "1.5ms"),
            (500_000_000, "500ms"),
            (1_000_000_000, "1s"),
            (1_500_000_000, "1.5s"),
            (10_000_000_000, "10s"),
            (60_000_000_000, "1m0s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_630_050_000_000, "1h0m30.05s"),
        ] {
            assert_eq!(in_units(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn seconds_have_two_decimals() {
        for (nanoseconds, text) in [
            (1_000_000_000, "1.00"),
            (100_000_000, "0.10"),
            (1_234_000_000, "1.23"),
            (5_000_000, "0.01"),
            // The double nearest to 0.015 and to 1.005 lies below it.
            (15_000_000, "0.01"),
            (1_005_000_000, "1.00"),
            (1, "0.00"),
        ] {
            assert_eq!(in_seconds(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
