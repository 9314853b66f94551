//! Rate and CPU: a design runs over the beginning of a long topic, and is measured for some seconds from outside.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::database::Database;
use crate::process::{Case, GLANCE, Process, rows_written, wait_for_rows};
use crate::work::Setup;

const START_MAX: Duration = Duration::from_secs(90);

/// How long one round measures.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub warm: Duration,
    pub window: Duration,
}

/// The topic: its messages, and how many of them become rows.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub messages: u64,
    pub rows: u64,
}

/// One round.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub messages_per_s: f64,
    pub cpu_us: f64,
}

pub fn measure(case: Case, setup: &Setup, amount: Amount, span: Span) -> Result<Rate, Box<dyn Error>> {
    let database = Database::start(None)?;
    let setup = Setup {
        hosts: database.hosts().to_owned(),
        ..setup.clone()
    };
    let mut process = Process::start(case, &setup)?;
    wait_for_rows(&database, &mut process, 1, START_MAX)?;
    // What is measured begins behind the warm-up, which must leave most of the topic to a design that is fast.
    let (warm, begun) = (span.warm * case.design.warm, Instant::now());
    while begun.elapsed() < warm && rows_written(&database)? < amount.rows * 3 / 10 {
        thread::sleep(GLANCE); // the pace of observation
        process.check()?;
    }
    // The topic's end is not measured: some partitions end earlier than others.
    let last = amount.rows * 9 / 10;
    let (rows_before, cpu_before, began) = (rows_written(&database)?, process.cpu(), Instant::now());
    loop {
        thread::sleep(GLANCE); // the pace of observation
        process.check()?;
        let (rows, cpu, took) = (rows_written(&database)?, process.cpu(), began.elapsed());
        if rows < last && took < span.window {
            continue;
        }
        if rows_before >= last {
            return Err("the topic is too short for this design".into());
        }
        let messages = (rows - rows_before) as f64 * amount.messages as f64 / amount.rows as f64;
        return Ok(Rate {
            messages_per_s: messages / took.as_secs_f64(),
            cpu_us: (cpu - cpu_before).as_secs_f64() * 1e6 / messages,
        });
    }
}
