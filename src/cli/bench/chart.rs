//! A curve as a table with bars, for a terminal of 80 columns.

use crate::bench::figures::{Point, knee, rates};
use crate::bench::verdict::grouped;

/// Columns of the longest bars.
const RATE_BAR: f64 = 22.0;
const LATENCY_BAR: f64 = 10.0;

/// The table. `setting`: which setting of a point is swept. `own`: its present value. `beyond`: values above it are more
/// than there are partitions.
pub(super) fn table(
    title: &str,
    points: &[Point],
    setting: impl Fn(&Point) -> usize,
    own: usize,
    beyond: Option<usize>,
) -> String {
    let mut text = format!(
        "{title}\n{:>9} {:>11} {:<22} {:>7} {:>7}\n",
        "", "messages/s", "", "p50 ms", "p99 ms"
    );
    let most = |of: fn(&Point) -> f64| points.iter().map(of).fold(0.0, f64::max);
    let (fastest, slowest) = (most(|point| point.messages_per_s), most(|point| point.call_p99_ms));
    let knee = knee(&rates(points));
    for (place, point) in points.iter().enumerate() {
        let value = setting(point);
        let star = if beyond.is_some_and(|beyond| value > beyond) {
            "*"
        } else {
            " "
        };
        let mut marks = Vec::new();
        if value == own {
            marks.push("now");
        }
        if knee == Some(place) {
            marks.push("knee");
        }
        let line = format!(
            "{value:>8}{star} {:>11} {:<22} {:>7} {:>7} {:<10} {}",
            grouped(point.messages_per_s),
            bar('#', point.messages_per_s, fastest, RATE_BAR),
            ms(point.call_p50_ms),
            ms(point.call_p99_ms),
            bar('-', point.call_p99_ms, slowest, LATENCY_BAR),
            marks.join(" ")
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn bar(of: char, value: f64, most: f64, columns: f64) -> String {
    if most <= 0.0 {
        return String::new();
    }
    // Between 0 and `columns`.
    std::iter::repeat_n(of, (value / most * columns).round().max(1.0) as usize).collect()
}

fn ms(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => grouped(value),
    }
}

/// The text in lines of at most 78 columns.
pub(super) fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > 78 {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bench::figures::Settings;

    fn point(threads: usize, messages_per_s: f64, call_p99_ms: f64) -> Point {
        Point {
            settings: Settings {
                batch_rows: 200,
                threads,
                rows_in_flight: 4000,
            },
            messages: 1,
            messages_per_s,
            rows: 1,
            rows_per_s: messages_per_s,
            calls: 1,
            call_p50_ms: call_p99_ms / 2.0,
            call_p99_ms,
            cpu_us_per_message: 5.0,
            cores_used: 1.0,
            cores_busy: None,
            waiting: 0.5,
            refused: BTreeMap::new(),
        }
    }

    #[test]
    fn a_curve_has_bars_and_marks_and_fits_a_terminal() {
        let points = [
            point(1, 25_000.0, 2.5),
            point(4, 97_000.0, 5.0),
            point(8, 100_000.4, 1000.0),
        ];
        let table = table("threads", &points, |point| point.settings.threads, 4, Some(4));
        assert_eq!(
            table,
            "threads\n\
             \x20          messages/s                         p50 ms  p99 ms\n\
             \x20      1       25,000 #####                     1.25    2.50 -\n\
             \x20      4       97,000 #####################     2.50    5.00 -          now knee\n\
             \x20      8*     100,000 ######################     500   1,000 ----------\n"
        );
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    }

    #[test]
    fn words_are_wrapped_at_spaces() {
        let text = wrapped(&"word ".repeat(40));
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
    }
}
