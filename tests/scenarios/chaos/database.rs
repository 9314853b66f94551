//! Scenario 5, the part for the database: each state that it can be in, once, under load.
//!
//! These hold in each state, however long it lasts: nothing is committed that is not written; nobody is removed from
//! the group; memory stays within its limit; a few log lines say what is happening; if nothing can be done, the service
//! uses almost no CPU. Soon after the state ends, everything flows as before.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::Key;

use super::load::Messages;
use super::scenario::{CPU_MAX, RECOVERED, Scenario, WINDOW, away, outage};
use crate::support::interrupted::{Scale, Watched as _};
use crate::support::{Kafka, simulator};

const BYTES: usize = 560;
const CONSUMER: &str = "session.timeout.ms = 6000\nheartbeat.interval.ms = 500\nmax.poll.interval.ms = 6000";
/// Maximum number of log lines: some when the state changes, some every 10 seconds.
const LINES_AT_ONCE: usize = 12;
const LINES_EACH_10_S: usize = 4;

/// What the service can do while the state lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// Messages flow, at any rate.
    Flows,
    /// Nothing can be written, and the service uses almost no CPU.
    Waits,
}

/// A state of the database.
struct State {
    name: &'static str,
    nodes: &'static str,
    begin: Vec<String>,
    end: Vec<String>,
    meanwhile: Meanwhile,
    /// Readers are affected, too: the state must be interrupted briefly to read the records.
    hinders_readers: bool,
    /// A part of the log line that tells the operator.
    says: &'static str,
    lasts: Duration,
    /// Time limit for reaching the earlier rate again.
    recovery_max: Duration,
    /// The database has lost records.
    forgets: bool,
}

impl State {
    fn new(name: &'static str, begin: &[&str], end: &[&str]) -> State {
        let owned = |commands: &[&str]| commands.iter().map(ToString::to_string).collect();
        State {
            name,
            nodes: "1",
            begin: owned(begin),
            end: owned(end),
            meanwhile: Meanwhile::Waits,
            hinders_readers: false,
            says: "",
            lasts: outage(),
            recovery_max: Duration::from_secs(5),
            forgets: false,
        }
    }
}

/// If messages flow during the state, the backlog is larger than what is written meanwhile.
fn scenario(name: &str, nodes: &str, flows: Duration) -> Scenario {
    let scale = Scale::from_env(10_000 * (20 + flows.as_secs()), 0);
    println!("\ndatabase, {name}: seed={}", scale.seed);
    Scenario::new(&Kafka::real(), &scale, BYTES, nodes, CONSUMER)
}

fn say(scenario: &Scenario, commands: &[String]) {
    for command in commands {
        scenario.fleet.sim.say(command);
    }
}

/// Fails unless everything from these offsets to the committed ones is in the database. Returns the number of those
/// messages. Nothing moves meanwhile.
fn assert_committed_is_written(scenario: &mut Scenario, state: &State, from: &[i64]) -> usize {
    scenario.fleet.freeze(0);
    if state.hinders_readers {
        say(scenario, &state.end);
    }
    // Must be fast: it stays a member only as long as its session.
    scenario.fleet.say(&["delay 0ms"]);
    let ids = Messages::ids_between(from, &scenario.fleet.committed());
    let found = scenario.fleet.read_as("all", &ids, |_| ());
    let missing = found.iter().filter(|there| there.is_none()).count();
    assert_eq!(missing, 0, "committed, of {}, and not in the database", ids.len());
    scenario.fleet.say(&["delay 20ms"]);
    if state.hinders_readers {
        say(scenario, &state.begin);
    }
    scenario.fleet.wake(0);
    ids.len()
}

