//! Rows of results, for people and for programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// One result.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) case: String,
    pub(crate) subject: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    /// The subject that the ratio is against.
    pub(crate) baseline: Option<&'static str>,
    pub(crate) ratio: Option<f64>,
    /// For the ratio where there is one, else for the value: the most that is allowed.
    pub(crate) target: Option<f64>,
    pub(crate) met: Option<bool>,
}

impl Row {
    pub(crate) fn new(
        group: &'static str,
        case: impl Into<String>,
        subject: &'static str,
        unit: &'static str,
        value: f64,
    ) -> Self {
        let case = case.into();
        Self { group, case, subject, unit, value, baseline: None, ratio: None, target: None, met: None }
    }

    pub(crate) fn against(self, baseline: &'static str, ratio: f64) -> Self {
        Self { baseline: Some(baseline), ratio: Some(ratio), ..self }
    }

    /// At most this much. Say it after [`against`](Self::against).
    pub(crate) fn at_most(self, target: f64) -> Self {
        let met = self.ratio.unwrap_or(self.value) <= target;
        Self { target: Some(target), met: Some(met), ..self }
    }
}

pub(crate) fn json_lines(rows: &[Row]) -> serde_json::Result<String> {
    Ok(rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["group", "case", "subject", "value", "unit", "ratio", "baseline", "target", "met"]);
    for row in rows {
        let target = row.target.map(|target| match row.ratio {
            Some(_) => format!("≤ {target:.2}x"),
            None => format!("≤ {target}"),
        });
        table.add_row([
            row.group.to_owned(),
            row.case.clone(),
            row.subject.to_owned(),
            readable(row.value),
            row.unit.to_owned(),
            row.ratio.map(|ratio| format!("{ratio:.2}x")).unwrap_or_default(),
            row.baseline.unwrap_or_default().to_owned(),
            target.unwrap_or_default(),
            row.met.map(|met| if met { "yes" } else { "NO" }).unwrap_or_default().to_owned(),
        ]);
    }
    for column in [3, 5, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Three significant digits, or all of a whole number.
fn readable(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_for_the_ratio_where_there_is_one() {
        let row = Row::new("group", "case", "ours", "us", 500.0);
        assert_eq!(row.clone().at_most(499.9).met, Some(false));
        assert_eq!(row.clone().at_most(500.0).met, Some(true));
        assert_eq!(row.clone().against("theirs", 1.04).at_most(1.05).met, Some(true));
        assert_eq!(row.against("theirs", f64::NAN).at_most(1.05).met, Some(false));
    }

    #[test]
    fn a_line_has_every_field_and_null_where_there_is_nothing() {
        let row = Row::new("group", "case", "ours", "us", 0.5);
        assert_eq!(
            json_lines(&[row]).unwrap(),
            r#"{"group":"group","case":"case","subject":"ours","unit":"us","value":0.5,"baseline":null,"ratio":null,"target":null,"met":null}"#
        );
    }
}
