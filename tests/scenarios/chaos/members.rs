//! Scenario 2: three members join, leave, are killed and are restarted one after another while messages flow. With each
//! strategy for assigning partitions.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::fleet::Fleet;
use super::load::{Messages, ROUTES};
use crate::support::interrupted::{Scale, Source, Watched as _, number};
use crate::support::process::SimProgram;
use crate::support::{Kafka, Setup};

const PARTITIONS: i32 = 12;
const KEYS: usize = 300;
const MEMBERS: usize = 3;
const RUN: &str = "batch_rows_max = 50\nwrite_timeout = \"1s\"";
/// A killed member is a member until its session ends. The broker's own sessions (`group.protocol=consumer`) are as
/// long.
const SESSION: &str = "session.timeout.ms = 6000\nheartbeat.interval.ms = 500\n";
/// How far the producer may be ahead: there is always a backlog, but none that takes long at the end.
const LEAD_MAX: i64 = 10_000;

/// The actions on the members, and how often each was done.
#[derive(Debug, Default)]
struct Actions {
    joins: u64,
    leaves: u64,
    kills: u64,
    rolls: u64,
}

/// Set when dropped, so that the producer also ends if a test fails.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Produces until `enough` is set, and is never far ahead of what is committed.
fn produce(messages: &mut Messages, source: &mut Source, committed: &AtomicI64, enough: &AtomicBool) {
    while !enough.load(Ordering::Relaxed) {
        if messages.total() - committed.load(Ordering::Relaxed) < LEAD_MAX {
            messages.send(source, 200);
        } else {
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// Does one more action in mid-stream.
fn act(fleet: &mut Fleet, actions: &mut Actions, rng: &mut Rng) {
    let (running, idle): (Vec<usize>, Vec<usize>) = (0..MEMBERS).partition(|member| fleet.runs(*member));
    let some = |of: &[usize], rng: &mut Rng| of[rng.usize(..of.len())];
    if idle.len() >= running.len() || (!idle.is_empty() && rng.bool()) {
        fleet.start(some(&idle, rng));
        actions.joins += 1;
        return;
    }
    match rng.u8(..8) {
        0..=2 => {
            fleet.stop(some(&running, rng));
            actions.leaves += 1;
        }
        3..=6 => {
            fleet.kill(some(&running, rng));
            actions.kills += 1;
        }
        _ => {
            // Sometimes waits for the next state, sometimes not.
            let waits = rng.bool();
            for member in running {
                fleet.stop(member);
                fleet.start(member);
                if waits {
                    fleet.wait("it to have partitions", |seen| seen.owned[member] > 0);
                }
            }
            actions.rolls += 1;
        }
    }
}

fn members_come_and_go(name: &str, consumer: &str) {
    let began = Instant::now();
    let scale = Scale::from_env(0, 0);
    let how_long = Duration::from_secs(number("MEMBERS_S", 120));
    println!("\nmembers, {name}: seed={}", scale.seed);
    let mut rng = Rng::with_seed(scale.seed);
    let kafka = Kafka::real();
    let mut source = Source::new(&kafka, "members", PARTITIONS);
    let sim = SimProgram::start(&["--seed", &scale.seed.to_string()]);
    let setup = Setup::new(&kafka, &source.topic, sim.addr)
        .run(RUN)
        .consumer(consumer)
        .routes(ROUTES);
    let mut fleet = Fleet::new(sim, source.topic.clone(), &setup, MEMBERS);
    let mut messages = Messages::new(scale.seed, KEYS, PARTITIONS, 100);
    let mut actions = Actions::default();
    // Calls are in flight at any moment.
    fleet.say(&["delay 10ms"]);
    let (committed, enough) = (AtomicI64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let enough = Enough(&enough);
        scope.spawn(|| produce(&mut messages, &mut source, &committed, enough.0));
        fleet.start(0);
        while began.elapsed() < how_long {
            // Mostly some messages come in between, sometimes none.
            let more = [0, 0, 500, 3000, 10_000][rng.usize(..5)];
            let target = fleet.look().messages() + more;
            fleet.wait("messages to flow", |seen| {
                committed.store(seen.messages(), Ordering::Relaxed);
                seen.messages() >= target
            });
            act(&mut fleet, &mut actions, &mut rng);
        }
        for member in 0..MEMBERS {
            if !fleet.runs(member) {
                fleet.start(member);
            }
        }
    });
    source.flush();
    let partitions = i64::from(PARTITIONS);
    let members = i64::try_from(MEMBERS).unwrap();
    fleet.wait(
        "everything to be committed, and the partitions to be shared out",
        |seen| seen.committed == messages.ends && seen.owned.iter().all(|owned| *owned == partitions / members),
    );
    for member in 0..MEMBERS {
        fleet.stop(member);
    }
    let ledger = messages.ledger(&fleet);
    println!(
        "  members      {} joined, {} left, {} killed, {} times all were rolled\n\
         \x20 rebalances   {} times partitions were assigned or taken away",
        actions.joins,
        actions.leaves,
        actions.kills,
        actions.rolls,
        fleet.rebalances()
    );
    ledger.tell();
    println!("  took         {:.1?}", began.elapsed());
    assert_eq!(fleet.committed(), messages.ends);
    assert_eq!(fleet.lines("outside of its partition's queue"), 0, "{}", fleet.tell());
    ledger.assert_balances();
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn nothing_is_lost_while_members_come_and_go_where_every_rebalance_takes_all_partitions() {
    members_come_and_go(
        "range",
        &format!("{SESSION}\"partition.assignment.strategy\" = \"range\""),
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn nothing_is_lost_while_members_come_and_go_where_partitions_move_one_by_one() {
    members_come_and_go(
        "cooperative-sticky",
        &format!("{SESSION}\"partition.assignment.strategy\" = \"cooperative-sticky\""),
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn nothing_is_lost_while_members_come_and_go_where_the_brokers_share_out() {
    members_come_and_go("group.protocol=consumer", "\"group.protocol\" = \"consumer\"");
}
