//! The real program, `penstock run`, as a process of its own, with a database of its own.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use parking_lot::Mutex;

use crate::common::cpu;
use crate::common::database::Database;
use crate::common::machine::broker_process;
use crate::metrics::Metrics;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(300);
/// How often progress is looked at. Each look makes the service render all its metrics. Every 20 ms, that took some 2 % of
/// its CPU with 64 partitions.
const GLANCE: Duration = Duration::from_millis(50);
const LINES_KEPT: usize = 3;

/// Where everything is.
#[derive(Debug)]
pub struct Place {
    pub brokers: String,
    /// Addresses of a real cluster. `None`: a simulator for each run.
    pub hosts: Option<String>,
    /// Part of the names of topics and groups: other runs have other names.
    pub name: String,
}

impl Place {
    /// The configuration without its rules.
    pub fn configuration(&self, topic: &str, group: &str, hosts: &str) -> String {
        format!(
            "[kafka]\nbrokers = \"{}\"\ntopics = [\"{topic}\"]\ngroup = \"{group}\"\n[aerospike]\nhosts = \"{hosts}\"\n\
             namespace = \"test\"\n",
            self.brokers
        )
    }
}

/// CPU time since the start of each process, in microseconds. `None`: it is not on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    pub service: Option<f64>,
    pub broker: Option<f64>,
    pub database: Option<f64>,
}

impl Spent {
    /// By message. NaN: not known.
    pub fn since(self, earlier: Spent, messages: f64) -> [f64; 3] {
        let share = |now: Option<f64>, then: Option<f64>| match (now, then) {
            (Some(now), Some(then)) => (now - then) / messages,
            _ => f64::NAN,
        };
        [
            share(self.service, earlier.service),
            share(self.broker, earlier.broker),
            share(self.database, earlier.database),
        ]
    }
}

/// The time of the database's process, if it is a simulator.
pub fn spent_by(database: &Database) -> Option<f64> {
    match database {
        Database::Simulated { child, .. } => cpu::spent_us(child.id()),
        Database::Real { .. } => None,
    }
}

pub fn spent_by_broker() -> Option<f64> {
    broker_process().and_then(cpu::spent_us)
}

/// The running program.
pub struct Program {
    child: Child,
    pub database: Database,
    address: SocketAddr,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Program {
    pub fn start(place: &Place, topic: &str, group: &str, rules: &str) -> Result<Program, Box<dyn Error>> {
        let database = Database::start(place.hosts.as_deref())?;
        let head = place.configuration(topic, group, database.hosts());
        let mut child = Command::new(env!("CARGO_BIN_EXE_penstock"))
            .args(["run", "-", "--quiet"])
            .env("PENSTOCK_LOG", "warn,penstock::web=info,librdkafka=off")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            write!(stdin, "{head}[http]\nlisten = \"127.0.0.1:0\"\n{rules}")?;
        }
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let heard = listen(&mut child, said.clone());
        let Ok(address) = heard.recv_timeout(START_TIMEOUT) else {
            let _ = child.kill();
            let status = child.wait()?;
            return Err(format!("the service does not start: {status}\n{}", last(&said)).into());
        };
        Ok(Program {
            child,
            database,
            address,
            said,
        })
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn metrics(&self) -> Result<Metrics, Box<dyn Error>> {
        Metrics::ask(self.address).map_err(|error| format!("{error}\n{}", last(&self.said)).into())
    }

    pub fn spent(&self) -> Spent {
        Spent {
            service: cpu::spent_us(self.child.id()),
            broker: spent_by_broker(),
            database: spent_by(&self.database),
        }
    }

    /// Waits until the metrics are as they should be. Returns them, with the moment at which they were so.
    pub fn wait(&self, is_there: impl Fn(&Metrics) -> bool) -> Result<(Instant, Metrics), Box<dyn Error>> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let metrics = self.metrics()?;
            if is_there(&metrics) {
                return Ok((Instant::now(), metrics));
            }
            if Instant::now() > deadline || metrics.get("messages_held_total") > 0.0 {
                return Err(format!(
                    "{} messages are done, and no more\n{}",
                    metrics.done(),
                    last(&self.said)
                )
                .into());
            }
            thread::sleep(GLANCE); // the pace of observation
        }
    }

    /// Ends it in order, as a supervisor does.
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        let kill = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status()?;
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the service ended with {status}\n{}", last(&self.said)).into()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the last lines of the log. The returned channel gets the address of the endpoints.
fn listen(child: &mut Child, said: Arc<Mutex<VecDeque<String>>>) -> Receiver<SocketAddr> {
    let (tell, heard) = bounded(1);
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let address = line.split_once("listening address=http://");
                if let Some(Ok(address)) = address.map(|(_, rest)| rest.trim_end_matches('/').parse()) {
                    let _ = tell.try_send(address);
                }
                let mut said = said.lock();
                if said.len() == LINES_KEPT {
                    said.pop_front();
                }
                said.push_back(line);
            }
        });
    }
    heard
}

fn last(said: &Mutex<VecDeque<String>>) -> String {
    said.lock().iter().map(|line| format!("  {line}\n")).collect()
}
