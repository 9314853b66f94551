//! Logs the held partitions again every minute, because only a person can release them.
//!
//! The main thread calls this after each poll. A worker logs its own hold once, when the hold begins
//! (`partition/held.rs`).

use std::time::{Duration, Instant};

use log::error;

use crate::kafka::Partition;
use crate::partition::progress::Held;
use crate::service::assignment::Workers;
use crate::util::seconds::Seconds;
use crate::util::throttle::Throttle;

/// The time between two reminders.
const INTERVAL: Duration = Duration::from_secs(60);
/// At most this many partitions get a line of their own, because they are usually held for the same reason.
const LINES_MAX: usize = 10;

/// Knows when the next reminder is due.
#[derive(Debug, Default)]
pub struct Holds(Option<Throttle>);

impl Holds {
    /// Logs a reminder for each held partition, if it is time.
    pub fn tick(&mut self, now: Instant, workers: &Workers) {
        for line in self.due(now, || (workers.held(), workers.count())) {
            error!("{line}");
        }
    }

    /// The lines that are due. `look` returns the held partitions and the number of all partitions. It is called only
    /// when a reminder is due.
    fn due(&mut self, now: Instant, look: impl FnOnce() -> (Vec<(Partition, Held)>, usize)) -> Vec<String> {
        let lines = self
            .0
            .get_or_insert_with(|| Throttle::new(INTERVAL).first_at(now + INTERVAL));
        if lines.pass_at(now).is_none() {
            return Vec::new();
        }
        let (held, all) = look();
        let count = held.len();
        let mut lines: Vec<String> = held
            .iter()
            .take(LINES_MAX)
            .map(|(_, Held { why, since })| {
                let held_for = Seconds(now.saturating_duration_since(*since));
                format!("still held, {count} of {all} partitions are: nothing of it is read until a person acts for={held_for} {why}")
            })
            .collect();
        if count > LINES_MAX {
            let rest: Vec<String> = held[LINES_MAX..]
                .iter()
                .map(|(partition, _)| format!("{}:{}", partition.topic, partition.number))
                .collect();
            lines.push(format!(
                "still held, {count} of {all} partitions are: those without a line here too; why stands on the line that \
                 began each hold list={}",
                rest.join(",")
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(number: i32, since: Instant) -> (Partition, Held) {
        let partition = Partition {
            topic: "t".into(),
            number,
        };
        let why = format!("{partition} offset=7 reason=key_missing cure=\"do this\"");
        (partition, Held { why, since })
    }

    #[test]
    fn a_held_partition_is_told_each_minute_with_offset_reason_and_cure() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut holds = Holds::default();
        let one = || (vec![held(3, begin)], 4);
        assert_eq!(holds.due(begin, one), [""; 0], "its worker has just told it");
        assert_eq!(holds.due(at(59), one), [""; 0]);
        for minute in 1..=3 {
            let seconds = 60 * minute;
            let [line] = &holds.due(at(seconds), one)[..] else {
                panic!("minute {minute}")
            };
            for part in [
                "1 of 4 partitions".to_owned(),
                format!(" for={seconds}s "),
                "topic=t partition=3 offset=7 reason=key_missing cure=\"do this\"".to_owned(),
            ] {
                assert!(line.contains(&part), "no {part:?} in {line}");
            }
            assert_eq!(holds.due(at(seconds + 59), one), [""; 0]);
        }
    }

    #[test]
    fn where_nothing_is_held_nothing_is_told() {
        let begin = Instant::now();
        let mut holds = Holds::default();
        assert_eq!(holds.due(begin, || (Vec::new(), 4)), [""; 0]);
        assert_eq!(holds.due(begin + INTERVAL, || (Vec::new(), 4)), [""; 0]);
    }

    #[test]
    fn many_held_partitions_are_told_in_few_lines_and_all_are_named() {
        let begin = Instant::now();
        let mut holds = Holds::default();
        holds.due(begin, || (Vec::new(), 0));
        let all = || ((0..256).map(|number| held(number, begin)).collect(), 256);
        let lines = holds.due(begin + INTERVAL, all);
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(lines[LINES_MAX].contains("256 of 256"), "{}", lines[LINES_MAX]);
        assert!(lines[LINES_MAX].ends_with(",t:255"), "{}", lines[LINES_MAX]);
    }
}
