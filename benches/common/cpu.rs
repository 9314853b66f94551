//! CPU time by thread name: of the threads of a service and of its simulator, and of everything else on the machine.
//!
//! On a shared machine, a rate shows that something is slow, but not what. Works on Linux only; elsewhere nothing is
//! found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The unit of `/proc/stat`: 100 ticks per second on every current Linux.
const TICK_NS: u64 = 10_000_000;
/// A thread with less CPU time per message is not listed.
const LISTED_US_MIN: f64 = 0.01;

/// CPU time since each thread's start, in nanoseconds, by name.
#[derive(Debug, Clone, Default)]
pub struct CpuTimes(BTreeMap<String, u64>);

/// CPU time between two moments, in microseconds per message, by name.
pub type CpuShares = BTreeMap<String, f64>;

impl CpuTimes {
    /// The present times of the threads of these processes.
    pub fn now(processes: &[(&'static str, u32)]) -> CpuTimes {
        let mut times = BTreeMap::new();
        for (name, process) in processes {
            for (thread, time) in threads(*process) {
                *times.entry(format!("{name}: {thread}")).or_default() += time;
            }
        }
        CpuTimes(times)
    }

    /// The time used since `earlier`, divided by `messages`. A thread that has ended meanwhile counts as 0.
    pub fn since(&self, earlier: &CpuTimes, messages: f64) -> CpuShares {
        let share = |(name, time): (&String, &u64)| {
            let taken = time.saturating_sub(earlier.0.get(name).copied().unwrap_or(0));
            (name.clone(), taken as f64 / 1e3 / messages)
        };
        self.0.iter().map(share).collect()
    }
}

/// CPU time of a process since its start, with that of its ended threads, in microseconds.
pub fn spent_us(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the name in parentheses. utime and stime: proc_pid_stat(5).
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.collect::<Result<Vec<_>, _>>().ok()?.iter().sum();
    Some((ticks * TICK_NS) as f64 / 1e3)
}

/// The most memory that a process has had resident, in bytes.
pub fn peak_rss(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024.0)
}

/// CPU time of everything except these processes, in nanoseconds.
pub fn elsewhere_ns(processes: &[(&'static str, u32)]) -> u64 {
    let own: u64 = CpuTimes::now(processes).0.values().sum();
    machine_ns().saturating_sub(own)
}

/// Names and times of a process's threads. Threads whose names differ only in numbers are added up.
fn threads(process: u32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let read = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let time = times.split(' ').next()?.parse().ok()?;
        Some((name.trim().replace(|c: char| c.is_ascii_digit(), ""), time))
    });
    read.collect()
}

/// CPU time of all processes and of the system.
fn machine_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq: proc_stat(5).
    let busy = [0, 1, 2, 5, 6].map(|at: usize| ticks.get(at).copied().unwrap_or(0));
    busy.iter().sum::<u64>() * TICK_NS
}

/// Prints the CPU time of two kinds of runs, by thread.
pub fn tell(kinds: [&str; 2], shares: &[CpuShares; 2]) {
    println!(
        "\n{:<32} {:>10} {:>10} {:>10}",
        "CPU µs a message", kinds[0], kinds[1], "more"
    );
    let names: BTreeSet<&String> = shares.iter().flat_map(BTreeMap::keys).collect();
    for name in names {
        let [first, second] = [0, 1].map(|which: usize| shares[which].get(name).copied().unwrap_or(0.0));
        if first.max(second) >= LISTED_US_MIN {
            println!("{name:<32} {first:>10.3} {second:>10.3} {:>+10.3}", second - first);
        }
    }
}

/// The standard error of the mean of these.
pub fn standard_error(ratios: &[f64]) -> f64 {
    let count = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / count;
    let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0) / count).sqrt()
}
