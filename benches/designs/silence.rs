//! Memory and losses: the database falls silent while a design works, for longer than the client takes to commit. Then the
//! design is killed (SIGKILL), the database speaks again, and the design starts anew in the same group. What is missing
//! after that was committed before it was written.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::database::Database;
use crate::process::{Case, GLANCE, Process, records, rows_written, wait_for_rows};
use crate::work::Setup;

const START_MAX: Duration = Duration::from_secs(120);
/// The database falls silent after this share of the topic.
const BEFORE_PERCENT: u64 = 5;
/// The second start is over when no row comes for so long, and the group no longer waits for the killed member.
const IDLE_MAX: Duration = Duration::from_secs(8);
const END_MAX: Duration = Duration::from_secs(240);

#[derive(Debug, Clone, Copy)]
pub struct Silence {
    pub memory_peak_mib: f64,
    pub lost: u64,
}

/// `rows`: how many records the topic makes, each from one message.
pub fn measure(case: Case, setup: &Setup, rows: u64, lasts: Duration) -> Result<Silence, Box<dyn Error>> {
    let database = Database::start(None)?;
    let setup = Setup {
        hosts: database.hosts().to_owned(),
        ..setup.clone()
    };
    let mut process = Process::start(case, &setup)?;
    wait_for_rows(&database, &mut process, rows * BEFORE_PERCENT / 100, START_MAX)?;
    database.fall_silent()?;
    thread::sleep(lasts); // what is measured
    process.check()?;
    let memory_peak_mib = process.memory_peak_mib();
    drop(process);
    database.speak()?;

    let mut process = Process::start(case, &setup)?;
    let began = Instant::now();
    let (mut written, mut moved) = (rows_written(&database)?, began);
    loop {
        let present = records(&database)?;
        let is_idle = moved.elapsed() > IDLE_MAX && began.elapsed() > case.session() + IDLE_MAX;
        if present >= rows || is_idle {
            return Ok(Silence {
                memory_peak_mib,
                lost: rows.saturating_sub(present),
            });
        }
        process.check()?;
        if began.elapsed() > END_MAX {
            return Err(format!("{present} of {rows} records after {END_MAX:?}, and it still writes").into());
        }
        thread::sleep(5 * GLANCE); // the pace of observation
        let now = rows_written(&database)?;
        if now != written {
            (written, moved) = (now, Instant::now());
        }
    }
}
