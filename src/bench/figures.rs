//! What one step has measured, and the knee of a curve. Plain figures: nothing here measures.

use std::collections::BTreeMap;

/// A setting is enough if its rate is at least this share of the best one. Steps of a few seconds differ by some
/// percent without a reason, so a smaller gain is none.
pub const ENOUGH: f64 = 0.95;

/// What a step is run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `run.batch_rows_max`.
    pub batch_rows: usize,
    /// One thread for each partition.
    pub threads: usize,
    /// `run.rows_in_flight_max`.
    pub rows_in_flight: usize,
}

/// What a step has measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub settings: Settings,
    /// Messages that were processed, and per second. Filtered and rejected ones count.
    pub messages: u64,
    pub messages_per_s: f64,
    /// Rows that the database has answered, and per second.
    pub rows: u64,
    pub rows_per_s: f64,
    /// Batch calls, and how long they took.
    pub calls: u64,
    pub call_p50_ms: f64,
    pub call_p99_ms: f64,
    /// The process's CPU time for each message. 0: not known.
    pub cpu_us_per_message: f64,
    /// How many cores the process has used.
    pub cores_used: f64,
    /// How many cores of the machine were busy, for whatever program. `None`: not known.
    pub cores_busy: Option<f64>,
    /// The share of the threads' time that went into calls to the database, from 0 to 1.
    pub waiting: f64,
    /// Rows that the database refused because of their content, by result code.
    pub refused: BTreeMap<u8, u64>,
}

/// The place of the knee: the first point whose rate is [`ENOUGH`]. `None`: there is no rate.
pub fn knee(rates: &[f64]) -> Option<usize> {
    let best = rates.iter().copied().fold(0.0, f64::max);
    rates.iter().position(|rate| best > 0.0 && *rate >= ENOUGH * best)
}

/// The rates of a curve.
pub fn rates(points: &[Point]) -> Vec<f64> {
    points.iter().map(|point| point.messages_per_s).collect()
}

/// The quantile of sorted values, 0 if there is none.
pub fn quantile(sorted: &[u32], share: f64) -> u32 {
    // A rank of a list in memory.
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_the_smallest_setting_that_is_nearly_as_fast_as_the_best_one() {
        for (rates, expected) in [
            (&[][..], None),
            (&[0.0, 0.0], None),
            (&[5.0], Some(0)),
            // It rises and then stays: the noise above the knee does not count.
            (&[10.0, 60.0, 96.0, 100.0, 99.0], Some(2)),
            // It falls behind its best.
            (&[10.0, 100.0, 80.0, 60.0], Some(1)),
            // It still rises at the end.
            (&[10.0, 20.0, 40.0, 80.0], Some(3)),
            // Nothing is gained at all.
            (&[98.0, 100.0, 97.0], Some(0)),
            // A step that could not be measured.
            (&[0.0, 50.0, f64::NAN, 51.0], Some(1)),
        ] {
            assert_eq!(knee(rates), expected, "{rates:?}");
        }
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(quantile(&values, 0.5), 50);
        assert_eq!(quantile(&values, 0.99), 99);
        assert_eq!(quantile(&values, 1.0), 100);
        assert_eq!(quantile(&[7], 0.5), 7);
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
