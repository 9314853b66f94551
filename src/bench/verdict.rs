//! What limits the rate now, and which settings are enough, from what the steps have measured. Plain arithmetic and
//! words: nothing here measures.

use crate::bench::figures::{ENOUGH, Point, Settings, knee, rates};
use crate::kafka::admin::reading_rate::ReadingRate;
use crate::util::version;

/// A gain below this share is none.
const GAIN: f64 = 1.0 + 2.0 * (1.0 - ENOUGH);
/// The processors are the limit if this share of them is busy.
const BUSY: f64 = 0.88;
/// A limit of rows per second is the limit if this share of it is reached.
const AT_CAP: f64 = 0.9;
/// The figures are not steady if the same settings give rates that differ by more than this share.
const STEADY: f64 = 0.15;
/// Fewer messages say little about others.
const MESSAGES_FEW: u64 = 1000;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Messages of the sample.
    pub messages: u64,
    /// Partitions of the topics.
    pub partitions: usize,
    /// How many topics these are. 0: the number of partitions is only assumed.
    pub topics: usize,
    /// Processors that this process may use.
    pub cores: usize,
    /// What the configuration says now.
    pub configured: Settings,
    /// With these settings. `threads`: one for each partition, up to the limit of the command.
    pub now: Option<Point>,
    /// By `run.batch_rows_max`, by threads, and by `run.rows_in_flight_max`.
    pub batches: Vec<Point>,
    pub threads: Vec<Point>,
    pub in_flight: Vec<Point>,
    /// With the recommended settings.
    pub then: Option<Point>,
    /// With the configured settings once more, at the end.
    pub again: Option<Point>,
    /// Reading alone was tried.
    pub is_read: bool,
    /// Reading alone. `None`: not measured.
    pub reading: Option<ReadingRate>,
    /// CPU time of the rules and the plan for each message, without the database. 0: not known.
    pub rules_cpu_us: f64,
    /// The limit of rows per second that was kept.
    pub rows_per_s_max: Option<u32>,
}

/// What limits the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Reading from the brokers.
    Kafka,
    /// The processors of this machine.
    Cpu,
    /// The database, or the network to it.
    Database,
    /// The number of partitions: more threads would be faster.
    Partitions,
    /// `run.batch_rows_max` or `run.rows_in_flight_max`: the recommended settings are faster.
    Settings,
    /// A limit of rows per second.
    RowsPerSecond,
}

impl Limit {
    /// Its word in the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Kafka => "kafka",
            Limit::Cpu => "cpu",
            Limit::Database => "database",
            Limit::Partitions => "partitions",
            Limit::Settings => "settings",
            Limit::RowsPerSecond => "rows_per_second",
        }
    }
}

/// By which share the rates of the same settings differ, measured at the beginning and at the end. 0: not known.
pub fn unsteadiness(facts: &Facts) -> f64 {
    let rate = |point: &Option<Point>| point.as_ref().map(|point| point.messages_per_s);
    match (rate(&facts.now), rate(&facts.again)) {
        (Some(one), Some(other)) if one.max(other) > 0.0 => (one - other).abs() / one.max(other),
        _ => 0.0,
    }
}

/// The rate with the configured settings: the better one of the beginning and the end.
fn configured_rate(facts: &Facts) -> f64 {
    let points = facts.now.iter().chain(&facts.again);
    points.map(|point| point.messages_per_s).fold(0.0, f64::max)
}

/// The settings that the steps before have found to be enough.
pub fn recommended(facts: &Facts) -> Settings {
    let configured = facts.configured;
    // Below the limit all settings are as fast as each other.
    if is_at_cap(facts) {
        return configured;
    }
    let now = configured_rate(facts);
    let best = rates(&facts.batches).into_iter().fold(now, f64::max);
    // What is configured stays, if it is as good.
    let batch_rows = if now >= ENOUGH * best {
        configured.batch_rows
    } else {
        at_knee(&facts.batches).map_or(configured.batch_rows, |point| point.settings.batch_rows)
    };
    let rows_in_flight = match at_knee(&facts.in_flight) {
        Some(point) if point.settings.rows_in_flight > configured.rows_in_flight => point.settings.rows_in_flight,
        // A limit that is too high costs nothing while the database is well: the gate shrinks it when it is not.
        _ => configured.rows_in_flight,
    };
    Settings {
        batch_rows,
        rows_in_flight,
        ..configured
    }
}

