//! Assigned partitions whose leader is not connected, according to librdkafka's statistics. Logged with the broker's
//! number and address.
//!
//! Such a partition waits, and the others continue: Kafka keeps what is not read. Runs on the main thread. If something
//! is wrong with the address, the error callback logs that when librdkafka tries to connect.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use log::{info, warn};
use serde_json::Value;

use crate::kafka::Partition;
use crate::util::logging::pairs::Text;
use crate::util::throttle::Throttle;

/// A connection that comes back within this time is not logged.
const TELL_AFTER: Duration = Duration::from_secs(8);
/// Interval between two lines about the same broker.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// Which broker leads which partition, and which brokers are connected, according to the last statistics.
#[derive(Debug, Default)]
pub struct Leaders {
    /// By broker number: its address, and whether it is connected.
    brokers: HashMap<i32, (String, bool)>,
    /// By topic and partition: the leader's number.
    leaders: HashMap<(String, i32), i32>,
}

/// A broker that is not connected, and the partitions that wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub broker: i32,
    pub address: String,
    pub partitions: BTreeSet<Partition>,
}

impl Leaders {
    /// Reads librdkafka's statistics (its `STATISTICS.md`).
    pub fn read(statistics: &Value) -> Leaders {
        let number = |of: &Value, name: &str| {
            let found = of.get(name).and_then(Value::as_i64).unwrap_or(-1);
            i32::try_from(found).ok().filter(|found| *found >= 0)
        };
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut read = Leaders::default();
        for (_, broker) in entries(statistics.get("brokers")) {
            if let Some(id) = number(broker, "nodeid") {
                // In state UPDATE, librdkafka asks again for the broker's versions; the broker stays connected.
                let is_up = matches!(text(broker, "state").as_str(), "UP" | "UPDATE");
                read.brokers.insert(id, (text(broker, "nodename"), is_up));
            }
        }
        for (topic, details) in entries(statistics.get("topics")) {
            for (partition, details) in entries(details.get("partitions")) {
                if let (Ok(partition), Some(leader)) = (partition.parse(), number(details, "leader")) {
                    read.leaders.insert((topic.clone(), partition), leader);
                }
            }
        }
        read
    }

    /// Whether the partition's leader is connected. `true` if the leader is not known.
    pub fn is_reached(&self, partition: &Partition) -> bool {
        self.leader(partition).is_none_or(|(_, _, is_up)| is_up)
    }

    fn leader(&self, partition: &Partition) -> Option<(i32, &str, bool)> {
        let id = self.leaders.get(&(partition.topic.to_string(), partition.number))?;
        let (address, is_up) = self.brokers.get(id)?;
        Some((*id, address, *is_up))
    }

    /// Which of these partitions have leaders that are not connected, by broker.
    pub fn waiting(&self, partitions: impl IntoIterator<Item = Partition>) -> Vec<Waiting> {
        let mut waiting: BTreeMap<i32, Waiting> = BTreeMap::new();
        for partition in partitions {
            if let Some((broker, address, false)) = self.leader(&partition) {
                let new = || Waiting {
                    broker,
                    address: address.to_owned(),
                    partitions: BTreeSet::new(),
                };
                waiting.entry(broker).or_insert_with(new).partitions.insert(partition);
            }
        }
        waiting.into_values().collect()
    }
}

fn entries(of: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    of.and_then(Value::as_object).into_iter().flatten()
}

/// What was logged about brokers that are not connected.
#[derive(Debug, Default)]
pub struct LeaderLines {
    looked: Option<Instant>,
    brokers: BTreeMap<i32, Told>,
}

#[derive(Debug)]
struct Told {
    address: String,
    since: Instant,
    lines: Throttle,
}

