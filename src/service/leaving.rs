//! The end: the group is left, so that others take over at once.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use rdkafka::consumer::Consumer as _;

use crate::config::model::Kafka;
use crate::kafka::Consumer;

/// How long one poll for callbacks waits while partitions are given back.
const GIVE_BACK_WAIT: Duration = Duration::from_millis(10);

/// Leaves the group, so that others take over at once; `false` when the deadline passed first.
///
/// The drop waits for the brokers without a bound, so it happens where it can be left behind.
pub(super) fn leave_group(consumer: Arc<Consumer>, kafka: &Kafka, deadline: Instant) -> bool {
    let (sender, left) = bounded(1);
    consumer.context().set_leaving();
    let is_static = kafka.consumer_property("group.instance.id").is_some();
    let thread = thread::Builder::new().name("leave-group".into()).spawn(move || {
        // Unsubscribed, a static member would leave, and its partitions be another's before it is back.
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

/// Unsubscribes, and serves the rebalance callbacks that follow, before the consumer is closed. librdkafka 2.12.1 sends no
/// LeaveGroup for a member without partitions that is closed (`rdkafka_cgrp.c`: "consumer is terminating, skipping
/// rejoin"), and the group waits for it until its session ends, with the commits of all who wait to join behind it. And
/// where a callback was still waiting at the close, the last one can come when the group's part of the client has ended,
/// and rust-rdkafka then asks it for its protocol and gets no answer.
fn give_back(consumer: &Consumer, deadline: Instant) {
    consumer.unsubscribe();
    let has_partitions = || consumer.assignment().is_ok_and(|partitions| partitions.count() > 0);
    while has_partitions() && Instant::now() < deadline {
        // Nobody here reads this message: Kafka delivers it to the next owner.
        drop(consumer.poll(GIVE_BACK_WAIT));
    }
}

/// Keeps alive what workers that did not end still use; the process ends soon.
#[expect(
    clippy::mem_forget,
    reason = "dropping it would wait for those workers, without a bound"
)]
pub(super) fn forget<T>(used: T) {
    std::mem::forget(used);
}
