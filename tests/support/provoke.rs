//! Triggers in a running service the worst that Kafka's clients, or a bug of ours, can do.

use std::ffi::CString;
use std::sync::{Arc, Mutex};

use penstock::kafka::{Consumer, Partition};
use penstock::partition::hooks::Hooks;
use rdkafka::bindings as sys;
use rdkafka::consumer::Consumer as _;

/// What was requested and has not happened yet. Clones share it.
#[derive(Clone, Default)]
pub struct Provoked(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    strays: Vec<Partition>,
    panics: Vec<Partition>,
}

fn partition(topic: &str, number: i32) -> Partition {
    Partition {
        topic: topic.into(),
        number,
    }
}

impl Provoked {
    /// Moves the partition's queue to the main queue, as after a split that came too late. Messages fetched later come
    /// to the partition's queue again. Call it only while the worker does not read the queue.
    pub fn strays(&self, topic: &str, number: i32) {
        self.0.lock().unwrap().strays.push(partition(topic, number));
    }

    /// Makes the worker of this partition panic at its next batch, as a bug of ours would.
    pub fn panic_in(&self, topic: &str, number: i32) {
        self.0.lock().unwrap().panics.push(partition(topic, number));
    }
}

impl Hooks for Provoked {
    fn polled(&self, consumer: &Consumer, reads: &dyn Fn(&Partition) -> bool) {
        let (mine, others): (Vec<Partition>, Vec<Partition>) = self.0.lock().unwrap().strays.drain(..).partition(reads);
        self.0.lock().unwrap().strays.extend(others);
        for partition in mine {
            forward_and_split(consumer, &partition);
        }
    }

    fn batch_in_hand(&self, partition: &Partition) {
        let is_asked_for = {
            let panics = &mut self.0.lock().unwrap().panics;
            let before = panics.len();
            panics.retain(|asked| asked != partition);
            panics.len() < before
        };
        assert!(!is_asked_for, "provoked in {partition}");
    }
}

fn forward_and_split(consumer: &Consumer, partition: &Partition) {
    let topic = CString::new(&*partition.topic).unwrap();
    let native = consumer.client().native_ptr();
    // SAFETY: the client and the name are alive; the queue is destroyed below.
    let queue = unsafe { sys::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition.number) };
    // SAFETY: the client is alive; the queue is destroyed below.
    let main = unsafe { sys::rd_kafka_queue_get_consumer(native) };
    assert!(!queue.is_null() && !main.is_null(), "the partition is assigned");
    // SAFETY: both are alive. Forwarding moves the content of the queue.
    unsafe { sys::rd_kafka_queue_forward(queue, main) };
    // SAFETY: it is alive. Without a destination, the queue is separate again.
    unsafe { sys::rd_kafka_queue_forward(queue, std::ptr::null_mut()) };
    // SAFETY: we own it, and do not use it after this.
    unsafe { sys::rd_kafka_queue_destroy(queue) };
    // SAFETY: we own it, and do not use it after this.
    unsafe { sys::rd_kafka_queue_destroy(main) };
}
