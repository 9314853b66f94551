//! A design in a process of its own, and its simulator: started, watched from outside, killed.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use penstock_sim::control_command;

use crate::common::cpu;
use crate::common::database::Database;
use crate::design::{CLOJURE, Design, SERVICE, service_config};
use crate::work::{Form, Setup};

/// How often a process is looked at.
pub const GLANCE: Duration = Duration::from_millis(20);

/// One measurement: a design in a form.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub design: &'static Design,
    pub form: Form,
}

impl Case {
    pub fn name(&self) -> String {
        format!("{} {}", self.design.id, self.form.name())
    }

    /// How many seconds after a kill the group still waits for the killed member, at most.
    pub fn session(&self) -> Duration {
        // The Java client's default.
        Duration::from_secs(if self.design.id == CLOJURE { 45 } else { 6 })
    }
}

/// Where results and logs go.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench")
}

/// The process.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// `group` tells apart all that run at once.
    pub fn start(case: Case, setup: &Setup) -> Result<Process, Box<dyn Error>> {
        let files = folder().join("designs");
        fs::create_dir_all(&files)?;
        let mut command = match case.design.id {
            SERVICE => {
                let config = files.join(format!("{}.toml", setup.group));
                fs::write(&config, service_config(setup))?;
                let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
                command.arg("run").arg(config);
                command
            }
            CLOJURE => {
                let mut command = Command::new(script());
                let workers = setup.workers().to_string();
                command.args([&setup.brokers, &setup.topic, &setup.group, &setup.hosts]);
                command.args([setup.form.name(), &workers]);
                command
            }
            id => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--run", id, "--form", setup.form.name(), "--kafka", &setup.brokers]);
                command.args([
                    "--topic",
                    &setup.topic,
                    "--group",
                    &setup.group,
                    "--hosts",
                    &setup.hosts,
                ]);
                command
            }
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(files.join(format!("{}.log", setup.group)))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Process(command.spawn()?))
    }

    /// Fails if the process has ended.
    pub fn check(&mut self) -> Result<(), String> {
        match self.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!(
                "it ended: {status}; its log is in {}",
                folder().join("designs").display()
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The CPU time so far, of all threads.
    pub fn cpu(&self) -> Duration {
        Duration::from_secs_f64(cpu::spent_us(self.0.id()).unwrap_or(0.0) / 1e6)
    }

    /// The most resident memory so far, in MiB.
    pub fn memory_peak_mib(&self) -> f64 {
        cpu::peak_rss(self.0.id()).unwrap_or(f64::NAN) / f64::from(1 << 20)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL. It also ends a measurement: no design has to drain what it read.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The script that starts the service in Clojure.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/designs/clojure.sh")
}

/// One of the simulator's answers.
fn ask(database: &Database, question: &str) -> Result<String, Box<dyn Error>> {
    match database {
        Database::Simulated { control, .. } => Ok(control_command(*control, question)?),
        Database::Real { .. } => Err("designs are measured with the simulator".into()),
    }
}

/// How many rows were written so far, repeated ones included.
pub fn rows_written(database: &Database) -> Result<u64, Box<dyn Error>> {
    let stats = ask(database, "stats")?;
    let writes = stats.split_whitespace().find_map(|word| word.strip_prefix("writes="));
    Ok(writes.ok_or(stats.clone())?.parse()?)
}

/// How many records there are.
pub fn records(database: &Database) -> Result<u64, Box<dyn Error>> {
    match ask(database, "count test events")?.trim() {
        // Nothing was written yet, so the set is not known.
        answer if answer.starts_with("error") => Ok(0),
        answer => Ok(answer.parse()?),
    }
}

/// Waits for so many rows. Returns when, and how many there are.
pub fn wait_for_rows(
    database: &Database,
    process: &mut Process,
    rows: u64,
    timeout: Duration,
) -> Result<(Instant, u64), Box<dyn Error>> {
    let deadline = Instant::now() + timeout;
    loop {
        let written = rows_written(database)?;
        if written >= rows {
            return Ok((Instant::now(), written));
        }
        process.check()?;
        if Instant::now() > deadline {
            return Err(format!("{written} of {rows} rows after {timeout:?}").into());
        }
        thread::sleep(GLANCE); // the pace of observation
    }
}
