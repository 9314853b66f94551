//! The service as a program that is killed and restarted in mid-stream, on a real broker, while its database fails.
//! Shared by `make test-exactly-once`, `make test-order` and `make test-chaos`.
//!
//! The tests find the right moments by what is committed and what has reached the database, never by the clock.
//! Everything random comes from one seed.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::fmt::Debug;
use std::ops::Deref;
use std::time::{Duration, Instant};

use aerospike::{Client, ClientPolicy, Record, Value};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::NamedTempFile;

use super::database::{bins, read_records};
use super::process::{Program, SimProgram, penstock};
use super::{DEADLINE, Kafka, Setup, Topic, send, unique, wait_until};

/// Maximum time of one wait, even if something moves.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Interval between observations.
const PACE: Duration = Duration::from_millis(20);
const SIGKILL: i32 = 9;

/// How much to do: from the environment, so that `make` can set it.
pub struct Scale {
    pub messages: u64,
    pub kills: u64,
    pub seed: u64,
}

impl Scale {
    pub fn from_env(messages: u64, kills: u64) -> Scale {
        Scale {
            messages: number("MESSAGES", messages),
            kills: number("KILLS", kills),
            seed: number("SEED", 1),
        }
    }
}

/// A number from the environment.
pub fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) if !text.is_empty() => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
        _ => default,
    }
}

/// The partition of a key, by a hash of it.
pub fn partition_of(key: &str, partitions: i32) -> i32 {
    // FNV-1a.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    i32::try_from(hash % u64::try_from(partitions).unwrap()).unwrap()
}

/// Writes messages to its own topic.
pub struct Source {
    pub topic: Topic,
    producer: BaseProducer,
    /// Number of messages in each partition.
    pub ends: Vec<i64>,
}

impl Source {
    pub fn new(kafka: &Kafka, name: &str, partitions: i32) -> Source {
        let topic = kafka.topic(name, partitions);
        let mut client = topic.client.clone();
        client.set("enable.idempotence", "true").set("linger.ms", "5");
        Source {
            topic,
            producer: client.create().unwrap(),
            ends: vec![0; usize::try_from(partitions).unwrap()],
        }
    }

    pub fn send(&mut self, partition: i32, payload: &str) {
        send(&self.producer, &self.topic.name, partition, payload.as_bytes());
        self.ends[usize::try_from(partition).unwrap()] += 1;
    }

    /// Waits until the broker has all messages, each once.
    pub fn flush(&self) {
        self.producer.flush(DEADLINE).unwrap();
        let there: Vec<i64> = self.topic.ends().into_iter().flatten().collect();
        assert_eq!(
            there, self.ends,
            "messages in the topic's partitions, and those sent there"
        );
    }

    pub fn finish(self) -> (Topic, Vec<i64>) {
        self.flush();
        (self.topic, self.ends)
    }
}

/// What can be seen of the service from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The committed offset of each partition.
    pub committed: Vec<i64>,
    /// Partitions that the running service has logged as held.
    pub held: BTreeSet<i32>,
    /// Number of write rows that have reached the database so far.
    pub rows: u64,
}

impl Seen {
    pub fn messages(&self) -> i64 {
        self.committed.iter().sum()
    }

    /// Whether nothing is left to read, except in held partitions.
    pub fn is_stuck_or_done(&self, ends: &[i64]) -> bool {
        (0..)
            .zip(self.committed.iter().zip(ends))
            .all(|(partition, (committed, end))| committed >= end || self.held.contains(&partition))
    }
}

/// What happened to the service so far.
#[derive(Debug, Default)]
pub struct Happened {
    pub kills: u64,
    /// How often partitions were assigned.
    pub assigned: u64,
    /// Orderly ends with exit code 0.
    pub stops: u64,
    /// Orderly ends with exit code 65: a partition was held.
    pub stops_held: u64,
    /// How often a partition was held, over all starts.
    pub held: u64,
    /// The messages at which partitions were held, by partition and offset. After a restart it can be the same message
    /// again.
    pub dead_ends: BTreeSet<(i32, i64)>,
}

/// A topic, a simulator, and the state that a group's members leave in both.
pub struct Scene {
    pub sim: SimProgram,
    pub topic: Topic,
    pub group: String,
    watcher: BaseConsumer,
}

