//! Scenario 6: one process reads 256 partitions, and 8, with the same number of messages.
//!
//! They take turns, and the better round of each counts: other load on the machine slows down one round, not both.

use std::thread;
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::load::{Messages, ROUTES};
use crate::support::interrupted::{Scale, Source, Watched as _, number};
use crate::support::process::SimProgram;
use crate::support::{DEADLINE, Kafka, Setup, wait_until};

const FEW: i32 = 8;
const MANY: i32 = 256;
/// Several keys for each partition; the same number for few and for many partitions.
const KEYS: usize = 5000;
const BYTES: usize = 560;
/// Minimum share of the rate with few partitions.
const RATE_MIN: f64 = 0.8;
const MEMORY_MAX: f64 = 1.1;
/// If no row comes for this long, the round may be finished.
const QUIET: Duration = Duration::from_secs(1);

/// A topic with all its messages, and the service that reads it.
struct Course {
    fleet: Fleet,
    source: Source,
    messages: Messages,
    bound_mib: u64,
    peak_mib: u64,
    best: f64,
}

impl Course {
    fn new(kafka: &Kafka, scale: &Scale, partitions: i32) -> Course {
        let source = Source::new(kafka, "partitions", partitions);
        let sim = SimProgram::start(&["--seed", &scale.seed.to_string()]);
        let mut setup = Setup::new(kafka, &source.topic, sim.addr).run("").routes(ROUTES);
        setup.consumer = String::new();
        // The default: commits each partition at this interval, however many there are.
        setup.commit_interval = "1s";
        Course {
            fleet: Fleet::new(sim, source.topic.clone(), &setup, 1),
            source,
            messages: Messages::new(scale.seed, KEYS, partitions, BYTES),
            bound_mib: 0,
            peak_mib: 0,
            best: 0.0,
        }
    }

    /// Writes more messages while nobody reads, then lets them be read. Returns messages per second, from the first row
    /// to the last.
    fn round(&mut self, messages: u64) -> f64 {
        self.messages.send(&mut self.source, messages);
        self.source.flush();
        let (fleet, ends) = (&mut self.fleet, &self.messages.ends);
        let mut rows = fleet.rows_sent();
        fleet.start(0);
        self.bound_mib = fleet.bound_mib(0);
        wait_until("the first row", || fleet.rows_sent(), |now| *now > rows);
        let began = Instant::now();
        let mut moved = began;
        // Watches the rows only, which costs almost nothing; asking for the offsets of 256 partitions does not.
        while moved.elapsed() < QUIET || fleet.committed() != *ends {
            assert!(moved.elapsed() < DEADLINE, "nothing moves: {}", fleet.tell());
            thread::sleep(Duration::from_millis(20));
            let now = fleet.rows_sent();
            if now != rows {
                (rows, moved) = (now, Instant::now());
            }
        }
        self.peak_mib = self.peak_mib.max(fleet.usage(0).peak_mib);
        fleet.stop(0);
        messages as f64 / (moved - began).as_secs_f64()
    }
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_process_reads_256_partitions_within_its_memory_at_the_rate_of_8() {
    let began = Instant::now();
    let scale = Scale::from_env(300_000, 0);
    let rounds = number("ROUNDS", 3);
    println!("\npartitions: seed={}", scale.seed);
    let kafka = Kafka::real();
    let mut courses = [FEW, MANY].map(|partitions| Course::new(&kafka, &scale, partitions));
    for course in &mut courses {
        course.round(scale.messages / 4);
    }
    for _ in 0..rounds {
        for course in &mut courses {
            let rate = course.round(scale.messages);
            course.best = course.best.max(rate);
        }
    }
    let [few, many] = &courses;
    for (course, partitions) in [(few, FEW), (many, MANY)] {
        println!(
            "  {partitions:>3} partitions  {:.0} messages/s; {} MiB at most, bound {} MiB",
            course.best, course.peak_mib, course.bound_mib
        );
    }
    println!("  rate         {:.2} of it with {MANY}", many.best / few.best);
    let ledger = many.messages.ledger(&many.fleet);
    ledger.tell();
    println!("  took         {:.1?}", began.elapsed());
    ledger.assert_balances();
    few.messages.ledger(&few.fleet).assert_balances();
    for course in &courses {
        assert!(
            course.peak_mib as f64 <= MEMORY_MAX * course.bound_mib as f64,
            "{} MiB, bound {} MiB",
            course.peak_mib,
            course.bound_mib
        );
    }
    assert!(
        many.best >= RATE_MIN * few.best,
        "{:.0} messages/s with {MANY} partitions, {:.0} with {FEW}",
        many.best,
        few.best
    );
}