fn at_knee(points: &[Point]) -> Option<&Point> {
    points.get(knee(&rates(points))?)
}

/// The best rate that was measured with as many threads as there are partitions.
fn best_of_partitions(facts: &Facts) -> Option<&Point> {
    let threads = facts.configured.threads;
    let all = facts
        .then
        .iter()
        .chain(&facts.now)
        .chain(&facts.again)
        .chain(&facts.threads);
    all.filter(|point| point.settings.threads == threads)
        .max_by(|one, other| one.messages_per_s.total_cmp(&other.messages_per_s))
}

/// Whether a limit of rows per second is what limits.
fn is_at_cap(facts: &Facts) -> bool {
    let max = facts.rows_per_s_max.map(f64::from);
    let best = best_of_partitions(facts);
    max.zip(best).is_some_and(|(max, best)| best.rows_per_s >= AT_CAP * max)
}

/// Messages per second that the processors have room for, reading included.
pub fn cpu_limit(facts: &Facts) -> Option<f64> {
    let point = best_of_partitions(facts).filter(|point| point.cpu_us_per_message > 0.0)?;
    let reading = facts.reading.map_or(0.0, |reading| reading.cpu_us_per_message);
    Some(1e6 * facts.cores as f64 / (point.cpu_us_per_message + reading))
}

/// What limits the rate. `None`: too little was measured.
pub fn limit(facts: &Facts) -> Option<Limit> {
    let best = best_of_partitions(facts)?;
    let rate = best.messages_per_s;
    if is_at_cap(facts) {
        return Some(Limit::RowsPerSecond);
    }
    if facts
        .reading
        .is_some_and(|reading| reading.messages_per_s < rate / ENOUGH)
    {
        return Some(Limit::Kafka);
    }
    let is_busy = |cores: f64| cores >= BUSY * facts.cores as f64;
    if is_busy(best.cores_used) || cpu_limit(facts).is_some_and(|limit| limit < rate) {
        return Some(Limit::Cpu);
    }
    if recommended(facts) != facts.configured && rate >= GAIN * configured_rate(facts) {
        return Some(Limit::Settings);
    }
    let more = facts
        .threads
        .iter()
        .filter(|point| point.settings.threads > facts.configured.threads);
    if more.clone().any(|point| point.messages_per_s >= GAIN * rate) {
        return Some(Limit::Partitions);
    }
    // Others keep the machine busy. That is the limit only if nothing on this side was faster: they may be programs that
    // give way.
    if best.cores_busy.is_some_and(is_busy) {
        return Some(Limit::Cpu);
    }
    Some(Limit::Database)
}

/// About how many messages per second one process takes, with everything counted.
pub fn expected_per_s(facts: &Facts) -> Option<f64> {
    let best = best_of_partitions(facts)?.messages_per_s;
    let reading = facts.reading.map_or(f64::INFINITY, |reading| reading.messages_per_s);
    Some(best.min(reading).min(cpu_limit(facts).unwrap_or(f64::INFINITY)))
}

