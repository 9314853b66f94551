//! What a second process of the group costs, and what more partitions cost: the same messages and rules, with other
//! numbers of partitions and processes, one kind after the other, several rounds. `make bench-scale`; the figures are for
//! `docs/benchmarks/scale.md`.
//!
//! Each process is the whole service. The database is slow until every process has its partitions, so that the messages
//! are not consumed before; then it is fast, and counting begins. Processes, broker and simulator share this machine. So
//! the rate says nothing of more machines: what counts is CPU per message, memory, threads and connections.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use penstock::config;
use penstock::observe::counters::Counters;
use penstock::service::supervisor;
use penstock::util::stop::{Stop, StopKind};
use penstock_sim::control_command;

use crate::common::cpu::{self, CpuShares, CpuTimes};
use crate::common::database::Database;
use crate::common::events::EventGenerator;
use crate::common::machine::broker_process;
use crate::common::messages::{Keyed, create_topic, send};
use crate::common::report::Rounds;
use crate::writers::RULES;

/// The argument with which this program runs as a member of the group.
const MEMBER_ARGUMENT: &str = "--member";
/// Partitions, processes, and `run.memory`; `None`: its default. The first one is what the others are compared with.
const KINDS: [(i32, usize, Option<&str>); 6] = [
    (8, 1, None),
    (8, 2, None),
    (64, 1, None),
    (256, 1, None),
    (256, 2, None),
    (256, 1, Some("512MiB")),
];
/// How the default is called in the output.
const DEFAULT: &str = "default";
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const SEED: u64 = 1;
const DEADLINE: Duration = Duration::from_secs(300);
/// How often the members are asked.
const PACE: Duration = Duration::from_millis(20);
/// How slow the database is until all have their partitions.
const SLOW: &str = "delay 500ms";
/// Some partitions finish later than others: the rate of the end is not that of all.
const END_PERCENT: u64 = 90;

// ---- the process of a member

/// Runs this process as a member of a group: the configuration comes first on standard input, up to a line with a dot.
/// After it, each line is answered with what was consumed, what is done, and how many partitions are assigned. Ends with
/// standard input.
pub fn run_member() -> Result<(), Box<dyn Error>> {
    let mut lines = io::stdin().lock().lines();
    let mut text = String::new();
    for line in lines.by_ref() {
        match line?.as_str() {
            "." => break,
            line => text = text + line + "\n",
        }
    }
    let config = config::parse(&text, "scale.toml").map_err(|faults| faults.to_string())?;
    let stop = Stop::new();
    let counters = Arc::new(Counters::new());
    let service = {
        let (stop, counters) = (stop.clone(), counters.clone());
        thread::spawn(move || supervisor::run(&config, &stop, &counters))
    };
    for line in lines {
        line?;
        if service.is_finished() {
            return Err("the service ended".into());
        }
        let done = counters.messages_written.get() + counters.messages_filtered.get();
        println!(
            "{} {done} {}",
            counters.messages_consumed.get(),
            counters.partitions_assigned.get()
        );
    }
    stop.request(StopKind::Drain);
    service.join().map_err(|_| "the service panicked")?;
    Ok(())
}

// ---- and the one that watches them

struct Member {
    child: Child,
    ask: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    consumed: u64,
    done: u64,
    partitions: u64,
}

impl Member {
    fn start(configuration: &str) -> Result<Member, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(MEMBER_ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (mut ask, answers) = child.stdin.take().zip(child.stdout.take()).ok_or("no pipes")?;
        write!(ask, "{configuration}\n.\n")?;
        Ok(Member {
            child,
            ask: Some(ask),
            answers: BufReader::new(answers).lines(),
        })
    }

