//! Scenario 4: the database does not answer for four times `max.poll.interval.ms`, with a backlog that fills every
//! queue.
//!
//! The members' main threads keep polling, so nobody is removed from the group for polling too late. A broker that does
//! not answer heartbeats for the session time-out, on a busy machine, ends a membership, too: that is not what this
//! scenario is about, and it is only printed. The workers wait without using CPU.
//! Memory stays within its limit. No offset is committed for messages that the database does not have.

use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{Fleet, Usage};
use super::load::{Messages, ROUTES};
use crate::support::interrupted::{Scale, Source, Watched as _, number};
use crate::support::process::SimProgram;
use crate::support::{Kafka, Setup};

const PARTITIONS: i32 = 8;
const KEYS: usize = 2000;
/// The usual size of a message.
const BYTES: usize = 560;
const RUN: &str = "batch_rows_max = 100\nwrite_timeout = \"1s\"\nmemory = \"160MiB\"";
const INTERVALS: u32 = 4;
/// How long a rate is measured.
const WINDOW: Duration = Duration::from_secs(5);
/// Time limit for reaching the earlier rate again, and the share of it that is required. `RECOVERY_S` sets another
/// limit, for a machine that runs other scenarios at the same time.
const RECOVERY_S: u64 = 5;
const RECOVERED: f64 = 0.9;
const CPU_MAX: f64 = 0.05;
/// Ratio of resident memory to the limit.
const MEMORY_MAX: f64 = 1.1;
/// Maximum number of log lines: some at the beginning, some every 10 seconds.
const LINES_AT_ONCE: usize = 10;
const LINES_EACH_10_S: usize = 4;

/// What a member did while nothing could be done.
struct Waited {
    took: Duration,
    cpu: Duration,
    /// The highest value at any look.
    resident_mib: u64,
}

/// Observes for `how_long` what must not move. This does not wait for a condition: it is how long the database is away.
fn look_on(fleet: &mut Fleet, how_long: Duration) -> Waited {
    let began = Instant::now();
    let before = fleet.usage(0);
    let seen = fleet.look();
    let mut resident_mib = before.resident_mib;
    let mut last: Usage = before;
    while began.elapsed() < how_long {
        thread::sleep(Duration::from_millis(200));
        assert!(fleet.all_run(), "it ended: {}", fleet.tell());
        last = fleet.usage(0);
        resident_mib = resident_mib.max(last.resident_mib);
        let now = fleet.look();
        assert_eq!(
            now.committed,
            seen.committed,
            "committed in the silence: {}",
            fleet.tell()
        );
    }
    Waited {
        took: began.elapsed(),
        cpu: last.cpu - before.cpu,
        resident_mib,
    }
}

/// Fails unless everything below the committed offsets is in the database. For that, the database answers for a moment,
/// while its only client cannot use it.
fn assert_nothing_is_committed_that_is_not_written(fleet: &mut Fleet, silence: &str) -> usize {
    fleet.freeze(0);
    fleet.say(&["unstall"]);
    let ids = Messages::ids_below(&fleet.committed());
    let missing = fleet
        .read_as("all", &ids, |_| ())
        .iter()
        .filter(|there| there.is_none())
        .count();
    assert_eq!(
        missing,
        0,
        "messages are committed, of {}, and not in the database",
        ids.len()
    );
    fleet.say(&[silence]);
    fleet.wake(0);
    ids.len()
}