/// The result in words, a paragraph each.
pub fn words(facts: &Facts) -> Vec<String> {
    let (Some(best), Some(limit), Some(expected)) = (best_of_partitions(facts), limit(facts), expected_per_s(facts))
    else {
        return vec!["Too little was measured to say what limits the rate.".to_owned()];
    };
    let mut words = Vec::new();
    if cfg!(debug_assertions) || !version::IS_OPTIMISED {
        words.push(
            "This program is not optimised (a developer's build): its CPU time is many times too high, most of all that of \
             the rules."
                .to_owned(),
        );
    }
    if facts.messages < MESSAGES_FEW {
        words.push(format!(
            "There are few messages to measure with ({}). They were taken again and again; others may cost more or less.",
            facts.messages
        ));
    }
    if unsteadiness(facts) > STEADY {
        words.push(format!(
            "These figures are not steady: the same settings gave {} messages/s at the beginning and {} at the end, so \
             something else was busy. Measure again when it is quiet, or with longer steps (--step 10s).",
            count(facts.now.as_ref().map_or(0.0, |point| point.messages_per_s)),
            count(facts.again.as_ref().map_or(0.0, |point| point.messages_per_s))
        ));
    }
    words.extend([
        format!(
            "One process on this machine takes about {} messages/s, with {}.",
            count(expected),
            threads(best.settings.threads)
        ),
        format!("What limits now: {}", why(limit, best, facts)),
    ]);
    if limit == Limit::RowsPerSecond {
        words.push(
            "Which settings and how many threads are enough does not show below this limit. Leave them, or measure without \
             it."
            .to_owned(),
        );
    } else {
        words.extend(setting_words(facts));
        words.push(workers(facts, limit));
    }
    words.extend(more_processes(limit, best, facts));
    let refused: u64 = facts.now.iter().flat_map(|point| point.refused.values()).sum();
    if refused > 0 {
        words.push(format!(
            "The database refused {refused} rows of the first step because of their content; see the JSON for the codes."
        ));
    }
    words
}

fn why(limit: Limit, best: &Point, facts: &Facts) -> String {
    let waiting = format!("{:.0} %", 100.0 * best.waiting);
    match limit {
        Limit::Kafka => format!(
            "Kafka. Reading alone comes to {} messages/s, and the rest takes {} messages/s.",
            count(facts.reading.map_or(0.0, |reading| reading.messages_per_s)),
            count(best.messages_per_s)
        ),
        Limit::Cpu => {
            let others = best.cores_busy.map_or(0.0, |busy| busy - best.cores_used);
            let mut text = format!(
                "the CPU of this machine. A message costs {:.1} µs{}, and Penstock used {:.1} of {} cores.",
                best.cpu_us_per_message,
                parts(facts),
                best.cores_used,
                facts.cores
            );
            if others >= 0.1 * facts.cores as f64 {
                text.push_str(&format!(" Other programs used {others:.1}."));
            }
            text
        }
        Limit::Database => format!(
            "the database, or the network to it. The threads wait for it {waiting} of their time, and more threads gain \
             nothing: a call takes {:.1} ms (median) then.",
            best.call_p50_ms
        ),
        Limit::Partitions => {
            let most = fastest(&facts.threads).unwrap_or(best);
            format!(
                "the number of partitions. Each thread waits for the database {waiting} of its time, and more threads \
                 would be faster: {} messages/s with {}.",
                count(most.messages_per_s),
                threads(most.settings.threads)
            )
        }
        Limit::Settings => {
            format!(
                "the settings below. With what is configured it is {} messages/s, with the others {}.",
                count(configured_rate(facts)),
                count(best.messages_per_s)
            )
        }
        Limit::RowsPerSecond => format!(
            "the limit of {} rows per second (run.rows_per_second_max, or --max-rate). It comes to {} messages/s.",
            facts.rows_per_s_max.unwrap_or(0),
            count(best.messages_per_s)
        ),
    }
}

/// What a message's CPU time is spent on.
fn parts(facts: &Facts) -> String {
    // Measured one after the other: on a busy machine the part can come out greater than the whole.
    let whole = best_of_partitions(facts).map_or(0.0, |best| best.cpu_us_per_message);
    if facts.rules_cpu_us <= 0.0 || facts.rules_cpu_us > whole {
        return String::new();
    }
    format!(" ({:.1} of them in rules and plan)", facts.rules_cpu_us)
}

fn fastest(points: &[Point]) -> Option<&Point> {
    points
        .iter()
        .max_by(|one, other| one.messages_per_s.total_cmp(&other.messages_per_s))
}

fn setting_words(facts: &Facts) -> Vec<String> {
    let (to, from) = (recommended(facts), facts.configured);
    let mut words = Vec::new();
    for (name, to, from) in [
        ("run.batch_rows_max", to.batch_rows, from.batch_rows),
        ("run.rows_in_flight_max", to.rows_in_flight, from.rows_in_flight),
    ] {
        words.push(if to == from {
            format!("Leave {name} = {from}: no other value was faster.")
        } else {
            format!("Set {name} = {to} (it is {from}).")
        });
    }
    words
}

