//! Runs the service like the binary, on a thread: a configuration text, the supervisor, a stop flag.

use std::error::Error;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use penstock::config;
use penstock::config::model::Config;
use penstock::observe::counters::Counters;
use penstock::observe::seen::Seen;
use penstock::service::supervisor;
use penstock::util::exit::Exit;
use penstock::util::stop::{Stop, StopKind};

use crate::collector::Topics;

/// The settings that differ between runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub brokers: String,
    pub topic: String,
    pub group: String,
    pub aerospike: String,
    pub set_prefix: String,
    pub batch_rows_max: usize,
    /// The topics for purchases and dead letters. `None`: nothing is published, and broken messages are dropped.
    pub topics: Option<Topics>,
}

/// Number of finished messages, whatever their outcome.
pub fn done(counters: &Counters) -> u64 {
    counters.messages_written.get()
        + counters.messages_filtered.get()
        + counters.messages_dead_lettered.get()
        + counters.messages_dropped.get()
}

impl Settings {
    pub fn users(&self) -> String {
        format!("{}users", self.set_prefix)
    }

    pub fn events(&self) -> String {
        format!("{}events", self.set_prefix)
    }

    pub fn config(&self) -> Result<Config, String> {
        config::parse(&self.configuration(), "demo.toml").map_err(|faults| faults.to_string())
    }

    fn configuration(&self) -> String {
        let (publish, reject) = match &self.topics {
            Some(topics) => (
                format!(
                    r#"
  # Purchases, as they came, for whoever ships them.
  [[route.publish]]
  when = "type == 'purchase'"
  topic = "{}"
  key = "user.id"
"#,
                    topics.purchases
                ),
                format!("action = \"dead_letter\"\ntopic = \"{}\"", topics.dead),
            ),
            None => (String::new(), "action = \"drop\"".to_owned()),
        };
        format!(
            r#"
[run]
batch_rows_max = {rows}

[kafka]
brokers = "{brokers}"
topics = ["{topic}"]
group = "{group}"

[aerospike]
hosts = "{aerospike}"
namespace = "test"

[[route]]
when = "type != 'heartbeat'"
require = ["ts > 0"]

  # The user as the last event has it.
  [[route.write]]
  set = "{users}"
  key = "user.id"
  bins = {{ country = "user.country", plan = "user.plan", os = "device.os", seen = "ts", last = "id" }}

  # Every event, by its own id.
  [[route.write]]
  set = "{events}"
  key = "id"
  bins = {{ type = "type", user = "user.id", ts = "ts", amount = "amount", items = "items" }}
{publish}
[reject]
{reject}
"#,
            rows = self.batch_rows_max,
            brokers = self.brokers,
            topic = self.topic,
            group = self.group,
            aerospike = self.aerospike,
            users = self.users(),
            events = self.events(),
        )
    }
}

/// A running service.
pub struct Service {
    stop: Stop,
    thread: JoinHandle<Exit>,
}

impl Service {
    pub fn start(config: Config, seen: Seen) -> Result<Self, Box<dyn Error>> {
        let stop = Stop::new();
        let thread = {
            let stop = stop.clone();
            thread::Builder::new()
                .name("service".into())
                .spawn(move || supervisor::run(&config, &stop, &seen))?
        };
        Ok(Service { stop, thread })
    }

    /// Whether it ended without being asked to.
    pub fn ended(&self) -> bool {
        self.thread.is_finished()
    }

    pub fn stop(self) -> Result<Exit, Box<dyn Error>> {
        self.stop.request(StopKind::Drain);
        self.thread.join().map_err(|_| "the service panicked".into())
    }
}

/// Messages per second over the first `limit` messages of the topic.
pub fn rate(settings: &Settings, limit: u64) -> Result<f64, Box<dyn Error>> {
    let counters = Arc::new(Counters::new());
    let service = Service::start(settings.config()?, Seen::from(&counters))?;
    let deadline = Instant::now() + Duration::from_secs(300);
    let wait_for = |count: u64| {
        while done(&counters) < count {
            if service.ended() || Instant::now() > deadline {
                return Err(format!("the service did {} of {count} messages", done(&counters)));
            }
            thread::sleep(Duration::from_millis(1)); // the pace of observation
        }
        Ok((Instant::now(), done(&counters)))
    };
    let (begin, first) = wait_for(1)?;
    let (end, last) = wait_for(limit)?;
    service.stop()?;
    Ok((last - first) as f64 / (end - begin).as_secs_f64())
}
