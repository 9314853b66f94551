//! What the kernel counts of this process, read from `/proc`.

use std::fs;
use std::time::Duration;

/// Ticks of the kernel's clock in a second, as `/proc` shows them (`USER_HZ`). It is 100 on all that Linux runs on,
/// whatever the kernel's own clock does.
const TICKS_PER_SECOND: u64 = 100;

/// The time that all threads have spent on a processor, in user and kernel mode. `None` if `/proc` does not have it.
pub fn cpu_time() -> Option<Duration> {
    cpu_time_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn cpu_time_of(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses, which may have spaces and parentheses of its own.
    let (_, fields) = stat.rsplit_once(')')?;
    // Fields 14 and 15 of the whole line.
    let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (user, kernel) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some(Duration::from_millis((user + kernel) * 1000 / TICKS_PER_SECOND))
}

/// The time that the calling thread has spent on a processor, in user and kernel mode, to the nanosecond. `None` if
/// `/proc` does not have it.
pub fn thread_cpu_time() -> Option<Duration> {
    thread_cpu_time_of(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

fn thread_cpu_time_of(schedstat: &str) -> Option<Duration> {
    let ns = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}

/// The time that all processors of the machine have been busy, for whatever program. `None` if `/proc` does not have
/// it. In a container it is the whole machine's.
pub fn machine_busy_time() -> Option<Duration> {
    busy_time_of(&fs::read_to_string("/proc/stat").ok()?)
}

fn busy_time_of(stat: &str) -> Option<Duration> {
    let mut fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (user, nice, system) = (next()?, next()?, next()?);
    // Idle, and waiting for a disk.
    let _ = (next()?, next()?);
    let (interrupts, soft_interrupts) = (next()?, next()?);
    let ticks = user + nice + system + interrupts + soft_interrupts;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// How many file descriptors are open. `None` if `/proc` does not have it.
pub fn open_fds() -> Option<u64> {
    // One of them reads the folder.
    let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(open.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_have_spaces_and_parentheses() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12345 1 2 3";
        assert_eq!(cpu_time_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time_of("7 (a"), None);
        assert_eq!(cpu_time_of("7 (a) S 1"), None);
    }

    #[test]
    fn a_thread_has_a_time_of_its_own() {
        assert_eq!(thread_cpu_time_of("1500 20 3\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(thread_cpu_time_of(""), None);
        // Some kernels are built without it.
        let Some(before) = thread_cpu_time() else { return };
        let other = std::thread::spawn(|| {
            let began = thread_cpu_time();
            let mut sum = 0_u64;
            while thread_cpu_time()
                .zip(began)
                .is_some_and(|(now, began)| now - began < Duration::from_millis(30))
            {
                sum = std::hint::black_box(sum + 1);
            }
        });
        other.join().unwrap();
        let spent = thread_cpu_time().unwrap() - before;
        assert!(
            spent < Duration::from_millis(30),
            "{spent:?}: that of the other thread does not count"
        );
    }

    #[test]
    fn a_machine_that_waits_is_not_busy() {
        let stat = "cpu  100 20 30 99999 8888 40 10 777 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(busy_time_of(stat), Some(Duration::from_secs(2)));
        assert_eq!(busy_time_of("cpu0 1 2 3"), None);
        assert!(machine_busy_time().is_some());
    }

    #[test]
    fn this_process_has_open_files_and_spends_time() {
        assert!(cpu_time().is_some());
        assert!(open_fds().is_some_and(|open| open >= 3));
    }
}
