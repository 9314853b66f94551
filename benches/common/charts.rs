//! Charts as SVG: bars with their spread or in parts, and lines.

use std::error::Error;
use std::path::Path;

use plotters::chart::SeriesLabelPosition;
use plotters::prelude::*;

const WIDTH: u32 = 860;
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 5] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(127, 127, 127),
];

/// A bar.
#[derive(Debug, Clone)]
pub struct Bar {
    pub name: String,
    /// One part, or several behind one another.
    pub parts: Vec<f64>,
    /// The lowest and the highest of the rounds.
    pub spread: Option<(f64, f64)>,
    /// What is written behind it.
    pub label: String,
}

/// A line through points.
#[derive(Debug, Clone)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Horizontal bars, the first one at the top. `parts`: the names of a bar's parts; empty if it has only one.
pub fn bars(file: &Path, title: &str, axis: &str, parts: &[&str], bars: &[Bar]) -> Result<(), Box<dyn Error>> {
    let height = 110 + 34 * u32::try_from(bars.len())? + if parts.is_empty() { 0 } else { 26 };
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let ends = bars.iter().flat_map(|bar| {
        let spread = bar.spread.map_or(0.0, |(_, high)| high);
        [bar.parts.iter().sum::<f64>(), spread]
    });
    let end = ends.fold(f64::MIN_POSITIVE, f64::max);
    let count = bars.len() as f64;
    let names: Vec<&str> = bars.iter().map(|bar| bar.name.as_str()).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(u32::try_from(longest * 7 + 16)?)
        // Room for the labels behind the bars.
        .build_cartesian_2d(0.0..end * 1.22, 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_desc(axis)
        .x_label_style((FONT, 12))
        .x_label_formatter(&|value| short(*value))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for part in 0..bars.iter().map(|bar| bar.parts.len()).max().unwrap_or(0) {
        let colour = COLOURS[part % COLOURS.len()];
        let drawn = chart.draw_series(bars.iter().enumerate().map(|(number, bar)| {
            let begin: f64 = bar.parts.iter().take(part).sum();
            let middle = count - number as f64 - 0.5;
            let length = bar.parts.get(part).copied().unwrap_or(0.0);
            Rectangle::new(
                [(begin, middle - 0.32), (begin + length, middle + 0.32)],
                colour.filled(),
            )
        }))?;
        if let Some(name) = parts.get(part) {
            drawn
                .label(*name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        }
    }
    for (number, bar) in bars.iter().enumerate() {
        let middle = count - number as f64 - 0.5;
        let mut end = bar.parts.iter().sum::<f64>();
        if let Some((low, high)) = bar.spread {
            chart.draw_series([PathElement::new(vec![(low, middle), (high, middle)], BLACK)])?;
            end = end.max(high);
        }
        let (x, y) = chart.backend_coord(&(end, middle));
        area.draw(&Text::new(bar.label.clone(), (x + 6, y - 6), (FONT, 12)))?;
        let (x, y) = chart.backend_coord(&(0.0, middle));
        let width = i32::try_from(bar.name.chars().count() * 7)?;
        area.draw(&Text::new(bar.name.clone(), (x - width - 6, y - 6), (FONT, 12)))?;
    }
    if !parts.is_empty() {
        legend(&mut chart, SeriesLabelPosition::LowerRight)?;
    }
    area.present()?;
    Ok(())
}

/// Lines through points, with a logarithmic axis for what is measured.
pub fn lines(file: &Path, title: &str, axes: [&str; 2], lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(file, (WIDTH, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|line| &line.points);
    let right = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
    let bottom = points().map(|point| point.1).fold(f64::MAX, f64::min).max(1e-3);
    let top = points().map(|point| point.1).fold(bottom, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..right * 1.05, (bottom / 1.5..top * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(axes[0])
        .y_desc(axes[1])
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
            .label(line.name.clone())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)?;
    area.present()?;
    Ok(())
}

fn legend<'a, C>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
    place: SeriesLabelPosition,
) -> Result<(), Box<dyn Error>>
where
    C: CoordTranslate,
{
    chart
        .configure_series_labels()
        .position(place)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.4))
        .label_font((FONT, 12))
        .draw()
        .map_err(|error| error.to_string().into())
}

/// `250K`, `12`, `0.5`.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}K", value / 1e3),
        value => format!("{}", (value * 1000.0).round() / 1000.0),
    }
}
