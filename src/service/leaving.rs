//! The end of the service: it leaves the group, so that other members take over at once.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use rdkafka::consumer::Consumer as _;

use crate::config::model::Kafka;
use crate::kafka::Consumer;

/// How long one poll waits for callbacks while partitions are given back.
const GIVE_BACK_WAIT: Duration = Duration::from_millis(10);

/// Leaves the group, so that other members take over at once. `false` if the deadline passed first.
///
/// Dropping the consumer waits for the brokers without a limit. So another thread drops it, and this one can stop
/// waiting for that thread.
pub(super) fn leave_group(consumer: Arc<Consumer>, kafka: &Kafka, deadline: Instant) -> bool {
    let (sender, left) = bounded(1);
    consumer.context().set_leaving();
    let is_static = kafka.consumer_property("group.instance.id").is_some();
    let thread = thread::Builder::new().name("leave-group".into()).spawn(move || {
        // A static member that unsubscribes leaves the group: others would get its partitions before it returns.
        if !is_static {
            give_back(&consumer, deadline);
        }
        drop(consumer);
        let _ = sender.send(());
    });
    match thread {
        Ok(thread) => left.recv_deadline(deadline).is_ok() && thread.join().is_ok(),
        Err(_) => false,
    }
}

/// Unsubscribes and serves the rebalance callbacks that follow, before the consumer is closed. There are two reasons.
///
/// librdkafka 2.12.1 sends no LeaveGroup if it closes a member without partitions (`rdkafka_cgrp.c`: "consumer is
/// terminating, skipping rejoin"). The group then waits for this member until its session ends, and so do the commits
/// of all members that wait to join.
///
/// If a callback still waits at the close, the last callback can come when the group's part of the client has already
/// ended. rust-rdkafka then asks that part for its protocol, and gets no answer.
fn give_back(consumer: &Consumer, deadline: Instant) {
    consumer.unsubscribe();
    let has_partitions = || consumer.assignment().is_ok_and(|partitions| partitions.count() > 0);
    while has_partitions() && Instant::now() < deadline {
        // This process does not read this message. Kafka delivers it to the partition's next owner.
        drop(consumer.poll(GIVE_BACK_WAIT));
    }
}

/// Never drops what workers that did not end still use. The process ends soon.
#[expect(
    clippy::mem_forget,
    reason = "dropping it would wait for those workers, without a bound"
)]
pub(super) fn forget<T>(used: T) {
    std::mem::forget(used);
}
