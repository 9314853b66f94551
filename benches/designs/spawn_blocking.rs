//! Design 3: an async consumer, and a `spawn_blocking` for each message. A semaphore bounds how many there are. Offsets
//! are committed by the client, every five seconds.

use std::error::Error;
use std::sync::Arc;

use rdkafka::message::OwnedMessage;
use tokio::sync::Semaphore;

use crate::tasks::Stream;
use crate::work::{BATCH, Form, Setup, Work};

pub fn run(setup: &Setup) -> Result<(), Box<dyn Error>> {
    let work = Work::new(setup)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(consume(setup, work))
}

async fn consume(setup: &Setup, work: Arc<Work>) -> Result<(), Box<dyn Error>> {
    let consumer: Stream = setup.consumer(&[])?;
    let permits = Arc::new(Semaphore::new(setup.workers()));
    let size = if setup.form == Form::Single { 1 } else { BATCH };
    loop {
        let messages = receive(&consumer, size).await?;
        let permit = permits.clone().acquire_owned().await?;
        let work = work.clone();
        tokio::task::spawn_blocking(move || {
            work.write(&messages);
            drop(permit);
        });
    }
}

/// The next message, and with batches those that are there already.
pub async fn receive(consumer: &Stream, size: usize) -> Result<Vec<OwnedMessage>, Box<dyn Error>> {
    let mut messages = vec![consumer.recv().await?.detach()];
    while messages.len() < size {
        tokio::select! {
            biased;
            message = consumer.recv() => messages.push(message?.detach()),
            () = std::future::ready(()) => break,
        }
    }
    Ok(messages)
}
