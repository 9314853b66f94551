//! Design 5: a dedicated thread polls Kafka and hands messages to tasks through a bounded channel of tokio's. Offsets are
//! committed by the client, every five seconds. Three variants: messages in the channel, batches in the channel, and one
//! at a time, with the whole blocking loop inside `block_on`.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::message::OwnedMessage;
use tokio::sync::{Semaphore, mpsc};

use crate::work::{BATCH, Form, Setup, Work};

const QUEUED: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Messages,
    Batches,
    BlockOn,
}

pub fn run(setup: &Setup, variant: Variant) -> Result<(), Box<dyn Error>> {
    let work = Work::new(setup)?;
    let consumer: BaseConsumer = setup.consumer(&[])?;
    let size = if variant == Variant::Batches { BATCH } else { 1 };
    let (sender, receiver) = mpsc::channel(QUEUED / size);
    thread::spawn(move || poll(&consumer, &sender, size));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(receive(setup, work, variant, receiver))
}

/// The thread for Kafka. `blocking_send` is the back-pressure.
fn poll(consumer: &BaseConsumer, sender: &mpsc::Sender<Vec<OwnedMessage>>, size: usize) {
    loop {
        let mut messages = Vec::with_capacity(size);
        while messages.len() < size {
            match consumer.poll(Duration::from_millis(if messages.is_empty() { 1000 } else { 0 })) {
                Some(Ok(message)) => messages.push(message.detach()),
                Some(Err(error)) => eprintln!("kafka: {error}"),
                None => break,
            }
        }
        if !messages.is_empty() && sender.blocking_send(messages).is_err() {
            return;
        }
    }
}

async fn receive(
    setup: &Setup,
    work: Arc<Work>,
    variant: Variant,
    mut receiver: mpsc::Receiver<Vec<OwnedMessage>>,
) -> Result<(), Box<dyn Error>> {
    let permits = Arc::new(Semaphore::new(setup.workers()));
    // With single messages in the channel, a batch is what `recv_many` finds in it.
    let is_one = setup.form == Form::Single || variant == Variant::Batches;
    let received = if is_one { 1 } else { BATCH };
    let mut messages = Vec::new();
    while receiver.recv_many(&mut messages, received).await > 0 {
        let batch = std::mem::take(&mut messages).concat();
        if variant == Variant::BlockOn {
            work.write(&batch);
            continue;
        }
        let permit = permits.clone().acquire_owned().await?;
        let work = work.clone();
        tokio::task::spawn_blocking(move || {
            work.write(&batch);
            drop(permit);
        });
    }
    Ok(())
}
