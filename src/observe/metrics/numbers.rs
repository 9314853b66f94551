//! Counters and gauges: atomics. A worker adds to them once per batch.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::{Instrument, Kind, Sample, Value, one_hot};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Instrument for Counter {
    const KIND: Kind = Kind::Counter;

    fn samples(&self) -> Vec<Sample> {
        vec![Sample::plain(Value::Count(self.get()))]
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Instrument for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn samples(&self) -> Vec<Sample> {
        vec![Sample::plain(Value::Number(self.get() as f64))]
    }
}

/// A number that may be unknown. Then it is -1 and has no sample.
#[derive(Debug)]
pub struct MaybeGauge(AtomicI64);

impl Default for MaybeGauge {
    fn default() -> Self {
        MaybeGauge(AtomicI64::new(-1))
    }
}

impl MaybeGauge {
    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Instrument for MaybeGauge {
    const KIND: Kind = Kind::Gauge;

    fn samples(&self) -> Vec<Sample> {
        let known = Some(self.get()).filter(|n| *n >= 0);
        known
            .map(|n| Sample::plain(Value::Number(n as f64)))
            .into_iter()
            .collect()
    }
}

/// One of a few words, stored as its index. There is a sample for each word: 1 for the one that is true, 0 for the
/// others.
#[derive(Debug)]
pub struct StateGauge {
    words: &'static [&'static str],
    now: AtomicI64,
}

impl StateGauge {
    /// At the start the first word is true.
    pub fn of(words: &'static [&'static str]) -> StateGauge {
        StateGauge {
            words,
            now: AtomicI64::new(0),
        }
    }

    pub fn set(&self, place: i64) {
        self.now.store(place, Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.now.load(Relaxed)
    }
}

impl Instrument for StateGauge {
    const KIND: Kind = Kind::Gauge;

    fn samples(&self) -> Vec<Sample> {
        let now = usize::try_from(self.get()).ok().and_then(|place| self.words.get(place));
        one_hot(self.words.iter().copied(), now.copied().unwrap_or_default())
    }
}

/// How many different words a [`CounterByWord`] counts separately.
const WORDS_MAX: usize = 64;
/// All further words are counted as this one.
const OTHER: &str = "other";

/// A counter for each of a few words. It adds a word when the word first occurs. This takes no lock, either.
pub struct CounterByWord {
    /// Filled from the front. A word is never removed.
    words: [(OnceLock<&'static str>, Counter); WORDS_MAX],
    others: Counter,
}

impl Default for CounterByWord {
    fn default() -> Self {
        CounterByWord {
            words: std::array::from_fn(|_| Default::default()),
            others: Counter::default(),
        }
    }
}

impl CounterByWord {
    /// These words have a sample from the start, even before they first occur.
    pub fn of(words: &[&'static str]) -> CounterByWord {
        let counter = CounterByWord::default();
        for word in words {
            counter.add(word, 0);
        }
        counter
    }

    pub fn add(&self, word: &'static str, n: u64) {
        let place = self.words.iter().find(|(known, _)| *known.get_or_init(|| word) == word);
        place.map_or(&self.others, |(_, counter)| counter).add(n);
    }

    /// The sum over all words.
    pub fn get(&self) -> u64 {
        self.words.iter().map(|(_, counter)| counter.get()).sum::<u64>() + self.others.get()
    }

    /// Each word that has occurred, with its count, in alphabetical order.
    pub fn by_word(&self) -> Vec<(&'static str, u64)> {
        let known = self.words.iter();
        let known = known.map_while(|(word, counter)| Some((*word.get()?, counter.get())));
        let others = Some((OTHER, self.others.get())).filter(|(_, count)| *count > 0);
        let mut counts: Vec<(&'static str, u64)> = known.chain(others).collect();
        counts.sort_unstable();
        counts
    }
}

impl fmt::Debug for CounterByWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.by_word()).finish()
    }
}

impl Instrument for CounterByWord {
    const KIND: Kind = Kind::Counter;

