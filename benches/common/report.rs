//! What comes out: figures of several rounds, tables for the console and for pages, and a page's part between markers.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// One figure of several rounds.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }

    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => f64::NAN,
            length if length.is_multiple_of(2) => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
            length => sorted[length / 2],
        }
    }

    /// The lowest and the highest.
    pub fn spread(&self) -> (f64, f64) {
        let sorted = self.sorted();
        let at = |end: Option<&f64>| end.copied().unwrap_or(f64::NAN);
        (at(sorted.first()), at(sorted.last()))
    }

    /// The median, with lowest and highest where there are several rounds.
    pub fn text(&self, show: impl Fn(f64) -> String) -> String {
        let (low, high) = self.spread();
        match self.0.len() {
            0 => "-".to_owned(),
            1 => show(low),
            _ => format!("{} ({} to {})", show(self.median()), show(low), show(high)),
        }
    }

    pub fn json(&self) -> Value {
        json!({ "median": self.median(), "rounds": self.0 })
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Rounds(figures.into_iter().collect())
    }
}

/// Messages a second: `187 K`.
pub fn thousands(figure: f64) -> String {
    match figure {
        figure if figure.is_nan() => "-".to_owned(),
        figure if figure >= 1000.0 => format!("{:.0} K", figure / 1000.0),
        figure => format!("{figure:.0}"),
    }
}

/// With so many decimals; `-` for what is not known.
pub fn decimals(places: usize) -> impl Fn(f64) -> String {
    move |figure| match figure.is_finite() {
        true => format!("{figure:.places$}"),
        false => "-".to_owned(),
    }
}

/// A table: the first column has names, the others figures.
#[derive(Debug, Clone, Default)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<'t>(head: impl IntoIterator<Item = &'t str>) -> Table {
        Table {
            head: head.into_iter().map(str::to_owned).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn text(&self) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = all().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let lines = all().map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
            cells.collect::<String>().trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let ruler = format!("|{}\n", "---|".repeat(self.head.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&self.head) + &ruler + &rows
    }
}

/// Writes JSON to a file, with its folder.
pub fn write_json(file: &Path, value: &Value) -> Result<(), Box<dyn Error>> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, format!("{value:#}\n"))?;
    Ok(())
}

/// Replaces what is between `<!-- NAME -->` and `<!-- end NAME -->` on a page.
pub fn write_between(page: &Path, name: &str, content: &str) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(page)?;
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end {name} -->"));
    let parts = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| format!("{} has no markers {name}", page.display()))?;
    fs::write(page, format!("{before}{begin}\n{}\n\n{end}{after}", content.trim()))?;
    Ok(())
}
