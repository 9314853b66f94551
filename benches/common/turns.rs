//! The service over the messages of a topic, in a process of its own, so that it can be stopped and continued.
//!
//! Two services that are compared run in turns, a slice of time each. The speed of a shared machine changes by a fifth
//! within seconds; so both experience the same changes. The service whose turn it is not is stopped (SIGSTOP), and its
//! time does not count. What the broker does for a service falls into that service's turn, except for requests in
//! flight at the end of the turn.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use penstock::config;
use penstock::observe::counters::Counters;
use penstock::observe::seen::Seen;
use penstock::service::supervisor;
use penstock::util::exit::Exit;
use penstock::util::stop::{Stop, StopKind};
use penstock::web;

use super::cpu::{self, CpuShares, CpuTimes};
use super::database::Database;

/// The argument with which this program runs as the service.
const SERVICE_ARGUMENT: &str = "--service";
/// Long compared with what is in flight when a turn ends (a large message takes a tenth of a second), and short
/// compared with the time for which the machine stays fast or slow.
const SLICE: Duration = Duration::from_millis(400);
const DEADLINE: Duration = Duration::from_secs(300);
/// Counting begins after the start, because a producer must first get its id from the broker, and caches are cold. It
/// ends before the end, because some partitions finish later than others.
const BEGIN_PERCENT: u64 = 10;
const END_PERCENT: u64 = 95;

/// The results of one run.
#[derive(Debug)]
pub struct Run {
    pub messages_per_second: f64,
    /// CPU time of the service's process per message.
    pub cpu_us: f64,
    /// CPU time by thread.
    pub cpu_shares: CpuShares,
    pub totals: Totals,
}

/// The counters at the end: those of [`Counters::account`], by their names.
#[derive(Debug, Clone, Default)]
pub struct Totals(BTreeMap<String, u64>);

impl Totals {
    fn read(account: &str) -> Option<Totals> {
        let totals = account.split(' ').map(|counter| {
            let (name, value) = counter.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        totals.collect::<Option<_>>().map(Totals)
    }

    pub fn get(&self, name: &str) -> Result<u64, String> {
        let total = self.0.get(name).copied();
        total.ok_or_else(|| format!("the account has no {name}"))
    }
}

// ---- the process of the service

/// Runs this process as the service. Reads its configuration from standard input and consumes all messages of a topic
/// to which nobody else produces. Prints when counting begins and ends.
pub fn run_service(messages: u64) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    let config = config::parse(&text, "turns.toml").map_err(|faults| faults.to_string())?;
    let stop = Stop::new();
    let counters = Arc::new(Counters::new());
    let seen = Seen::from(&counters);
    let _endpoints = web::start(&config, &seen).map_err(|exit| format!("no endpoints: {exit:?}"))?;
    let service = {
        let stop = stop.clone();
        thread::spawn(move || supervisor::run(&config, &stop, &seen))
    };
    let deadline = Instant::now() + DEADLINE;
    let wait_for = |count: u64, of: fn(&Counters) -> u64| {
        while of(&counters) < count {
            if service.is_finished() || Instant::now() > deadline {
                return Err(format!("{} of {count} messages: {}", of(&counters), counters.account()));
            }
            thread::sleep(Duration::from_millis(1)); // the pace of observation
        }
        Ok(of(&counters))
    };
    // At both ends, consumed messages are counted, not finished ones: those come in bursts, with the acknowledgements.
    println!("begin {}", wait_for(messages * BEGIN_PERCENT / 100, consumed)?);
    println!("end {}", wait_for(messages * END_PERCENT / 100, consumed)?);
    wait_for(messages, done)?;
    stop.request(StopKind::Drain);
    let exit = service.join().map_err(|_| "the service panicked")?;
    if exit != Exit::Stopped {
        return Err(format!("the service ended with {exit:?}").into());
    }
    println!("done {}", counters.account());
    Ok(())
}

fn consumed(counters: &Counters) -> u64 {
    counters.messages_consumed.get()
}

/// Number of finished messages, whatever their outcome.
fn done(counters: &Counters) -> u64 {
    counters.messages_written.get() + counters.messages_filtered.get() + counters.messages_dead_lettered.get()
}

// ---- and the one that watches it

/// What a service does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work<'a> {
    pub brokers: &'a str,
    pub topic: &'a str,
    pub group: &'a str,
    pub messages: u64,
    /// Addresses of a real cluster. `None`: a simulator of its own.
    pub hosts: Option<&'a str>,
    /// More keys of `[aerospike]`.
    pub aerospike: &'a str,
    /// The sections after `[aerospike]`.
    pub rest: &'a str,
}

/// The service with its database, and its measurements.
pub struct Service {
    child: Child,
    said: Receiver<(Instant, String)>,
    database: Database,
    begun: Option<Mark>,
    ended: Option<Mark>,
    /// The time of its own turns between the two marks.
    taken: Duration,
    /// CPU time of everything else meanwhile, without the services and their simulators.
    rest_ns: u64,
    totals: Option<Totals>,
}

