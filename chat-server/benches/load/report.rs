//! Medians of several runs, as tables in Markdown.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::cases::Case;

/// One measured number.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    unit: &'static str,
    value: f64,
}

impl Figure {
    pub(crate) fn new(unit: &'static str, value: f64) -> Self {
        Self { unit, value }
    }
}

/// What one run of a case has measured. The first figure is the one that is compared.
pub(crate) struct Figures(pub(crate) Vec<Figure>);

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Figure { unit, value }) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{} {unit}", short(*value))?;
        }
        Ok(())
    }
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    cases: BTreeMap<Case, Vec<Row>>,
}

struct Row {
    subject: &'static str,
    runs: Vec<Figures>,
}

impl Report {
    /// Adds what one run of a case on a subject has measured.
    pub(crate) fn add(&mut self, case: Case, subject: &'static str, figures: Figures) {
        let rows = self.cases.entry(case).or_default();
        match rows.iter_mut().find(|row| row.subject == subject) {
            Some(row) => row.runs.push(figures),
            None => rows.push(Row { subject, runs: vec![figures] }),
        }
    }

    /// Writes a table for each case: medians, their ratio to the floor and to the server without encryption, and the range of
    /// what was measured.
    pub(crate) fn tables(&self) -> String {
        let mut out = String::new();
        for (case, rows) in &self.cases {
            let units: Vec<_> = rows[0].runs[0].0.iter().map(|figure| figure.unit).collect();
            let of = |subject| rows.iter().find(|row| row.subject == subject).map(|row| row.median(0));
            let ratio = |row: &Row, base: Option<f64>| {
                base.filter(|base| *base > 0.0)
                    .map_or("-".into(), |base| format!("{:.2}", row.median(0) / base))
            };
            let _ = writeln!(out, "\n### {}\n", case.name());
            let _ = writeln!(out, "| | {} | lowest to highest | x floor | x plain |", units.join(" | "));
            let _ = writeln!(out, "|---|{}---|---|---|", "---|".repeat(units.len()));
            for row in rows {
                let medians: Vec<_> = (0..units.len()).map(|place| short(row.median(place))).collect();
                let values = row.sorted(0);
                let range = format!("{} to {}", short(values[0]), short(values[values.len() - 1]));
                let (floor, plain) = (ratio(row, of("floor")), ratio(row, of("plain")));
                let _ = writeln!(
                    out,
                    "| {} | {} | {range} | {floor} | {plain} |",
                    row.subject,
                    medians.join(" | ")
                );
            }
        }
        out
    }
}

impl Row {
    fn sorted(&self, place: usize) -> Vec<f64> {
        let mut values: Vec<_> = self.runs.iter().map(|figures| figures.0[place].value).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    fn median(&self, place: usize) -> f64 {
        let values = self.sorted(place);
        values[values.len() / 2]
    }
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        value_abs if value_abs >= 100.0 => format!("{value:.0}"),
        value_abs if value_abs >= 10.0 => format!("{value:.1}"),
        value_abs if value_abs >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
