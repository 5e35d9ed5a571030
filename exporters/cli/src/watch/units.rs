//! Figures as people read them. An absent figure is `-`.

const ABSENT: &str = "-";

/// Bytes with a binary prefix and three digits: `1.50 MiB`.
pub(crate) fn bytes(value: Option<f64>) -> String {
    const PREFIXES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(value) = value else { return ABSENT.to_owned() };
    if value.abs() < 1000.0 {
        return format!("{value:.0} B");
    }
    let mut scaled = value / 1024.0;
    let mut prefix = 0;
    // 999.5 is where three digits end.
    while scaled.abs() >= 999.5 && prefix + 1 < PREFIXES.len() {
        scaled /= 1024.0;
        prefix += 1;
    }
    format!("{} {}", three_digits(scaled), PREFIXES[prefix])
}

/// A time of seconds in the unit that suits it: `16.7 ms`.
pub(crate) fn seconds(value: Option<f64>) -> String {
    let Some(value) = value else { return ABSENT.to_owned() };
    let (scaled, unit) = match value.abs() {
        0.0 => return "0 s".to_owned(),
        size if size < 999.5e-9 => (value * 1e9, "ns"),
        size if size < 999.5e-6 => (value * 1e6, "µs"),
        size if size < 999.5e-3 => (value * 1e3, "ms"),
        _ => (value, "s"),
    };
    format!("{} {unit}", three_digits(scaled))
}

/// A number of things: whole below a million, then with a prefix: `1.25 M`.
pub(crate) fn count(value: Option<f64>) -> String {
    let Some(value) = value else { return ABSENT.to_owned() };
    match value.abs() {
        size if size < 999_999.5 => format!("{value:.0}"),
        size if size < 999.5e6 => format!("{} M", three_digits(value / 1e6)),
        size if size < 999.5e9 => format!("{} G", three_digits(value / 1e9)),
        _ => format!("{value:.2e}"),
    }
}

/// A number of things per second, with three digits: `59.9`.
pub(crate) fn rate(value: Option<f64>) -> String {
    match value {
        None => ABSENT.to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(value) if value.abs() < 999.5 => three_digits(value),
        Some(value) => count(Some(value)),
    }
}

/// A share in percent, to a tenth: `4.2 %`.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| ABSENT.to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// How long ago, in whole seconds, minutes or hours.
pub(crate) fn ago(time: std::time::Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

/// Three significant digits for what is below 999.5.
fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn absent_is_not_zero() {
        for show in [bytes, seconds, count, rate, percent] {
            assert_eq!(show(None), "-");
            assert!(show(Some(0.0)).starts_with('0'));
        }
    }

    #[test]
    fn units_change_where_three_digits_end() {
        let shown = |show: fn(Option<f64>) -> String, values: &[f64]| -> Vec<String> {
            values.iter().map(|value| show(Some(*value))).collect()
        };
        const KIB: f64 = 1024.0;
        assert_eq!(
            shown(bytes, &[999.0, 1000.0, KIB, 999.4 * KIB, 999.6 * KIB, 1.5 * KIB * KIB, 18.4e18, 1e25]),
            ["999 B", "0.98 KiB", "1.00 KiB", "999 KiB", "0.98 MiB", "1.50 MiB", "16.0 EiB", "8673617 EiB"]
        );
        assert_eq!(
            shown(seconds, &[0.0, 1.5e-9, 999.6e-9, 250e-6, 0.01667, 0.9996, 75.0]),
            ["0 s", "1.50 ns", "1.00 µs", "250 µs", "16.7 ms", "1.00 s", "75.0 s"]
        );
        assert_eq!(
            shown(count, &[7.0, 999_999.0, 1_250_000.0, 2.5e9, 1e15]),
            ["7", "999999", "1.25 M", "2.50 G", "1.00e15"]
        );
        assert_eq!(shown(percent, &[0.0, 0.0421, 1.0]), ["0.0 %", "4.2 %", "100.0 %"]);
        assert_eq!(shown(rate, &[0.0, 0.5, 59.94, 999.4, 1234.5]), ["0", "0.50", "59.9", "999", "1234"]);
        assert_eq!([59, 120, 7300].map(|time| ago(Duration::from_secs(time))), ["59 s ago", "2 min ago", "2 h ago"]);
    }
}