/// How far it was at one of the marks.
struct Mark {
    messages: u64,
    times: CpuTimes,
}

impl Service {
    /// Starts the service. Its database is empty, unless it is a real one.
    pub fn start(work: &Work<'_>) -> Result<Self, Box<dyn Error>> {
        let database = Database::start(work.hosts)?;
        let Work {
            brokers,
            topic,
            group,
            aerospike,
            rest,
            ..
        } = work;
        let hosts = database.hosts();
        let text = format!(
            "[kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\ngroup = \"{group}\"\n[aerospike]\nhosts = \"{hosts}\"\n\
             namespace = \"test\"\n{aerospike}\n{rest}\n"
        );
        let mut child = Command::new(std::env::current_exe()?)
            .args([SERVICE_ARGUMENT, "--messages", &work.messages.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(text.as_bytes())?;
        }
        let (say, said) = unbounded();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let _ = say.send((Instant::now(), line));
                }
            });
        }
        Ok(Service {
            child,
            said,
            database,
            begun: None,
            ended: None,
            taken: Duration::ZERO,
            rest_ns: 0,
            totals: None,
        })
    }

    fn processes(&self) -> Vec<(&'static str, u32)> {
        let mut processes = vec![("service", self.child.id())];
        if let Database::Simulated { child, .. } = &self.database {
            processes.push(("simulator", child.id()));
        }
        processes
    }

    fn signal(&self, name: &str) -> Result<(), Box<dyn Error>> {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{kill}: {status}").into())
        }
    }

    fn is_counted(&self) -> bool {
        self.begun.is_some() && self.ended.is_none()
    }

    fn hear(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let is_heard = match line.split_once(' ') {
            Some(("begin", messages)) => {
                self.begun = self.mark(messages);
                self.begun.is_some()
            }
            Some(("end", messages)) => {
                self.ended = self.mark(messages);
                self.ended.is_some()
            }
            Some(("done", account)) => {
                self.totals = Totals::read(account);
                self.totals.is_some()
            }
            _ => false,
        };
        if is_heard {
            Ok(())
        } else {
            Err(format!("the service says {line:?}").into())
        }
    }

    fn mark(&self, messages: &str) -> Option<Mark> {
        Some(Mark {
            messages: messages.parse().ok()?,
            times: CpuTimes::now(&self.processes()),
        })
    }

    /// Runs one turn, until the slice is over or the service is done. `elsewhere_ns`: the CPU time of everything else
    /// so far.
    fn turn(&mut self, slice: Duration, elsewhere_ns: impl Fn() -> u64) -> Result<(), Box<dyn Error>> {
        let over = Instant::now() + slice;
        let (mut since, mut rest_before) = (Instant::now(), elsewhere_ns());
        while self.totals.is_none() {
            let (at, line) = match self.said.recv_deadline(over) {
                Ok((at, line)) => (at.max(since), Some(line)),
                Err(RecvTimeoutError::Timeout) => (Instant::now(), None),
                Err(RecvTimeoutError::Disconnected) => return Err("the service ended before it was done".into()),
            };
            let rest = elsewhere_ns();
            if self.is_counted() {
                self.taken += at - since;
                self.rest_ns += rest.saturating_sub(rest_before);
            }
            (since, rest_before) = (at, rest);
            match line {
                Some(line) => self.hear(&line)?,
                None => break,
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Run, Box<dyn Error>> {
        let status = self.child.wait()?;
        let (Some(begun), Some(ended), Some(totals)) = (&self.begun, &self.ended, self.totals.take()) else {
            return Err(format!("the service was not watched from begin to end: {status}").into());
        };
        let messages = (ended.messages - begun.messages) as f64;
        let mut cpu_shares = ended.times.since(&begun.times, messages);
        let service = cpu_shares.iter().filter(|(name, _)| name.starts_with("service"));
        let cpu_us = service.map(|(_, share)| share).sum();
        cpu_shares.insert(
            "the rest: broker, system".to_owned(),
            self.rest_ns as f64 / 1e3 / messages,
        );
        Ok(Run {
            messages_per_second: messages / self.taken.as_secs_f64(),
            cpu_us,
            cpu_shares,
            totals,
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Also if it is stopped by SIGSTOP.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets the services run in turns, in this order, until all are done.
pub fn by_turns(mut services: Vec<Service>) -> Result<Vec<Run>, Box<dyn Error>> {
    let processes: Vec<(&str, u32)> = services.iter().flat_map(Service::processes).collect();
    for waiting in services.iter().skip(1) {
        waiting.signal("STOP")?;
    }
    let mut open: VecDeque<usize> = (0..services.len()).collect();
    while let Some(turn) = open.pop_front() {
        let service = &mut services[turn];
        service.signal("CONT")?;
        // The last one left gets all the time.
        let slice = if open.is_empty() { DEADLINE } else { SLICE };
        service.turn(slice, || cpu::elsewhere_ns(&processes))?;
        if service.totals.is_none() {
            service.signal("STOP")?;
            open.push_back(turn);
        }
    }
    services.into_iter().map(Service::finish).collect()
}
