//! For tests alone (feature `sim`): makes happen in a running service what Kafka's clients do at their worst.

use log::info;
use parking_lot::Mutex;
use rdkafka::bindings as sys;
use rdkafka::consumer::Consumer as _;
use std::ffi::CString;

use super::{Consumer, Partition};

static STRAYS: Mutex<Vec<Partition>> = Mutex::new(Vec::new());

/// What is in the partition's queue goes to the main queue, as after a split that came too late; what is fetched from
/// then on comes to the partition's queue again. To be asked for while its worker does not look into the queue.
pub fn strays(topic: &str, number: i32) {
    STRAYS.lock().push(Partition {
        topic: topic.into(),
        number,
    });
}

static PANICS: Mutex<Vec<Partition>> = Mutex::new(Vec::new());

/// The worker of this partition panics at its next batch, as a bug of ours would make it.
pub fn panic_in(topic: &str, number: i32) {
    PANICS.lock().push(Partition {
        topic: topic.into(),
        number,
    });
}

/// Called by a worker with a batch in hand.
///
/// # Panics
/// When it was asked for.
#[expect(clippy::panic, reason = "what it is there for")]
pub fn panic_where_asked_for(partition: &Partition) {
    let is_asked_for = {
        let mut panics = PANICS.lock();
        let before = panics.len();
        panics.retain(|asked| asked != partition);
        panics.len() < before
    };
    if is_asked_for {
        panic!("provoked in {partition}");
    }
}

/// Does what was asked for of partitions that this process reads. Called by the main thread.
pub fn serve(consumer: &Consumer) {
    let mine: Vec<Partition> = {
        let mut strays = STRAYS.lock();
        let reads = |partition: &Partition| consumer.context().workers().has(partition);
        let (mine, others) = strays.drain(..).partition(reads);
        *strays = others;
        mine
    };
    for partition in mine {
        info!("provoked: strays {partition}");
        forward_and_split(consumer, &partition);
    }
}

fn forward_and_split(consumer: &Consumer, partition: &Partition) {
    let Ok(topic) = CString::new(&*partition.topic) else {
        return;
    };
    let native = consumer.client().native_ptr();
    // SAFETY: the client and the name are alive; the queue is destroyed below.
    let queue = unsafe { sys::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition.number) };
    // SAFETY: the client is alive; the queue is destroyed below.
    let main = unsafe { sys::rd_kafka_queue_get_consumer(native) };
    assert!(!queue.is_null() && !main.is_null(), "the partition is assigned");
    // SAFETY: both are alive. Forwarding moves what is in the queue.
    unsafe { sys::rd_kafka_queue_forward(queue, main) };
    // SAFETY: alive; without a destination the queue is on its own again.
    unsafe { sys::rd_kafka_queue_forward(queue, std::ptr::null_mut()) };
    // SAFETY: ours, and not used after this.
    unsafe { sys::rd_kafka_queue_destroy(queue) };
    // SAFETY: ours, and not used after this.
    unsafe { sys::rd_kafka_queue_destroy(main) };
}
