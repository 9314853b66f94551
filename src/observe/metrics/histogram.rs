//! Distributions: fixed buckets of atomics, for whole numbers (rows, microseconds, milliseconds).
//!
//! Code with one value per batch records it directly ([`Histogram::record`]). Code with one value per message collects
//! the values in its own array ([`Gathered`]), and adds that array once per batch. Nothing allocates after the start.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Instrument, Kind, Sample, Value};

/// The most bounds of a histogram. With so few, a [`Gathered`] fits on the stack.
const BOUNDS_MAX: usize = 39;

/// The buckets of a histogram.
#[derive(Debug, PartialEq, Eq)]
pub struct Buckets {
    /// The greatest value of each bucket, in the recorded unit. One more bucket takes the values above the last bound.
    bounds: &'static [u64],
    /// How many recorded units make one base unit: a million microseconds are a second.
    per_unit: u64,
}

impl Buckets {
    /// # Panics
    /// If the bounds do not increase, or are too many.
    pub const fn new(bounds: &'static [u64], per_unit: u64) -> Buckets {
        assert!(!bounds.is_empty() && bounds.len() <= BOUNDS_MAX);
        let mut next = 1;
        while next < bounds.len() {
            assert!(bounds[next - 1] < bounds[next]);
            next += 1;
        }
        Buckets { bounds, per_unit }
    }

    /// The bucket of a value.
    fn of(&self, value: u64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }
}

/// The number of rows of a call.
pub static ROWS: Buckets = Buckets::new(
    &[
        1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000,
    ],
    1,
);

/// Durations within the process, recorded in microseconds: 0.1 ms to 60 s.
pub static TIMES: Buckets = Buckets::new(
    &[
        100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000,
        70_000, 100_000, 150_000, 200_000, 300_000, 500_000, 700_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
        30_000_000, 60_000_000,
    ],
    1_000_000,
);

/// Ages of messages, recorded in milliseconds: 1 ms to a day.
pub static AGES: Buckets = Buckets::new(
    &[
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000,
        28_800_000, 86_400_000,
    ],
    1_000,
);

/// A distribution that many threads add to.
pub struct Histogram {
    buckets: &'static Buckets,
    counts: [AtomicU64; BOUNDS_MAX + 1],
    sum: AtomicU64,
    max: AtomicU64,
}

/// A distribution at one moment, in the recorded unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    buckets: &'static Buckets,
    /// The count of each bucket alone, without the buckets below it.
    counts: [u64; BOUNDS_MAX + 1],
    sum: u64,
}

/// Values that one thread has collected and not added to the histogram yet.
#[derive(Debug)]
pub struct Gathered {
    buckets: &'static Buckets,
    counts: [u64; BOUNDS_MAX + 1],
    sum: u64,
    max: u64,
    /// The bucket of the previous value. The next value is usually in the same bucket.
    last: usize,
}

/// A summary of a distribution, in the recorded unit. The quantiles are as exact as the buckets.
#[derive(Debug, Clone, Copy)]
pub struct Distribution {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
    pub mean: f64,
}

/// Quantiles in the base unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
}

impl Histogram {
    pub fn of(buckets: &'static Buckets) -> Histogram {
        Histogram {
            buckets,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }

    /// Records a value `n` times.
    pub fn record(&self, value: u64, n: u64) {
        self.counts[self.buckets.of(value)].fetch_add(n, Relaxed);
        self.sum.fetch_add(value.saturating_mul(n), Relaxed);
        self.max.fetch_max(value, Relaxed);
    }

    /// An empty collection of values for this histogram.
    pub fn gather(&self) -> Gathered {
        Gathered {
            buckets: self.buckets,
            counts: [0; BOUNDS_MAX + 1],
            sum: 0,
            max: 0,
            last: 0,
        }
    }

    /// Adds the collected values.
    pub fn add(&self, gathered: &Gathered) {
        for (count, n) in self.counts.iter().zip(gathered.counts) {
            if n > 0 {
                count.fetch_add(n, Relaxed);
            }
        }
        if gathered.sum > 0 {
            self.sum.fetch_add(gathered.sum, Relaxed);
            self.max.fetch_max(gathered.max, Relaxed);
        }
    }

    pub fn counts(&self) -> Counts {
        Counts {
            buckets: self.buckets,
            counts: std::array::from_fn(|place| self.counts[place].load(Relaxed)),
            sum: self.sum.load(Relaxed),
        }
    }

    /// A summary of everything recorded so far.
    pub fn distribution(&self) -> Distribution {
        let counts = self.counts();
        let max = self.max.load(Relaxed);
        // The bound of a bucket may be above the greatest value that was recorded.
        let quantile = |q| counts.quantile(q).map_or(0, |value| value.round() as u64).min(max);
        Distribution {
            p50: quantile(0.5),
            p99: quantile(0.99),
            max,
            mean: counts.sum as f64 / counts.count().max(1) as f64,
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.distribution().fmt(f)
    }
}

impl Instrument for Histogram {
    const KIND: Kind = Kind::Histogram;

    fn samples(&self) -> Vec<Sample> {
        vec![Sample::plain(Value::Distribution(Box::new(self.counts())))]
    }
}

impl Gathered {
    pub fn record(&mut self, value: u64) {
        let bounds = self.buckets.bounds;
        let is_below = self.last == bounds.len() || value <= bounds[self.last];
        let is_above = self.last == 0 || bounds[self.last - 1] < value;
        if !(is_below && is_above) {
            self.last = self.buckets.of(value);
        }
        self.counts[self.last] += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }
}

impl Counts {
    /// The counts before anything is recorded.
    pub fn none(buckets: &'static Buckets) -> Counts {
        Histogram::of(buckets).counts()
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of the values, in the base unit.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / self.buckets.per_unit as f64
    }

    /// Each bound in the base unit, with the number of values up to this bound.
    pub fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.buckets.bounds.iter();
        let per_unit = self.buckets.per_unit as f64;
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        bounds.map(move |bound| *bound as f64 / per_unit).zip(counts)
    }

    /// The quantile in the recorded unit. `None` if nothing was recorded. The values of a bucket are assumed to be
    /// spread evenly over it. A value above the last bound counts as that bound.
    fn quantile(&self, q: f64) -> Option<f64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = q * all as f64;
        let bounds = self.buckets.bounds;
        let mut below = 0;
        for (place, (bound, count)) in bounds.iter().zip(self.counts).enumerate() {
            if (below + count) as f64 >= rank && count > 0 {
                let low = if place == 0 { 0 } else { bounds[place - 1] } as f64;
                return Some(low + (*bound as f64 - low) * ((rank - below as f64) / count as f64));
            }
            below += count;
        }
        bounds.last().map(|bound| *bound as f64)
    }