impl Scene {
    pub fn new(sim: SimProgram, topic: Topic, group: &str) -> Scene {
        let mut client = topic.client.clone();
        // This client also observes while a broker is away, and must see at once that it is back.
        client
            .set("group.id", group)
            .set("reconnect.backoff.max.ms", "200")
            .set_log_level(RDKafkaLogLevel::Critical);
        let watcher = client.create().unwrap();
        Scene {
            sim,
            topic,
            group: group.to_owned(),
            watcher,
        }
    }

    pub fn say(&self, commands: &[&str]) {
        for command in commands {
            self.sim.say(command);
        }
    }

    /// The committed offset of each partition; 0 if there is none.
    pub fn committed(&self) -> Vec<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic.name, 0, self.topic.partitions - 1);
        // A broker that has just started must find its coordinators first.
        let committed = wait_until(
            "the group's offsets",
            || self.watcher.committed_offsets(list.clone(), DEADLINE),
            Result::is_ok,
        )
        .unwrap();
        (0..self.topic.partitions)
            .map(
                |partition| match committed.find_partition(&self.topic.name, partition).unwrap().offset() {
                    Offset::Offset(offset) => offset,
                    _ => 0,
                },
            )
            .collect()
    }

    /// Number of write rows that were sent to the database.
    pub fn rows_sent(&self) -> u64 {
        self.sim.stat("writes")
    }

    /// How often the database returned each result code.
    pub fn results(&self) -> HashMap<u8, u64> {
        let stats = self.sim.say("stats");
        let results = stats.split_once(" results=").unwrap().1;
        results
            .split(',')
            .filter_map(|result| result.split_once(':'))
            .map(|(code, times)| (code.parse().unwrap(), times.parse().unwrap()))
            .collect()
    }

    /// How often the database returned this code.
    pub fn result(&self, code: u8) -> u64 {
        self.results().get(&code).copied().unwrap_or(0)
    }

    /// The bins of these records; `None` where there is no record.
    pub fn read(&self, set: &str, keys: &[String]) -> Vec<Option<HashMap<String, Value>>> {
        self.read_as(set, keys, bins)
    }

    /// The result of `what` for each of these records, read with the client that users have; `None` if there is no
    /// record.
    pub fn read_as<T>(&self, set: &str, keys: &[String], what: impl Fn(&Record) -> T) -> Vec<Option<T>> {
        let client = Client::new(&ClientPolicy::default(), &self.sim.addr.to_string()).unwrap();
        let found = read_records(&client, "test", set, keys, what);
        client.close().unwrap();
        found
    }
}

/// Running programs, and what can be observed of them.
pub trait Watched {
    type Seen: PartialEq + Debug;

    fn look(&self) -> Self::Seen;

    /// Whether all programs that should run are running.
    fn all_run(&mut self) -> bool;

    /// The state, for people who read why a wait failed.
    fn tell(&self) -> String;

    /// Waits until `reached` is true for what is observed, as long as something moves.
    ///
    /// # Panics
    /// If a program has ended, if nothing moves for [`DEADLINE`], and after [`WAIT_MAX`]. The message contains the
    /// state.
    fn wait(&mut self, what: &str, mut reached: impl FnMut(&Self::Seen) -> bool) -> Self::Seen {
        let began = Instant::now();
        let mut moved = began;
        let mut last = self.look();
        loop {
            if reached(&last) {
                return last;
            }
            let why = if !self.all_run() {
                Some("a program ended".to_owned())
            } else if moved.elapsed() >= DEADLINE {
                Some(format!("nothing moved for {DEADLINE:?}"))
            } else if began.elapsed() >= WAIT_MAX {
                Some(format!("it took {WAIT_MAX:?}"))
            } else {
                None
            };
            if let Some(why) = why {
                panic!("waited for {what}, and {why}: {last:?}; {}", self.tell());
            }
            std::thread::sleep(PACE);
            let seen = self.look();
            if seen != last {
                (last, moved) = (seen, Instant::now());
            }
        }
    }
}

/// The last lines of a log, for people who read why it failed.
pub fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A topic with all its messages, a simulator, and one service, which is a static member of its group.
pub struct Interrupted {
    scene: Scene,
    pub ends: Vec<i64>,
    pub happened: Happened,
    file: NamedTempFile,
    service: Option<Program>,
}

