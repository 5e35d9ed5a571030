//! How reports are written for people: aligned columns, bytes and times with units, and names that cannot disturb a terminal.

use std::fmt::{self, Write};
use std::time::Duration;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows of cells under a header, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [(&'static str, Side); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [(&'static str, Side); N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    /// The header and a line for each row, indented by two blanks, with no blanks at the end of a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.columns.map(|(name, _)| name.to_owned());
        let lines = || std::iter::once(&header).chain(&self.rows);
        let mut widths = [0; N];
        for line in lines() {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        for line in lines() {
            let mut text = String::new();
            for ((cell, width), (_, side)) in line.iter().zip(widths).zip(self.columns) {
                match side {
                    Side::Left => write!(text, "  {cell:<width$}")?,
                    Side::Right => write!(text, "  {cell:>width$}")?,
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Bytes with a binary prefix and three digits: `1.50 MiB`.
pub(crate) fn bytes(value: u64) -> String {
    const PREFIXES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value < 1000 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1024.0;
    let mut prefixes = PREFIXES.into_iter();
    let mut prefix = prefixes.next();
    // 999.5 is where three digits end.
    while scaled >= 999.5 {
        scaled /= 1024.0;
        prefix = prefixes.next();
    }
    format!("{} {}", three_digits(scaled), prefix.unwrap_or("EiB"))
}

/// A change of bytes, with its sign: `+1.50 MiB`.
pub(crate) fn signed_bytes(value: i64) -> String {
    let sign = match value {
        0 => "",
        1.. => "+",
        ..0 => "-",
    };
    format!("{sign}{}", bytes(value.unsigned_abs()))
}

/// A time in the unit that suits it: `16.7 ms`.
pub(crate) fn duration(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    let (scaled, unit) = match seconds {
        0.0 => return "0 s".to_owned(),
        size if size < 999.5e-9 => (seconds * 1e9, "ns"),
        size if size < 999.5e-6 => (seconds * 1e6, "us"),
        size if size < 999.5e-3 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    format!("{} {unit}", three_digits(scaled))
}

/// A name in quotes. What would move a cursor, hide text or turn its direction is escaped.
pub(crate) fn quoted(name: &str) -> String {
    format!("{name:?}")
}

/// A name without quotes, with the same escaped: for what is a plain word or path but in a hostile file.
pub(crate) fn plain(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '"' | '\'' | '\\' => text.push(c),
            c => text.extend(c.escape_debug()),
        }
    }
    text
}

/// `one` or `many` of a number of things, with the number.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn three_digits(value: f64) -> String {
    match value {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_three_digits_end() {
        let cases = [0, 999, 1000, 1024, 1_023_999, 1_024_000, 3 << 19, u64::MAX];
        let shown = ["0 B", "999 B", "0.98 KiB", "1.00 KiB", "0.98 MiB", "0.98 MiB", "1.50 MiB", "16.0 EiB"];
        assert_eq!(cases.map(bytes), shown);
        assert_eq!([i64::MIN, -1, 0, 1024].map(signed_bytes), ["-8.00 EiB", "-1 B", "0 B", "+1.00 KiB"]);
        let times = [0, 15, 999_600, 16_670_000, 75_000_000_000].map(Duration::from_nanos);
        assert_eq!(times.map(duration), ["0 s", "15.0 ns", "1.00 ms", "16.7 ms", "75.0 s"]);
        assert_eq!([0, 1, 2].map(|n| counted(n, "packet", "packets")), ["0 packets", "1 packet", "2 packets"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_text() {
        let mut table = Table::new([("kind", Side::Left), ("bytes", Side::Right), ("label", Side::Left)]);
        assert!(table.is_empty());
        table.row(["texture".into(), "1".into(), String::new()]);
        table.row(["ä".into(), "1000000".into(), "x".into()]);
        assert_eq!(table.to_string(), "  kind       bytes  label\n  texture        1\n  ä        1000000  x\n");
    }

    #[test]
    fn names_cannot_disturb_a_terminal() {
        assert_eq!(quoted("a\u{1b}[2J\n\u{202e}b"), r#""a\u{1b}[2J\n\u{202e}b""#);
        assert_eq!(plain("C:\\it's \u{1b}b"), r"C:\it's \u{1b}b");
    }
}