/// How many threads are needed.
fn workers(facts: &Facts, limit: Limit) -> String {
    let partitions = facts.partitions;
    let have = match facts.topics {
        0 => "This assumes topics with",
        1 => "The topic has",
        _ => "The topics have",
    };
    let of_topic = match partitions {
        1 => format!("{have} 1 partition"),
        more => format!("{have} {more} partitions"),
    };
    let Some(enough) = at_knee(&facts.threads) else {
        return format!("{of_topic}, and so the service has as many threads, over all processes.");
    };
    let needed = enough.settings.threads;
    match needed.cmp(&facts.configured.threads) {
        std::cmp::Ordering::Greater if limit == Limit::Cpu => format!(
            "{of_topic}, and this process uses them all. {needed} threads came to {} messages/s, but they shared the same \
             CPU: more partitions are for more machines.",
            count(enough.messages_per_s)
        ),
        std::cmp::Ordering::Greater => format!(
            "{of_topic}. One process would use {needed}: the rate rises up to there, to {} messages/s{}. A topic can be \
             given more partitions; its keys then go to other partitions.",
            count(enough.messages_per_s),
            settings_of_more(facts, enough)
        ),
        std::cmp::Ordering::Equal if partitions > needed => {
            format!("{of_topic}. The rate rises up to {needed} threads, the most that were measured (--max-threads).")
        }
        std::cmp::Ordering::Equal => format!("{of_topic}, and this process uses them all."),
        std::cmp::Ordering::Less => format!(
            "{of_topic}. {} already {} to {:.0} % of the best rate on this machine.",
            capital(&threads(needed)),
            if needed == 1 { "comes" } else { "come" },
            100.0 * ENOUGH
        ),
    }
}