    fn since(&self, before: &Counts) -> Counts {
        Counts {
            buckets: self.buckets,
            counts: std::array::from_fn(|place| self.counts[place].saturating_sub(before.counts[place])),
            sum: self.sum.saturating_sub(before.sum),
        }
    }
}

/// Reads a histogram repeatedly, and gives the quantiles of what was recorded between two readings.
#[derive(Debug)]
pub struct Readings {
    before: Counts,
}

impl Readings {
    /// Makes the first reading now.
    pub fn of(histogram: &Histogram) -> Readings {
        Readings {
            before: histogram.counts(),
        }
    }

    /// The quantiles of what was recorded since the previous reading. `None` if nothing was.
    pub fn next(&mut self, histogram: &Histogram) -> Option<Quantiles> {
        let now = histogram.counts();
        let since = now.since(&self.before);
        let per_unit = now.buckets.per_unit as f64;
        self.before = now;
        Some(Quantiles {
            p50: since.quantile(0.5)? / per_unit,
            p99: since.quantile(0.99)? / per_unit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FEW: Buckets = Buckets::new(&[10, 20, 50], 10);

    #[test]
    fn a_value_at_a_bound_is_in_its_bucket_and_one_above_the_last_is_counted_too() {
        let histogram = Histogram::of(&FEW);
        for value in [10, 11, 50, 51] {
            histogram.record(value, 1);
        }
        let counts = histogram.counts();
        assert_eq!(counts.up_to().collect::<Vec<_>>(), [(1.0, 1), (2.0, 2), (5.0, 3)]);
        assert_eq!((counts.count(), counts.sum()), (4, 12.2));
    }

    #[test]
    fn gathered_values_are_those_that_are_recorded_one_by_one() {
        let (one_by_one, gathering) = (Histogram::of(&FEW), Histogram::of(&FEW));
        let mut gathered = gathering.gather();
        for value in [0, 12, 11, 10, 60, 60, 20, 21, 50, 3] {
            one_by_one.record(value, 1);
            gathered.record(value);
        }
        gathering.add(&gathered);
        assert_eq!(gathering.counts(), one_by_one.counts());
        assert_eq!(gathering.distribution().max, 60);
    }

    #[test]
    fn a_quantile_lies_within_the_bucket_of_its_rank() {
        let histogram = Histogram::of(&TIMES);
        for us in 1..=1000 {
            histogram.record(us * 10, 1);
        }
        let told = histogram.distribution();
        assert!((4_900..=5_100).contains(&told.p50), "{told:?}");
        assert!((9_800..=10_000).contains(&told.p99), "{told:?}");
        assert_eq!((told.max, told.mean.round()), (10_000, 5_005.0));
    }

    #[test]
    fn a_reading_tells_of_what_came_since_the_one_before() {
        let histogram = Histogram::of(&TIMES);
        histogram.record(50_000_000, 1000);
        let mut readings = Readings::of(&histogram);
        assert_eq!(readings.next(&histogram), None);
        histogram.record(2_000, 99);
        histogram.record(200_000, 1);
        let quantiles = readings.next(&histogram).unwrap();
        assert!((0.001_5..=0.002).contains(&quantiles.p50), "{quantiles:?}");
        assert!((0.001_9..=0.002).contains(&quantiles.p99), "{quantiles:?}");
        histogram.record(200_000, 1);
        let quantiles = readings.next(&histogram).unwrap();
        assert!((0.150..=0.200).contains(&quantiles.p50), "{quantiles:?}");
        assert_eq!(readings.next(&histogram), None);
    }

    #[test]
    fn nothing_recorded_reads_as_zero() {
        let told = Histogram::of(&ROWS).distribution();
        assert_eq!((told.p50, told.p99, told.max), (0, 0, 0));
        assert_eq!(Counts::none(&ROWS).count(), 0);
    }
}
