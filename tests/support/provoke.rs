//! Makes happen in a running service what Kafka's clients, or a bug of ours, do at their worst.

use std::ffi::CString;
use std::sync::{Arc, Mutex};

use penstock::kafka::{Consumer, Partition};
use penstock::partition::hooks::Hooks;
use rdkafka::bindings as sys;
use rdkafka::consumer::Consumer as _;

/// What is asked for and has not happened yet. Clones share it.
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
    /// What is in the partition's queue goes to the main queue, as after a split that came too late; what is fetched from
    /// then on comes to the partition's queue again. To be asked for while its worker does not look into the queue.
    pub fn strays(&self, topic: &str, number: i32) {
        self.0.lock().unwrap().strays.push(partition(topic, number));
    }

    /// The worker of this partition panics at its next batch, as a bug of ours would make it.
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
    // SAFETY: both are alive. Forwarding moves what is in the queue.
    unsafe { sys::rd_kafka_queue_forward(queue, main) };
    // SAFETY: alive; without a destination the queue is on its own again.
    unsafe { sys::rd_kafka_queue_forward(queue, std::ptr::null_mut()) };
    // SAFETY: ours, and not used after this.
    unsafe { sys::rd_kafka_queue_destroy(queue) };
    // SAFETY: ours, and not used after this.
    unsafe { sys::rd_kafka_queue_destroy(main) };
}
