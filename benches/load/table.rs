//! The table: a row per figure, a column per server, in each cell a summary of its samples.

use std::fmt;

pub struct Table {
    servers: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    label: String,
    /// The samples of each server; none where a figure cannot be had.
    samples: Vec<Vec<f64>>,
    summary: Summary,
}

/// What is shown of some samples.
type Summary = fn(&[f64]) -> f64;

impl Table {
    pub fn new(servers: Vec<String>) -> Table {
        Table { servers, rows: Vec::new() }
    }

    /// Adds an empty row below the others.
    pub fn row(&mut self, label: String, summary: Summary) {
        self.rows.push(Row { label, samples: vec![Vec::new(); self.servers.len()], summary });
    }

    /// Adds a sample to a cell.
    pub fn note(&mut self, label: &str, column: usize, sample: f64) {
        let row = self.rows.iter_mut().find(|row| row.label == label);
        row.expect("the row was added before").samples[column].push(sample);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | {} |", self.servers.join(" | "))?;
        writeln!(f, "|---|{}", "--:|".repeat(self.servers.len()))?;
        for Row { label, samples, summary } in &self.rows {
            write!(f, "| {label} |")?;
            for samples in samples {
                if samples.is_empty() {
                    write!(f, " – |")?;
                } else {
                    write!(f, " {} |", readable(summary(samples)))?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The middle one, or the mean of the two in the middle; there must be some.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0
}

/// All of them together.
pub fn sum(samples: &[f64]) -> f64 {
    samples.iter().sum()
}

/// Three significant digits; whole above 100, with a comma between thousands.
fn readable(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        0.0..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{:.0}", value.abs());
            let mut grouped = if value < 0.0 { "-".to_owned() } else { String::new() };
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
    }
}
