//! Design 1: one loop. The offset of a message is stored after its write, and committed every five seconds.

use std::error::Error;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::work::{BATCH, Form, Setup, Work};

pub fn run(setup: &Setup) -> Result<(), Box<dyn Error>> {
    let work = Work::new(setup)?;
    let consumer: BaseConsumer = setup.consumer(&[("enable.auto.offset.store", "false")])?;
    let size = if setup.form == Form::Single { 1 } else { BATCH };
    loop {
        // The first message is waited for, and those that are there already join it.
        let Some(first) = consumer.poll(Duration::from_secs(1)) else {
            continue;
        };
        let mut messages = vec![first?];
        while messages.len() < size {
            match consumer.poll(Duration::ZERO) {
                Some(message) => messages.push(message?),
                None => break,
            }
        }
        work.write(&messages);
        for message in &messages {
            consumer.store_offset_from_message(message)?;
        }
    }
}
