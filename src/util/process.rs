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
    fn this_process_has_open_files_and_spends_time() {
        assert!(cpu_time().is_some());
        assert!(open_fds().is_some_and(|open| open >= 3));
    }
}