/// What more threads were measured with, beside the recommended settings: each of them fills a batch of its own.
fn settings_of_more(facts: &Facts, enough: &Point) -> String {
    let rows = enough.settings.rows_in_flight;
    if rows <= recommended(facts).rows_in_flight {
        return String::new();
    }
    format!(". With them, set run.rows_in_flight_max = {rows}: that was measured")
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// What another process would give.
fn more_processes(limit: Limit, best: &Point, facts: &Facts) -> Option<String> {
    let text = match limit {
        Limit::Cpu if best.cores_used < 0.5 * facts.cores as f64 => {
            "Run Penstock on a machine where it has the processors for itself, and measure again.".to_owned()
        }
        Limit::Cpu => {
            "Another process on another machine adds as much again, until the database or the partitions are the \
                       limit."
                .to_owned()
        }
        Limit::Database => "Another process adds nothing: it would wait for the same database.".to_owned(),
        Limit::Kafka => "Another process on another machine helps, if the brokers have more to give.".to_owned(),
        Limit::Partitions => {
            "Another process adds nothing by itself: the partitions are shared between them.".to_owned()
        }
        Limit::Settings | Limit::RowsPerSecond => return None,
    };
    Some(text)
}

fn threads(count: usize) -> String {
    match count {
        1 => "1 thread".to_owned(),
        more => format!("{more} threads"),
    }
}

/// A number with three digits that count: `1,234,567` becomes `1,230,000`.
pub fn count(number: f64) -> String {
    if !number.is_finite() || number < 0.0 {
        return "?".to_owned();
    }
    let mut unit = 1.0;
    while number / unit >= 1000.0 {
        unit *= 10.0;
    }
    grouped((number / unit).round() * unit)
}

/// A whole number with commas.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn point(threads: usize, batch_rows: usize, messages_per_s: f64) -> Point {
        Point {
            settings: Settings {
                batch_rows,
                threads,
                rows_in_flight: 4000,
            },
            messages: 1000,
            messages_per_s,
            rows: 1000,
            rows_per_s: messages_per_s,
            calls: 10,
            call_p50_ms: 5.0,
            call_p99_ms: 9.0,
            cpu_us_per_message: 5.0,
            cores_used: messages_per_s * 5.0 / 1e6,
            cores_busy: Some(messages_per_s * 5.0 / 1e6),
            waiting: 0.9,
            refused: BTreeMap::new(),
        }
    }

    /// Four partitions and 16 cores; the database takes 20,000 messages/s, however many threads there are.
    fn facts() -> Facts {
        Facts {
            messages: 20_000,
            partitions: 4,
            topics: 2,
            cores: 16,
            configured: point(4, 200, 0.0).settings,
            now: Some(point(4, 200, 20_000.0)),
            batches: [1, 10, 100, 200, 1000]
                .into_iter()
                .zip([1_000.0, 9_000.0, 19_500.0, 20_000.0, 20_100.0])
                .map(|(rows, rate)| point(4, rows, rate))
                .collect(),
            threads: [(1, 10_000.0), (2, 19_600.0), (4, 20_000.0), (8, 20_300.0)]
                .map(|(threads, rate)| point(threads, 200, rate))
                .to_vec(),
            in_flight: Vec::new(),
            then: None,
            again: None,
            is_read: true,
            reading: Some(ReadingRate {
                messages_per_s: 500_000.0,
                bytes_per_s: 1e8,
                cpu_us_per_message: 1.0,
            }),
            rules_cpu_us: 2.0,
            rows_per_s_max: None,
        }
    }

    #[test]
    fn each_limit_is_recognised() {
        assert_eq!(limit(&facts()), Some(Limit::Database));

        let mut partitions = facts();
        partitions.threads[3].messages_per_s = 39_000.0;
        assert_eq!(limit(&partitions), Some(Limit::Partitions));

        let mut kafka = facts();
        kafka.reading = kafka.reading.map(|reading| ReadingRate {
            messages_per_s: 15_000.0,
            ..reading
        });
        assert_eq!(limit(&kafka), Some(Limit::Kafka));
        assert_eq!(expected_per_s(&kafka), Some(15_000.0));

        let cpu = Facts { cores: 1, ..facts() };
        // 6 µs with reading: 166,000 messages/s, so one core is enough.
        assert_eq!(limit(&cpu), Some(Limit::Database));
        let mut cpu = Facts { cores: 1, ..facts() };
        cpu.now.as_mut().unwrap().cpu_us_per_message = 60.0;
        cpu.threads.clear();
        assert_eq!(limit(&cpu), Some(Limit::Cpu));
        // The machine is busy with something else.
        let mut cpu = facts();
        cpu.threads.clear();
        cpu.now.as_mut().unwrap().cores_busy = Some(15.5);
        assert_eq!(limit(&cpu), Some(Limit::Cpu));
        assert!(
            words(&cpu).concat().contains("Other programs used 15.4."),
            "{:?}",
            words(&cpu)
        );

        let mut settings = facts();
        settings.now = Some(point(4, 10, 9_000.0));
        settings.configured.batch_rows = 10;
        assert_eq!(limit(&settings), Some(Limit::Settings));
        // A second look: it was only slow at the beginning.
        settings.again = Some(point(4, 10, 19_800.0));
        assert_eq!(limit(&settings), Some(Limit::Database));
        assert!(
            words(&settings).concat().contains("not steady"),
            "{:?}",
            words(&settings)
        );

        let capped = Facts {
            rows_per_s_max: Some(20_000),
            ..facts()
        };
        assert_eq!(limit(&capped), Some(Limit::RowsPerSecond));
        // Nothing is recommended: what looks faster only looks so.
        let mut seems = capped.clone();
        seems.batches[4].messages_per_s = 40_000.0;
        seems.threads[3].messages_per_s = 40_000.0;
        assert_eq!(recommended(&seems), seems.configured);
        let told = words(&seems).join("\n");
        assert!(told.contains("does not show below this limit"), "{told}");
        assert!(
            !told.contains("run.batch_rows_max") && !told.contains("would use"),
            "{told}"
        );

        let nothing = Facts {
            now: None,
            threads: Vec::new(),
            ..facts()
        };
        assert_eq!(limit(&nothing), None);
        assert_eq!(words(&nothing).len(), 1);
    }

    #[test]
    fn what_is_configured_stays_unless_another_value_is_faster() {
        assert_eq!(recommended(&facts()), facts().configured);

        let mut slow = facts();
        slow.now = Some(point(4, 10, 9_000.0));
        slow.configured.batch_rows = 10;
        assert_eq!(recommended(&slow).batch_rows, 100, "the smallest one that is enough");

        let mut in_flight = facts();
        in_flight.configured.rows_in_flight = 100;
        in_flight.in_flight = [(100, 5_000.0), (200, 9_000.0), (400, 18_000.0), (800, 18_200.0)]
            .map(|(rows, rate)| {
                let mut point = point(4, 200, rate);
                point.settings.rows_in_flight = rows;
                point
            })
            .to_vec();
        assert_eq!(recommended(&in_flight).rows_in_flight, 400);
        // It is never lowered.
        in_flight.configured.rows_in_flight = 4000;
        assert_eq!(recommended(&in_flight).rows_in_flight, 4000);
    }

    #[test]
    fn the_words_say_how_many_threads_are_enough() {
        let told = words(&facts()).join("\n");
        for part in [
            "about 20,000 messages/s, with 4 threads",
            "What limits now: the database",
            "Leave run.batch_rows_max = 200",
            "2 threads already come to 95 % of the best rate",
            "Another process adds nothing",
        ] {
            assert!(told.contains(part), "no {part:?} in:\n{told}");
        }
    }

    /// The rate of more threads needs the settings that it was measured with.
    #[test]
    fn more_partitions_are_recommended_with_the_rows_in_flight_that_they_need() {
        let mut more = facts();
        more.threads[3].messages_per_s = 39_000.0;
        let told = words(&more).join("\n");
        assert!(told.contains("One process would use 8"), "{told}");
        assert!(!told.contains("With them"), "{told}");
        more.threads[3].settings.rows_in_flight = 16_000;
        let told = words(&more).join("\n");
        let needed = "to 39,000 messages/s. With them, set run.rows_in_flight_max = 16000: that was measured.";
        assert!(told.contains(needed), "{told}");
    }

    #[test]
    fn the_number_of_partitions_is_told_as_what_it_is() {
        for (topics, partitions, told) in [
            (2, 4, "The topics have 4 partitions"),
            (1, 4, "The topic has 4 partitions"),
            (1, 1, "The topic has 1 partition,"),
            (0, 16, "This assumes topics with 16 partitions"),
        ] {
            let facts = Facts {
                topics,
                partitions,
                threads: Vec::new(),
                ..facts()
            };
            assert!(workers(&facts, Limit::Database).starts_with(told));
        }
    }

    /// More threads on the same processors are no reason for more partitions.
    #[test]
    fn a_busy_cpu_asks_for_no_partitions() {
        let mut cpu = facts();
        cpu.threads[2].cores_used = 15.9;
        cpu.threads[3].messages_per_s = 30_000.0;
        assert_eq!(limit(&cpu), Some(Limit::Cpu));
        let told = words(&cpu).join("\n");
        assert!(
            told.contains("8 threads came to 30,000 messages/s, but they shared"),
            "{told}"
        );
        assert!(!told.contains("would use"), "{told}");
    }

    /// A machine that is busy with programs that give way limits nothing.
    #[test]
    fn what_was_faster_is_believed_on_a_busy_machine() {
        let mut busy = facts();
        busy.threads[2].cores_busy = Some(15.9);
        assert_eq!(limit(&busy), Some(Limit::Cpu));
        busy.threads[3].messages_per_s = 39_000.0;
        assert_eq!(limit(&busy), Some(Limit::Partitions));
    }

    #[test]
    fn few_messages_are_told_and_no_part_is_greater_than_the_whole() {
        let mut few = facts();
        few.messages = 30;
        assert!(words(&few).concat().contains("few messages to measure with (30)"));
        assert!(!words(&facts()).concat().contains("few messages"));
        assert_eq!(parts(&facts()), " (2.0 of them in rules and plan)");
        few.rules_cpu_us = 5.1;
        assert_eq!(parts(&few), "");
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        for (number, expected) in [
            (0.0, "0"),
            (7.4, "7"),
            (999.0, "999"),
            (12_345.0, "12,300"),
            (999_999.0, "1,000,000"),
            (f64::INFINITY, "?"),
        ] {
            assert_eq!(count(number), expected);
        }
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }
}