    fn samples(&self) -> Vec<Sample> {
        let counts = self.by_word().into_iter();
        let sample = |(word, count): (&str, u64)| Sample {
            labels: vec![word.to_owned()],
            value: Value::Count(count),
        };
        counts.map(sample).collect()
    }
}

/// A counter for each result code of the database. Failures without a code are counted by a word. A code that never
/// occurred has no sample.
pub struct CounterByCode {
    codes: [Counter; 256],
    failures: CounterByWord,
}

impl Default for CounterByCode {
    fn default() -> Self {
        CounterByCode {
            codes: std::array::from_fn(|_| Counter::default()),
            failures: CounterByWord::default(),
        }
    }
}

impl CounterByCode {
    pub fn add(&self, code: u8, n: u64) {
        self.codes[usize::from(code)].add(n);
    }

    /// Counts a failure without a code. `word` says what happened.
    pub fn add_failure(&self, word: &'static str, n: u64) {
        self.failures.add(word, n);
    }

    /// The sum over all codes and words.
    pub fn get(&self) -> u64 {
        self.codes.iter().map(Counter::get).sum::<u64>() + self.failures.get()
    }
}

impl fmt::Debug for CounterByCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let samples = self.samples().into_iter();
        f.debug_map()
            .entries(samples.map(|sample| (sample.labels, sample.value)))
            .finish()
    }
}

impl Instrument for CounterByCode {
    const KIND: Kind = Kind::Counter;

    fn samples(&self) -> Vec<Sample> {
        let counts = self.codes.iter().map(Counter::get).enumerate();
        let codes = counts.filter(|(_, count)| *count > 0).map(|(code, count)| Sample {
            labels: vec![code.to_string()],
            value: Value::Count(count),
        });
        codes.chain(self.failures.samples()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels and the value of each sample, as text.
    fn told(samples: &[Sample]) -> Vec<String> {
        let tell = |sample: &Sample| match &sample.value {
            Value::Count(count) => format!("{} {count}", sample.labels.join(",")),
            other => format!("{} {other:?}", sample.labels.join(",")),
        };
        samples.iter().map(tell).collect()
    }

    #[test]
    fn a_number_that_is_unknown_has_no_sample() {
        let gauge = MaybeGauge::default();
        assert_eq!(gauge.samples(), []);
        gauge.set(0);
        assert_eq!(gauge.samples(), [Sample::plain(Value::Number(0.0))]);
    }

    #[test]
    fn of_the_states_one_is_true() {
        let gauge = StateGauge::of(&["open", "closed"]);
        assert_eq!(told(&gauge.samples()), ["open 1", "closed 0"]);
        gauge.set(1);
        assert_eq!(told(&gauge.samples()), ["open 0", "closed 1"]);
    }

    #[test]
    fn words_are_learned_and_those_beyond_the_bound_are_counted_together() {
        let counter = CounterByWord::of(&["b"]);
        counter.add("a", 2);
        assert_eq!(told(&counter.samples()), ["a 2", "b 0"]);
        for number in 0..WORDS_MAX {
            let word: &'static str = Box::leak(number.to_string().into_boxed_str());
            counter.add(word, 1);
        }
        counter.add("a", 1);
        let by_word = counter.by_word();
        assert_eq!(by_word.len(), WORDS_MAX + 1);
        assert!(
            by_word.contains(&("a", 3)) && by_word.contains(&(OTHER, 2)),
            "{by_word:?}"
        );
        assert_eq!(counter.get(), 3 + WORDS_MAX as u64);
    }

    #[test]
    fn threads_that_learn_a_word_at_the_same_time_count_it_once() {
        let counter = CounterByWord::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for word in ["a", "b", "c"] {
                        counter.add(word, 1);
                    }
                });
            }
        });
        assert_eq!(counter.by_word(), [("a", 4), ("b", 4), ("c", 4)]);
    }

    #[test]
    fn codes_that_never_occurred_have_no_sample() {
        let counter = CounterByCode::default();
        assert_eq!(counter.samples(), []);
        counter.add(9, 3);
        counter.add_failure("timed_out", 2);
        assert_eq!(told(&counter.samples()), ["9 3", "timed_out 2"]);
        assert_eq!(counter.get(), 5);
    }
}