fn runs_through(state: &State) {
    let began = Instant::now();
    let flows = match state.meanwhile {
        Meanwhile::Flows => state.lasts,
        Meanwhile::Waits => Duration::ZERO,
    };
    let mut scenario = scenario(state.name, state.nodes, flows);
    let ends = scenario.messages.ends.clone();
    let before = scenario.fleet.rate(WINDOW, &ends);

    say(&scenario, &state.begin);
    let log = scenario.fleet.log(0).lines().count();
    // Give it time to commit what was acknowledged before, and to fill its queues.
    thread::sleep(Duration::from_secs(3));
    // The service cannot bring back records that the database has lost.
    let from = match state.forgets {
        true => scenario.fleet.committed(),
        false => vec![0; ends.len()],
    };
    let first = scenario.fleet.usage(0);
    let since = Instant::now();
    let rebalances = scenario.fleet.rebalances();
    let flowed = scenario.fleet.look().messages();
    while since.elapsed() < state.lasts {
        // This does not wait for a condition: it is how long the state lasts.
        thread::sleep(Duration::from_millis(200));
        assert!(scenario.fleet.all_run(), "it ended: {}", scenario.fleet.tell());
    }
    let last = scenario.fleet.usage(0);
    let cpu = (last.cpu - first.cpu).as_secs_f64() / since.elapsed().as_secs_f64();
    let flowed = scenario.fleet.look().messages() - flowed;
    let during = flowed as f64 / since.elapsed().as_secs_f64();
    let checked = assert_committed_is_written(&mut scenario, state, &from);
    let said: Vec<String> = scenario.fleet.log(0).lines().skip(log).map(str::to_owned).collect();

    say(&scenario, &state.end);
    let healed = Instant::now();
    let recovery = scenario
        .fleet
        .recovery(healed, RECOVERED * before, state.recovery_max, &ends);
    scenario.fleet.say(&["delay 0ms"]);
    scenario.fleet.drain(&ends);
    let rebalanced = scenario.fleet.rebalances() - rebalances;
    let peak_mib = scenario.fleet.usage(0).peak_mib;
    scenario.fleet.stop(0);

    println!(
        "  lasted       {:.0?}, {during:.0} messages/s meanwhile, {rebalanced} rebalances\n\
         \x20 committed    {checked} messages at the end of it, all of them in the database\n\
         \x20 memory       {peak_mib} MiB at most, bound {} MiB\n\
         \x20 cpu          {:.1} % of a core\n\
         \x20 log          {} lines meanwhile\n\
         \x20 rate         {before:.0} messages/s before, {:.0} ({:.2} of it) from {:.1?} after its end; flows from {:.1?}",
        state.lasts,
        scenario.bound_mib,
        100.0 * cpu,
        said.len(),
        recovery.rate,
        recovery.rate / before,
        recovery.after,
        recovery.flows,
    );
    let ledger = scenario.messages.ledger(&scenario.fleet);
    ledger.tell();
    if state.forgets {
        // The lost records were written before.
        let ids = Messages::ids_between(&from, &ends);
        let found = scenario.fleet.read_as("all", &ids, |_| ());
        let lost = found.iter().filter(|there| there.is_none()).count();
        println!(
            "  forgotten    {} messages by the database; of {} behind them {lost} are lost",
            ledger.lost,
            ids.len()
        );
        assert_eq!((lost, ledger.last_wrong, ledger.unexpected), (0, 0, 0));
        assert!(ledger.lost > 0, "the database forgot nothing");
    } else {
        ledger.assert_balances();
    }
    println!("  took         {:.1?}", began.elapsed());
    let tell = || said.join("\n");
    assert_eq!(rebalanced, 0, "{}", scenario.fleet.tell());
    scenario.assert_memory(peak_mib);
    let lines_max = LINES_AT_ONCE + LINES_EACH_10_S * usize::try_from(state.lasts.as_secs()).unwrap() / 10;
    assert!(said.len() <= lines_max, "more than {lines_max} lines: {}", tell());
    assert!(
        said.iter().any(|line| line.contains(state.says)),
        "no line says {:?}: {}",
        state.says,
        tell()
    );
    match state.meanwhile {
        Meanwhile::Flows => assert!(flowed > 0, "nothing flowed: {}", tell()),
        Meanwhile::Waits => assert!(cpu <= CPU_MAX, "{cpu} of a core"),
    }
    assert!(
        recovery.rate >= RECOVERED * before,
        "{recovery:?} where {before:.0} messages/s had been"
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_database_that_is_20_ms_slower_is_written_to_at_its_pace() {
    runs_through(&State {
        meanwhile: Meanwhile::Flows,
        hinders_readers: true,
        ..State::new("20 ms slower", &["delay 40ms"], &["delay 20ms"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_database_that_is_200_ms_slower_is_written_to_at_its_pace() {
    runs_through(&State {
        meanwhile: Meanwhile::Flows,
        hinders_readers: true,
        ..State::new("200 ms slower", &["delay 220ms"], &["delay 20ms"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn an_overloaded_database_gets_every_row_in_the_end() {
    runs_through(&State {
        meanwhile: Meanwhile::Flows,
        says: "18",
        ..State::new("overloaded (18)", &["rows 18 20%"], &["clear", "delay 20ms"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_full_database_is_waited_for() {
    runs_through(&State {
        says: "code=8",
        // A namespace is probed at least every 10 seconds.
        recovery_max: Duration::from_secs(15),
        ..State::new("full (8)", &["stop-writes on"], &["stop-writes off"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_database_that_refuses_connections_for_long_is_waited_for() {
    runs_through(&State {
        hinders_readers: true,
        says: "state=waiting-for-aerospike",
        // Longer than every backoff, and than the client's own time-outs.
        lasts: away(),
        ..State::new("refusing connections", &["refuse"], &["accept"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_database_that_accepts_and_is_silent_is_waited_for() {
    runs_through(&State {
        hinders_readers: true,
        says: "state=waiting-for-aerospike",
        ..State::new("accepting and silent", &["stall"], &["unstall"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_database_that_breaks_off_its_answers_is_waited_for() {
    runs_through(&State {
        hinders_readers: true,
        says: "state=waiting-for-aerospike",
        ..State::new("resetting in mid-answer", &["reset 1000000000"], &["reset 0"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_node_that_is_gone_and_comes_back_costs_nothing() {
    runs_through(&State {
        nodes: "3",
        meanwhile: Meanwhile::Flows,
        ..State::new("one of three nodes gone", &["leave B2"], &["join B2"])
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_node_that_is_silent_for_long_and_comes_back_elsewhere_costs_nothing() {
    runs_through(&State {
        nodes: "3",
        meanwhile: Meanwhile::Flows,
        lasts: away(),
        ..State::new(
            "one of three nodes silent for long",
            &["leave B2 silent"],
            &["join B2 elsewhere"],
        )
    });
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_node_that_comes_back_empty_gets_everything_that_is_not_committed() {
    runs_through(&State {
        nodes: "3",
        meanwhile: Meanwhile::Flows,
        forgets: true,
        ..State::new(
            "one of three nodes gone, and back empty",
            &["leave B2 lossy"],
            &["join B2"],
        )
    });
}

/// A record that is always busy holds up its partition, but no other.
#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn a_hot_key_holds_no_other_partition_up() {
    let began = Instant::now();
    let mut scenario = scenario("a hot key", "1", 2 * WINDOW);
    let ends = scenario.messages.ends.clone();
    let (seed, partition) = seed_of_one_record(&scenario.messages);
    let others = |from: &[i64], to: &[i64]| -> i64 {
        (0..)
            .zip(from.iter().zip(to))
            .filter(|(of, _)| *of != partition)
            .map(|(_, (from, to))| to - from)
            .sum()
    };
    let rate = |scenario: &mut Scenario| {
        let (from, since) = (scenario.fleet.committed(), Instant::now());
        while since.elapsed() < WINDOW {
            // This does not wait for a condition: it is how long the rate is measured.
            thread::sleep(Duration::from_millis(200));
            assert!(scenario.fleet.all_run(), "it ended: {}", scenario.fleet.tell());
        }
        others(&from, &scenario.fleet.committed()) as f64 / since.elapsed().as_secs_f64()
    };
    scenario
        .fleet
        .wait("a stream of messages", |seen| seen.messages() > 5000);
    let before = rate(&mut scenario);
    scenario
        .fleet
        .say(&[&format!("records 14 {HOT_SHARE_PERCENT}% {seed}")]);
    let log = scenario.fleet.log(0).lines().count();
    let place = usize::try_from(partition).unwrap();
    let mut stuck = scenario.fleet.committed()[place];
    let mut since = Instant::now();
    scenario.fleet.wait("its partition to be held up", |seen| {
        if seen.committed[place] != stuck {
            (stuck, since) = (seen.committed[place], Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    });
    let during = rate(&mut scenario);
    assert_eq!(scenario.fleet.committed()[place], stuck, "its partition went on");
    let lines = scenario.fleet.log(0).lines().count() - log;
    scenario.fleet.say(&["clear"]);
    scenario.fleet.drain(&ends);
    scenario.fleet.stop(0);
    let ledger = scenario.messages.ledger(&scenario.fleet);
    println!(
        "  partition    {partition} is held up at {stuck} by one record\n\
         \x20 others       {before:.0} messages/s before, {during:.0} ({:.2} of it) meanwhile\n\
         \x20 log          {lines} lines meanwhile",
        during / before
    );
    ledger.tell();
    println!("  took         {:.1?}", began.elapsed());
    ledger.assert_balances();
    assert!(lines <= LINES_AT_ONCE, "{}", scenario.fleet.tell());
    assert!(
        during >= RECOVERED * before,
        "{during:.0} where {before:.0} messages/s had been"
    );
}

const HOT_SHARE_PERCENT: f64 = 0.0003;

/// A seed with which the simulator refuses exactly one record, that of a key's last message; and the key's partition.
fn seed_of_one_record(messages: &Messages) -> (u64, i32) {
    let sim = simulator();
    let faults = sim.faults();
    let digest = |set: &str, key: &String| Key::new("test", set, key.as_str().into()).unwrap().digest();
    let keys = messages.keys();
    let last: Vec<_> = keys.iter().map(|(key, _)| digest("last", key)).collect();
    let ids = Messages::ids_between(&vec![0; messages.ends.len()], &messages.ends);
    let rest: Vec<_> = keys
        .iter()
        .map(|(key, _)| digest("sums", key))
        .chain(ids.iter().map(|id| digest("all", id)))
        .collect();
    for seed in 0.. {
        faults.clear();
        faults.refuse_records(14, HOT_SHARE_PERCENT / 100.0, seed);
        let hot: BTreeSet<usize> = (0..last.len())
            .filter(|key| faults.refuses_record(&last[*key]))
            .collect();
        if hot.len() == 1 && !rest.iter().any(|digest| faults.refuses_record(digest)) {
            return (seed, keys[*hot.first().unwrap()].1);
        }
    }
    unreachable!("some seed does")
}