impl LeaderLines {
    /// Logs when a broker becomes unreachable, every minute while it is, and when it is back. Calls `waiting` once a
    /// second.
    pub fn tell(&mut self, now: Instant, waiting: impl FnOnce() -> Vec<Waiting>) {
        const LOOK_INTERVAL: Duration = Duration::from_secs(1);
        if self.looked.is_some_and(|at| now.duration_since(at) < LOOK_INTERVAL) {
            return;
        }
        self.looked = Some(now);
        let waiting = waiting();
        for due in self.due(now, &waiting) {
            warn!(
                "kafka: broker {} at {} is not reached: the partitions that it leads wait, the others are read; nothing is \
                 lost since={:.0}s partitions={}",
                due.broker,
                due.address,
                now.duration_since(self.brokers.get(&due.broker).map_or(now, |told| told.since))
                    .as_secs_f64(),
                Text(&crate::kafka::summary(
                    &due.partitions.iter().cloned().collect::<Vec<_>>()
                ))
            );
        }
        for (broker, address) in self.over(&waiting) {
            info!("kafka: broker {broker} at {address} is reached again, or leads nothing here any more");
        }
    }

    /// The brokers to log now.
    fn due<'w>(&mut self, now: Instant, waiting: &'w [Waiting]) -> Vec<&'w Waiting> {
        let mut due = Vec::new();
        for each in waiting {
            let told = self.brokers.entry(each.broker).or_insert_with(|| Told {
                address: each.address.clone(),
                since: now,
                lines: Throttle::new(LINE_INTERVAL).first_at(now + TELL_AFTER),
            });
            told.address.clone_from(&each.address);
            if told.lines.pass_at(now).is_some() {
                due.push(each);
            }
        }
        due
    }

    /// The brokers that were logged and that no partition waits for any more.
    fn over(&mut self, waiting: &[Waiting]) -> Vec<(i32, String)> {
        let mut over = Vec::new();
        self.brokers.retain(|broker, told| {
            let waits = waiting.iter().any(|each| each.broker == *broker);
            if !waits && told.lines.last().is_some() {
                over.push((*broker, told.address.clone()));
            }
            waits
        });
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> Partition {
        Partition {
            topic: "t".into(),
            number,
        }
    }

    fn leaders(state_of_2: &str) -> Leaders {
        let json = format!(
            r#"{{"brokers":{{"a:9092/bootstrap":{{"nodeid":-1,"nodename":"a:9092","state":"UP"}},
            "a:9092/1":{{"nodeid":1,"nodename":"a:9092","state":"UP"}},
            "b:29092/2":{{"nodeid":2,"nodename":"b:29092","state":"{state_of_2}"}}}},
            "topics":{{"t":{{"partitions":{{"-1":{{"leader":-1}},"0":{{"leader":1}},"1":{{"leader":2}},"2":{{"leader":2}},
            "3":{{"leader":-1}},"4":{{"leader":9}}}}}}}}}}"#
        );
        Leaders::read(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn partitions_wait_whose_leader_is_not_connected() {
        let all = || (0..6).map(partition);
        let read = leaders("TRY_CONNECT");
        let found = read.waiting(all());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].broker, found[0].address.as_str()), (2, "b:29092"));
        assert_eq!(found[0].partitions, [partition(1), partition(2)].into());
        let reached: Vec<bool> = all().map(|partition| read.is_reached(&partition)).collect();
        assert_eq!(reached, [true, false, false, true, true, true]);
        assert!(leaders("UP").waiting(all()).is_empty());
    }

    #[test]
    fn a_leader_that_is_away_is_told_after_a_while_and_every_minute() {
        let waiting = leaders("DOWN").waiting([partition(1)]);
        let mut lines = LeaderLines::default();
        let began = Instant::now();
        let told: Vec<u64> = (0..=130)
            .filter(|second| !lines.due(began + Duration::from_secs(*second), &waiting).is_empty())
            .collect();
        assert_eq!(told, [8, 68, 128]);
        assert!(lines.over(&waiting).is_empty());
        assert_eq!(lines.over(&[]), [(2, "b:29092".to_owned())]);
        // If a broker was back before it was logged, its return is not logged either.
        assert!(lines.due(began, &waiting).is_empty());
        assert!(lines.over(&[]).is_empty());
    }
}
