//! Members of one group, each a program with its own log; the resources that they use, and their log lines.

use std::fs;
use std::ops::Deref;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::support::interrupted::{Scene, Watched, tail};
use crate::support::process::{Program, SimProgram, penstock};
use crate::support::{Setup, Topic};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// `USER_HZ`, the unit of times in `/proc`: 100 a second on every architecture that Linux runs on here.
const TICK: Duration = Duration::from_millis(10);

/// A topic, a simulator, and the members of a group.
pub struct Fleet {
    scene: Scene,
    members: Vec<Member>,
    pub happened: Happened,
}

struct Member {
    file: NamedTempFile,
    program: Option<Program>,
    is_frozen: bool,
    /// The log of its earlier programs.
    said: String,
}

impl Member {
    /// Partitions assigned minus partitions revoked, by the log of the running program.
    fn owned(&self) -> i64 {
        let output = self.program.as_ref().map(Program::output).unwrap_or_default();
        let partitions = |line: &str, what: &str| -> Option<i64> {
            let number = line.split_once(what)?.1.split(' ').next()?;
            number.parse().ok()
        };
        let change = |line| {
            let assigned = partitions(line, "kafka: assigned partitions=");
            assigned.or_else(|| partitions(line, "kafka: revoked partitions=").map(|revoked| -revoked))
        };
        output.lines().filter_map(change).sum()
    }
}

/// What was done to the members.
#[derive(Debug, Default)]
pub struct Happened {
    pub starts: u64,
    pub kills: u64,
    pub stops: u64,
}

/// What can be seen of the members from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The committed offset of each partition.
    pub committed: Vec<i64>,
    /// Number of write rows that have reached the database so far.
    pub rows: u64,
    /// How often partitions were assigned to a member, or taken away from one.
    pub rebalances: usize,
    /// How many partitions each member has, according to its log.
    pub owned: Vec<i64>,
}

impl Seen {
    pub fn messages(&self) -> i64 {
        self.committed.iter().sum()
    }
}

/// The resources that a program uses.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU time on all cores since its start.
    pub cpu: Duration,
    pub resident_mib: u64,
    /// Peak resident memory.
    pub peak_mib: u64,
}

impl Deref for Fleet {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Fleet {
    /// Starts no member. All have the same configuration.
    pub fn new(sim: SimProgram, topic: Topic, setup: &Setup, members: usize) -> Fleet {
        let member = || {
            let file = NamedTempFile::with_suffix(".toml").unwrap();
            fs::write(file.path(), setup.text()).unwrap();
            Member {
                file,
                program: None,
                is_frozen: false,
                said: String::new(),
            }
        };
        Fleet {
            scene: Scene::new(sim, topic, &setup.group),
            members: (0..members).map(|_| member()).collect(),
            happened: Happened::default(),
        }
    }

    pub fn runs(&self, member: usize) -> bool {
        self.members[member].program.is_some()
    }

    pub fn start(&mut self, member: usize) {
        let member = &mut self.members[member];
        assert!(member.program.is_none(), "it runs");
        member.program = Some(Program::start(penstock().arg("run").arg(member.file.path())));
        self.happened.starts += 1;
    }

    /// Kills a member at once.
    pub fn kill(&mut self, member: usize) {
        let mut program = self.take(member);
        program.signal("KILL");
        let exited = program.end();
        exited.assert_signal(SIGKILL);
        self.said(member, &exited.output);
        self.happened.kills += 1;
    }

    /// Stops a member in order.
    pub fn stop(&mut self, member: usize) {
        let mut program = self.take(member);
        program.signal("TERM");
        let exited = program.end();
        // Before its signal handlers exist, the signal kills it at once: it has not started yet.
        let has_begun = exited.output.contains("kafka: ");
        if has_begun || exited.status.signal() != Some(SIGTERM) {
            exited.assert_code(0);
        }
        self.said(member, &exited.output);
        self.happened.stops += 1;
    }

    fn take(&mut self, member: usize) -> Program {
        self.members[member].program.take().expect("it runs")
    }

    fn said(&mut self, member: usize, output: &str) {
        let said = &mut self.members[member].said;
        said.push_str(output);
        said.push('\n');
    }

    /// Freezes a member's threads.
    pub fn freeze(&mut self, member: usize) {
        self.program(member).signal("STOP");
        self.members[member].is_frozen = true;
    }

    pub fn wake(&mut self, member: usize) {
        self.program(member).signal("CONT");
        self.members[member].is_frozen = false;
    }