fn a_silent_database(name: &str, silence: &str) {
    let began = Instant::now();
    let scale = Scale::from_env(400_000, 0);
    let interval = Duration::from_secs(number("MAX_POLL_S", 6));
    println!("\nsilence, {name}: seed={}", scale.seed);
    let kafka = Kafka::real();
    let mut source = Source::new(&kafka, "silence", PARTITIONS);
    let mut messages = Messages::new(scale.seed, KEYS, PARTITIONS, BYTES);
    messages.send(&mut source, scale.messages);
    source.flush();
    let sim = SimProgram::start(&["--seed", &scale.seed.to_string()]);
    let interval_ms = interval.as_millis();
    let setup = Setup::new(&kafka, &source.topic, sim.addr)
        .run(RUN)
        .consumer(&format!(
            "session.timeout.ms = 6000\nheartbeat.interval.ms = 500\nmax.poll.interval.ms = {interval_ms}"
        ))
        .routes(ROUTES);
    let mut fleet = Fleet::new(sim, source.topic.clone(), &setup, 1);
    // The database determines the rate, not the other load on this machine.
    fleet.say(&["delay 60ms"]);
    fleet.start(0);
    let bound_mib = fleet.bound_mib(0);
    let before = fleet.rate(WINDOW, &messages.ends);

    fleet.say(&[silence]);
    let lines = fleet.log(0).lines().count();
    // Give it time to commit what was acknowledged before, and to fill its queues.
    thread::sleep(interval);
    let waited = look_on(&mut fleet, interval * (INTERVALS - 1));
    let checked = assert_nothing_is_committed_that_is_not_written(&mut fleet, silence);
    look_on(&mut fleet, interval);
    let lines = fleet.log(0).lines().count() - lines;
    let silent = interval * (INTERVALS + 1);

    fleet.say(&["unstall"]);
    let recovery_max = Duration::from_secs(number("RECOVERY_S", RECOVERY_S));
    let recovery = fleet.recovery(Instant::now(), RECOVERED * before, recovery_max, &messages.ends);
    fleet.say(&["delay 0ms"]);
    fleet.drain(&messages.ends);
    let late_polls = fleet.lines("MAXPOLL");
    let sessions_lost = fleet.lines("SESSTMOUT");
    // The first assignment; a session that times out takes the partitions away, and they are assigned again.
    let explained = 1 + 2 * sessions_lost;
    let rebalances = fleet.rebalances();
    let peak_mib = fleet.usage(0).peak_mib;
    fleet.stop(0);
    let ledger = messages.ledger(&fleet);

    let cpu = waited.cpu.as_secs_f64() / waited.took.as_secs_f64();
    println!(
        "  silent       {silent:.0?}, with max.poll.interval.ms = {interval_ms}: {late_polls} late polls, \
         {rebalances} rebalances, {sessions_lost} sessions lost\n\
         \x20 committed    {checked} messages at the end of it, all of them in the database\n\
         \x20 memory       {} MiB resident while silent, {peak_mib} MiB at most, bound {bound_mib} MiB\n\
         \x20 cpu          {:.1} % of a core while silent\n\
         \x20 log          {lines} lines while silent\n\
         \x20 rate         {before:.0} messages/s before, {:.0} ({:.2} of it) from {:.1?} after its end; flows from {:.1?}",
        waited.resident_mib,
        100.0 * cpu,
        recovery.rate,
        recovery.rate / before,
        recovery.after,
        recovery.flows,
    );
    ledger.tell();
    println!("  took         {:.1?}", began.elapsed());
    assert_eq!((late_polls, rebalances), (0, explained), "{}", fleet.tell());
    assert!(peak_mib as f64 <= MEMORY_MAX * bound_mib as f64, "{peak_mib} MiB");
    assert!(cpu <= CPU_MAX, "{cpu} of a core");
    let lines_max = LINES_AT_ONCE + LINES_EACH_10_S * usize::try_from(silent.as_secs()).unwrap() / 10;
    assert!(
        lines <= lines_max,
        "{lines} lines, more than {lines_max}: {}",
        fleet.tell()
    );
    assert!(
        recovery.rate >= RECOVERED * before,
        "{recovery:?} where {before:.0} messages/s had been"
    );
    ledger.assert_balances();
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_silent_database_that_does_nothing_costs_no_partition_no_message_and_no_work() {
    a_silent_database("requests dropped", "stall");
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_silent_database_that_writes_all_the_same_costs_no_partition_no_message_and_no_work() {
    a_silent_database("requests applied", "stall applied");
}
