//! Design 2: polls up to 1,000 messages, shares them out over a pool of threads with rayon's `par_iter`, and stores their
//! offsets when all of them are written. (`commit_consumer_state` with `Async` instead would lose messages: librdkafka looks
//! at the stored offsets only later, and the next poll has moved them by then.)

use std::error::Error;
use std::time::Duration;

use rayon::prelude::*;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::BorrowedMessage;

use crate::work::{BATCH, Form, Setup, Work};

const POLLED: usize = 1000;

pub fn run(setup: &Setup) -> Result<(), Box<dyn Error>> {
    let work = Work::new(setup)?;
    let consumer: BaseConsumer = setup.consumer(&[("enable.auto.offset.store", "false")])?;
    // More threads than cores: they wait for the database most of the time.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(setup.workers()).build()?;
    // With batches, so many that each thread gets one.
    let polled = if setup.form == Form::Single {
        POLLED
    } else {
        BATCH * setup.workers()
    };
    loop {
        let messages = poll(&consumer, polled)?;
        pool.install(|| match setup.form {
            Form::Single => messages.par_iter().for_each(|message| work.write_one(message)),
            _ => messages.par_chunks(BATCH).for_each(|messages| work.write(messages)),
        });
        for message in &messages {
            consumer.store_offset_from_message(message)?;
        }
    }
}

/// What is there, up to `most` messages. Waits for the first one.
fn poll(consumer: &BaseConsumer, most: usize) -> Result<Vec<BorrowedMessage<'_>>, Box<dyn Error>> {
    let mut messages = Vec::with_capacity(most);
    let mut wait = Duration::from_secs(1);
    while messages.len() < most {
        match consumer.poll(wait) {
            Some(message) => messages.push(message?),
            None => break,
        }
        wait = Duration::ZERO;
    }
    Ok(messages)
}
