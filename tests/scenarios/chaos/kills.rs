//! Scenario 1: the service is killed at random moments under load, and is restarted each time.

use std::time::Instant;

use fastrand::Rng;

use super::load::{Messages, ROUTES};
use crate::support::Kafka;
use crate::support::interrupted::{Interrupted, Scale, Source, Watched as _, number};

const PARTITIONS: i32 = 8;
const KEYS: usize = 500;
/// Small batches: many calls are in flight when the service is killed.
const RUN: &str = "batch_rows_max = 40\nwrite_timeout = \"300ms\"";
/// What a killed service has sent is applied. So at any moment some rows in hand must not be applied yet: refused for
/// now, or in a message that never arrived.
const FAULTS: [&str; 3] = ["delay 5ms", "rows 14 10%", "lose 0.5%"];

#[test]
#[ignore = "needs a Kafka broker: make test-chaos"]
fn nothing_is_lost_and_every_key_is_its_last_message_after_kills_at_random_moments() {
    let began = Instant::now();
    let kills = number("KILLS", 50);
    let scale = Scale::from_env(8000 * kills, kills);
    let mut rng = Rng::with_seed(scale.seed);
    let kafka = Kafka::real();
    let mut source = Source::new(&kafka, "kills", PARTITIONS);
    let mut messages = Messages::new(scale.seed, KEYS, PARTITIONS, 100);
    messages.send(&mut source, scale.messages);
    // Commits are frequent, so that a commit that comes too early is found; but not so frequent that the broker cannot
    // keep up.
    let mut interrupted = Interrupted::committing("100ms", &kafka, source, scale.seed, RUN, ROUTES);
    interrupted.say(&FAULTS);

    let mut early = 0;
    for kill in 0..scale.kills {
        interrupted.start();
        if rng.u8(..8) == 0 {
            // It was killed before anything was written, or just at that moment.
            early += 1;
            interrupted.wait_for_line(&["kafka: assigned"]);
        } else {
            // At a random place in each stretch, but not at the very end; not at the moment of a commit.
            let part = 0.9 * (kill as f64 + rng.f64()) / scale.kills as f64;
            let target = (interrupted.total() as f64 * part) as i64;
            interrupted.wait("the moment of the kill", |seen| seen.messages() >= target);
            let rows = interrupted.rows_sent() + rng.u64(1..2000);
            interrupted.wait("more rows", |seen| seen.rows >= rows);
        }
        assert!(
            interrupted.look().messages() < interrupted.total(),
            "the kill comes after the last message"
        );
        interrupted.kill();
    }
    interrupted.start();
    interrupted.drain();
    interrupted.say(&["clear"]);

    let ledger = messages.ledger(&interrupted);
    println!("\nkills: seed={} took {:.1?}", scale.seed, began.elapsed());
    println!(
        "  kills        {}, of which {early} as soon as partitions were assigned\n\
         \x20 rebalances   {} assignments",
        interrupted.happened.kills, interrupted.happened.assigned
    );
    ledger.tell();
    assert_eq!(interrupted.happened.kills, scale.kills);
    ledger.assert_balances();
    assert!(
        scale.kills < 10 || ledger.repeated_puts > 0,
        "no kill came between a write and its commit"
    );
}
