//! Design 4: the shape of rust-rdkafka's example `asynchronous_processing`: `num_workers` tasks, each with a consumer of its
//! own. Each message is detached and becomes a task, which uses `spawn_blocking`. Nothing bounds how many there are. The
//! example commits nothing; here the client commits, every five seconds.

use std::error::Error;
use std::sync::Arc;

use crate::spawn_blocking::receive;
use crate::tasks::Stream;
use crate::work::{BATCH, Form, Setup, Work};

/// As many as there are partitions.
const NUM_WORKERS: usize = 8;

pub fn run(setup: &Setup) -> Result<(), Box<dyn Error>> {
    let work = Work::new(setup)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // The default is 512, with which the writes only wait for each other.
        .max_blocking_threads(setup.workers())
        .build()?;
    runtime.block_on(async {
        let mut workers = Vec::new();
        for _ in 0..NUM_WORKERS {
            let (setup, work) = (setup.clone(), work.clone());
            workers.push(tokio::spawn(async move {
                run_async_processor(&setup, work)
                    .await
                    .map_err(|error| error.to_string())
            }));
        }
        for worker in workers {
            worker.await??;
        }
        Ok(())
    })
}

async fn run_async_processor(setup: &Setup, work: Arc<Work>) -> Result<(), Box<dyn Error>> {
    let consumer: Stream = setup.consumer(&[])?;
    let size = if setup.form == Form::Single { 1 } else { BATCH };
    loop {
        let messages = receive(&consumer, size).await?;
        let work = work.clone();
        tokio::spawn(async move {
            let written = tokio::task::spawn_blocking(move || work.write(&messages)).await;
            written.expect("failed to wait for the write");
        });
    }
}