    fn progress(&mut self) -> Result<Progress, Box<dyn Error>> {
        let ask = self.ask.as_mut().ok_or("the member has ended")?;
        ask.write_all(b"?\n")?;
        let line = self.answers.next().ok_or("the member has ended")??;
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next().ok_or("a number is missing");
        Ok(Progress {
            consumed: next()??,
            done: next()??,
            partitions: next()??,
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}

/// What one run has measured. Sums over the processes.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    messages_per_s: f64,
    service_us: f64,
    clients_us: f64,
    database_us: f64,
    broker_us: f64,
    peak_mib: f64,
    threads: f64,
    to_kafka: f64,
    to_database: f64,
}

/// Names of what is measured, and how to take it.
type Column = (&'static str, fn(&Measured) -> f64);
const COLUMNS: [Column; 9] = [
    ("messages/s", |of| of.messages_per_s),
    ("CPU µs a message: service", |of| of.service_us),
    ("  of which not workers", |of| of.clients_us),
    ("CPU µs a message: simulator", |of| of.database_us),
    ("CPU µs a message: broker", |of| of.broker_us),
    ("peak memory, MiB", |of| of.peak_mib),
    ("threads", |of| of.threads),
    ("connections to the broker", |of| of.to_kafka),
    ("connections to the database", |of| of.to_database),
];

/// Prints the table, and each kind against the first one.
pub fn compare(brokers: &str, count: u64, rounds: u32) -> Result<(), Box<dyn Error>> {
    let topic = |partitions: i32| format!("scale-{:x}-{partitions}", std::process::id());
    let numbers = BTreeSet::from(KINDS.map(|(partitions, ..)| partitions));
    for partitions in numbers {
        let name = topic(partitions);
        create_topic(brokers, &name, partitions, MESSAGE_BYTES_MAX)?;
        let mut generator = EventGenerator::new(SEED);
        let events = (0..count).map(|id| {
            let mut event = Vec::new();
            let key = generator.event(id, &mut event).key;
            Keyed {
                partition: i32::try_from(id % u64::from(partitions.unsigned_abs())).unwrap_or(0),
                key,
                payload: Some(event),
            }
        });
        send(brokers, &name, MESSAGE_BYTES_MAX, events)?;
    }
    let mut runs: Vec<Vec<Measured>> = vec![Vec::new(); KINDS.len()];
    for round in 0..rounds {
        for (number, kind) in KINDS.into_iter().enumerate() {
            let (partitions, processes, memory) = kind;
            let memory = memory.unwrap_or(DEFAULT);
            let name = topic(partitions);
            let group = format!("{name}-{number}-{round}");
            let measured = run(brokers, &name, &group, kind, count)
                .map_err(|error| format!("{partitions} partitions, {processes} processes, {memory}: {error}"))?;
            eprintln!(
                "round {round}: {partitions} partitions, {processes} processes, {memory}: {:.0} messages/s, {:.2} µs",
                measured.messages_per_s, measured.service_us
            );
            runs[number].push(measured);
        }
    }
    println!("\nScale: {count} events, one in five filtered, medians of {rounds} rounds\n");
    print!("{:<30}", "partitions × processes");
    for (partitions, processes, _) in KINDS {
        print!(" {:>11}", format!("{partitions} × {processes}"));
    }
    print!("\n{:<30}", "memory of each");
    for (_, _, memory) in KINDS {
        print!(" {:>11}", memory.unwrap_or(DEFAULT));
    }
    println!();
    for (name, of) in COLUMNS {
        print!("{name:<30}");
        for kind in &runs {
            let value = kind.iter().map(of).collect::<Rounds>().median();
            let digits = if value < 100.0 && value.fract() > 0.0 { 2 } else { 0 };
            print!(" {value:>11.digits$}");
        }
        println!();
    }
    println!(
        "\nagainst {} × {}, round by round: median (lowest to highest)",
        KINDS[0].0, KINDS[0].1
    );
    for (name, of) in &COLUMNS[..6] {
        print!("{name:<30}");
        for kind in &runs {
            let ratios: Rounds = kind
                .iter()
                .zip(&runs[0])
                .map(|(this, first)| of(this) / of(first))
                .collect();
            print!("  {}", ratios.text(|ratio| format!("{ratio:.2}")));
        }
        println!();
    }
    Ok(())
}

fn run(
    brokers: &str,
    topic: &str,
    group: &str,
    (partitions, processes, memory): (i32, usize, Option<&str>),
    count: u64,
) -> Result<Measured, Box<dyn Error>> {
    let database = Database::start(None)?;
    let Database::Simulated { child, control, .. } = &database else {
        return Err("no simulator".into());
    };
    let (simulator, control) = (child.id(), *control);
    let hosts = database.hosts();
    let run = memory.map_or(String::new(), |memory| format!("[run]\nmemory = \"{memory}\"\n"));
    let configuration = format!(
        "[kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\ngroup = \"{group}\"\n[aerospike]\nhosts = \"{hosts}\"\n\
         namespace = \"test\"\n{run}{RULES}"
    );
    control_command(control, SLOW)?;
    let mut members = Vec::new();
    for _ in 0..processes {
        members.push(Member::start(&configuration)?);
    }
    let deadline = Instant::now() + DEADLINE;
    let wait_for = |members: &mut Vec<Member>, what: &str, reached: &dyn Fn(&[Progress]) -> bool| {
        loop {
            let each = members
                .iter_mut()
                .map(Member::progress)
                .collect::<Result<Vec<_>, _>>()?;
            if reached(&each) {
                return Ok::<_, Box<dyn Error>>(each);
            }
            if Instant::now() > deadline {
                return Err(format!("waited for {what}: {each:?}").into());
            }
            thread::sleep(PACE); // the pace of observation
        }
    };
    let share = u64::from(partitions.unsigned_abs()) / processes as u64;
    wait_for(&mut members, "all partitions", &|each| {
        each.iter().all(|member| member.partitions == share)
    })?;
    control_command(control, "delay 0ms")?;
    let early = wait_for(&mut members, "the first messages", &|_| true)?;
    let consumed = |each: &[Progress]| each.iter().map(|member| member.consumed).sum::<u64>();
    // Caches are cold, and each process must get its first messages.
    let first = consumed(&early) + count / 20;
    let begun = wait_for(&mut members, "the beginning", &|each| consumed(each) >= first)?;
    let mut named: Vec<(&'static str, u32)> = members.iter().map(|member| ("service", member.child.id())).collect();
    named.push(("simulator", simulator));
    named.extend(broker_process().map(|broker| ("broker", broker)));
    let (at, times) = (Instant::now(), CpuTimes::now(&named));
    let ended = wait_for(&mut members, "the end", &|each| {
        consumed(each) >= count * END_PERCENT / 100
    })?;
    let (took, messages) = (at.elapsed(), consumed(&ended) - consumed(&begun));
    let shares = CpuTimes::now(&named).since(&times, messages as f64);
    let mut measured = Measured {
        messages_per_s: messages as f64 / took.as_secs_f64(),
        service_us: sum(&shares, "service: "),
        clients_us: sum(&shares, "service: ") - sum(&shares, "service: scale-"),
        database_us: sum(&shares, "simulator: "),
        broker_us: sum(&shares, "broker: "),
        ..Measured::default()
    };
    for member in &members {
        let process = member.child.id();
        measured.peak_mib += cpu::peak_rss(process).unwrap_or(0.0) / f64::from(1 << 20);
        measured.threads += fs::read_dir(format!("/proc/{process}/task"))?.count() as f64;
        measured.to_kafka += connections(process, brokers);
        measured.to_database += connections(process, hosts);
    }
    let done = wait_for(&mut members, "all messages", &|each| {
        each.iter().map(|member| member.done).sum::<u64>() >= count
    })?;
    // What the first process had in hand when the second one came is consumed again, before counting begins.
    let open = count - begun.iter().map(|member| member.done).sum::<u64>().min(count);
    if consumed(&done) - consumed(&begun) > open + count / 10 {
        return Err(format!("the partitions moved: {done:?}").into());
    }
    Ok(measured)
}

fn sum(shares: &CpuShares, of: &str) -> f64 {
    let own = shares.iter().filter(|(name, _)| name.starts_with(of));
    own.map(|(_, share)| share).sum()
}

/// Established TCP connections of the process to one of these addresses on this machine, by port.
fn connections(process: u32, addresses: &str) -> f64 {
    let ports: BTreeSet<String> = addresses
        .split(',')
        .filter_map(|address| address.rsplit_once(':')?.1.trim().parse::<u16>().ok())
        .map(|port| format!("{port:04X}"))
        .collect();
    let files = fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let sockets: BTreeSet<String> = files
        .filter_map(|file| {
            let target = fs::read_link(file.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let table = |file: &str| fs::read_to_string(format!("/proc/{process}/net/{file}")).unwrap_or_default();
    let lines = table("tcp") + &table("tcp6");
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Local and remote address, state (01: established), and the inode: proc(5).
        let remote = fields.get(2).and_then(|remote| Some(remote.rsplit_once(':')?.1));
        fields.get(3) == Some(&"01")
            && remote.is_some_and(|port| ports.contains(port))
            && fields.get(9).is_some_and(|inode| sockets.contains(*inode))
    };
    lines.lines().filter(is_one).count() as f64
}