    fn program(&self, member: usize) -> &Program {
        self.members[member].program.as_ref().expect("it runs")
    }

    /// A member's log so far, including its earlier programs.
    pub fn log(&self, member: usize) -> String {
        let member = &self.members[member];
        let now = member.program.as_ref().map(Program::output).unwrap_or_default();
        format!("{}{now}", member.said)
    }

    /// How many log lines of all members contain this.
    pub fn lines(&self, part: &str) -> usize {
        (0..self.members.len())
            .map(|member| self.log(member).lines().filter(|line| line.contains(part)).count())
            .sum()
    }

    /// How often partitions were assigned to a member, or taken away from one.
    pub fn rebalances(&self) -> usize {
        self.lines("kafka: assigned") + self.lines("kafka: revoked")
    }

    /// The memory limit that a member has logged.
    pub fn bound_mib(&mut self, member: usize) -> u64 {
        let program = self.members[member].program.as_mut().expect("it runs");
        let line = program.wait_for_line(&["memory: bound="]);
        let number = line.split_once("bound=").unwrap().1.split_once("MiB").unwrap().0;
        number.parse().unwrap()
    }

    pub fn usage(&self, member: usize) -> Usage {
        let id = self.program(member).id();
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // The name in parentheses may contain anything; utime and stime are fields 12 and 13 behind it.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks = |field: usize| fields[field].parse::<u32>().unwrap();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
        };
        Usage {
            cpu: TICK * (ticks(11) + ticks(12)),
            resident_mib: mib("VmRSS:"),
            peak_mib: mib("VmHWM:"),
        }
    }

    /// Waits until everything is committed.
    pub fn drain(&mut self, ends: &[i64]) {
        self.wait("all offsets to be committed", |seen| seen.committed == ends);
    }

    /// Messages per second over at least `window`, by what is committed. Measured from one commit to another, since
    /// offsets move in steps.
    ///
    /// # Panics
    /// If everything is committed before: the test has too few messages.
    pub fn rate(&mut self, window: Duration, ends: &[i64]) -> f64 {
        let first = self.look();
        let from = self.wait("a commit", |seen| seen.messages() > first.messages());
        let began = Instant::now();
        let last = self.wait("messages", |seen| began.elapsed() >= window || seen.committed == ends);
        assert!(
            began.elapsed() >= window,
            "too few messages to measure a rate: {from:?} and {last:?} {:?} later",
            began.elapsed()
        );
        let to = self.wait("a commit", |seen| {
            seen.messages() > last.messages() || seen.committed == ends
        });
        let took = began.elapsed();
        (to.messages() - from.messages()) as f64 / took.as_secs_f64()
    }

    /// When messages flow again after `healed`, and when a window begins in which they reach `wanted` per second. If no
    /// window before `limit` does, the best rate.
    pub fn recovery(&mut self, healed: Instant, wanted: f64, limit: Duration, ends: &[i64]) -> Recovery {
        const WINDOW: Duration = Duration::from_secs(3);
        let mut best: Option<Recovery> = None;
        loop {
            let before = self.look();
            self.wait("a commit", |seen| seen.messages() > before.messages());
            let now = healed.elapsed();
            let flows = best.map_or(now, |best| best.flows);
            let rate = match now {
                late if late > limit => 0.0,
                _ => self.rate(WINDOW, ends),
            };
            let better = best.filter(|best| best.rate >= rate);
            let found = better.unwrap_or(Recovery {
                flows,
                after: now,
                rate,
            });
            if found.rate >= wanted || now > limit {
                return found;
            }
            best = Some(found);
        }
    }
}

/// When messages flowed again, and when they reached which rate.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    pub flows: Duration,
    pub after: Duration,
    pub rate: f64,
}

impl Watched for Fleet {
    type Seen = Seen;

    fn look(&self) -> Seen {
        Seen {
            committed: self.committed(),
            rows: self.rows_sent(),
            rebalances: self.rebalances(),
            owned: self.members.iter().map(Member::owned).collect(),
        }
    }

    fn all_run(&mut self) -> bool {
        let mut programs = self.members.iter_mut().filter_map(|member| member.program.as_mut());
        programs.all(Program::is_running)
    }

    fn tell(&self) -> String {
        let logs: Vec<String> = (0..self.members.len())
            .map(|member| format!("member {member}: it said:\n{}", tail(&self.log(member))))
            .collect();
        logs.join("\n")
    }
}