impl Deref for Interrupted {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Interrupted {
    /// Does not start the service. `run`: lines of `[run]`.
    pub fn new(kafka: &Kafka, source: Source, seed: u64, run: &str, routes: &str) -> Interrupted {
        Self::committing("200ms", kafka, source, seed, run, routes)
    }

    /// The same, with this commit interval.
    pub fn committing(
        interval: &'static str,
        kafka: &Kafka,
        source: Source,
        seed: u64,
        run: &str,
        routes: &str,
    ) -> Interrupted {
        let (topic, ends) = source.finish();
        let sim = SimProgram::start(&["--seed", &seed.to_string()]);
        // A static member that was killed gets its partitions back as soon as it is restarted.
        let consumer = format!(
            "\"group.instance.id\" = \"{}\"\n\"session.timeout.ms\" = 30000",
            unique("member")
        );
        let mut setup = Setup::new(kafka, &topic, sim.addr)
            .run(run)
            .consumer(&consumer)
            .routes(routes);
        setup.commit_interval = interval;
        let file = NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), setup.text()).unwrap();
        Interrupted {
            scene: Scene::new(sim, topic, &setup.group),
            ends,
            happened: Happened::default(),
            file,
            service: None,
        }
    }

    pub fn total(&self) -> i64 {
        self.ends.iter().sum()
    }

    pub fn start(&mut self) {
        assert!(self.service.is_none(), "it runs");
        self.service = Some(Program::start(penstock().arg("run").arg(self.file.path())));
    }

    /// Kills the service at once.
    pub fn kill(&mut self) {
        let mut service = self.service.take().expect("it runs");
        service.signal("KILL");
        let exited = service.end();
        exited.assert_signal(SIGKILL);
        self.note(&exited.output);
        self.happened.kills += 1;
    }

    /// Stops the service in order, and checks that its exit code says whether a partition was held. Returns `true` if
    /// one was.
    pub fn stop(&mut self) -> bool {
        let mut service = self.service.take().expect("it runs");
        service.signal("TERM");
        let exited = service.end();
        let held = self.note(&exited.output) > 0;
        exited.assert_code(if held { 65 } else { 0 });
        if held {
            self.happened.stops_held += 1;
        } else {
            self.happened.stops += 1;
        }
        held
    }

    /// Counts what an ended service logged, and returns how many partitions it held.
    fn note(&mut self, output: &str) -> usize {
        self.happened.assigned += output.matches("kafka: assigned").count() as u64;
        let held = held(output);
        self.happened.held += held.len() as u64;
        self.happened.dead_ends.extend(&held);
        held.len()
    }

    /// Waits for a log line of the running service that contains all of `parts`.
    pub fn wait_for_line(&mut self, parts: &[&str]) {
        self.service.as_mut().expect("it runs").wait_for_line(parts);
    }

    /// Waits until every message is committed. If the service holds a partition, it is stopped and restarted. Stops it
    /// at the end.
    pub fn drain(&mut self) {
        let ends = self.ends.clone();
        loop {
            let seen = self.wait("all offsets to be committed", |seen| seen.is_stuck_or_done(&ends));
            self.stop();
            if seen.held.is_empty() {
                break;
            }
            self.start();
        }
        let committed = self.committed();
        assert_eq!(committed, ends, "group {}: committed, and the ends", self.group);
    }
}

impl Watched for Interrupted {
    type Seen = Seen;

    fn look(&self) -> Seen {
        let output = self.service.as_ref().map(Program::output).unwrap_or_default();
        Seen {
            committed: self.committed(),
            held: held(&output).into_iter().map(|(partition, _)| partition).collect(),
            rows: self.rows_sent(),
        }
    }

    fn all_run(&mut self) -> bool {
        self.service.as_mut().is_some_and(Program::is_running)
    }

    fn tell(&self) -> String {
        let output = self.service.as_ref().map(Program::output).unwrap_or_default();
        format!("ends: {:?}; it said:\n{}", self.ends, tail(&output))
    }
}

/// The held messages in a log, by partition and offset.
fn held(output: &str) -> Vec<(i32, i64)> {
    let number = |line: &str, name: &str| {
        let value = line.split_once(name).unwrap().1;
        value.split(' ').next().unwrap().parse::<i64>().unwrap()
    };
    output
        .lines()
        .filter(|line| line.contains("message rejected, its partition is held"))
        .map(|line| {
            (
                i32::try_from(number(line, " partition=")).unwrap(),
                number(line, " offset="),
            )
        })
        .collect()
}
