//! Design 6, by async-channel: the main thread polls, and N threads take messages from one bounded channel with several
//! receivers. Offsets are committed by the client, every five seconds.

use std::error::Error;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;

use crate::work::{BATCH, Form, Setup, Work};

const QUEUED: usize = 10_000;

pub fn run(setup: &Setup) -> Result<(), Box<dyn Error>> {
    let work = Work::new(setup)?;
    let consumer: BaseConsumer = setup.consumer(&[])?;
    let (sender, receiver) = async_channel::bounded(QUEUED);
    let size = if setup.form == Form::Single { 1 } else { BATCH };
    for number in 0..setup.workers() {
        let (work, receiver) = (work.clone(), receiver.clone());
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            // With batches, the first message takes along those that wait behind it.
            while let Ok(first) = receiver.recv_blocking() {
                let mut messages = vec![first];
                while messages.len() < size
                    && let Ok(next) = receiver.try_recv()
                {
                    messages.push(next);
                }
                work.write(&messages);
            }
        })?;
    }
    loop {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            sender.send_blocking(message?.detach())?;
        }
    }
}
