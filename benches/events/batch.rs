//! Events as one batch, on the way that a worker takes them: decode, conditions, mapping, plan, and a writer.

use std::time::Duration;

use penstock::config;
use penstock::delivery::guard::{Guard, GuardIdentity, sequence};
use penstock::delivery::plan::Plan;
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Calls, Limits, RowWriter, WriteEnd, write};
use penstock::message::Message;
use penstock::output::{Output, Verdict};
use penstock::processor::Processor as _;
use penstock::rules::mapping::{Mapping, TopicMapping};
use penstock::util::stop::Stop;

/// One event in five is filtered, and the others write five bins. `root`: a line of the route.
pub fn rules(root: &str) -> Mapping {
    let text = r#"
        [kafka]
        brokers = "b:9092"
        topics = ["t"]
        [aerospike]
        hosts = "h:3000"
        namespace = "test"
        [[route]]
        ROOT
        when = "user.country != 'BR' && schema >= 3"
        [[route.write]]
        set = "events"
        key = "id"
        bins = { type = "type", ts = "ts", user = "user.id", os = "device.os", lat = "device.geo.lat" }
    "#;
    Mapping::compile(&config::parse(&text.replace("ROOT", root), "test.toml").unwrap()).unwrap()
}

/// Whether [`rules`] filter this event.
pub fn is_filtered(event: &str) -> bool {
    event.contains(r#""country":"BR""#)
}

/// What a worker makes once for its partition.
pub struct Worker {
    stop: Stop,
    guard: Guard,
}

impl Worker {
    pub fn new() -> Self {
        let owner = GuardIdentity {
            group: "g",
            topic_id: [0; 16],
            topic: "t",
            partition: 0,
            epoch: 0,
        };
        Worker {
            stop: Stop::new(),
            guard: Guard::new(&owner),
        }
    }
}

/// What became of the messages of a batch.
pub struct Done {
    pub filtered: u64,
    pub written: u64,
}

impl Worker {
    /// Takes these messages through one batch, which `writer` writes with one call.
    pub fn batch(&self, topic: &TopicMapping, pressure: &Pressure, messages: &[&str], writer: &dyn RowWriter) -> Done {
        let limits = Limits {
            rows: usize::MAX,
            bytes: usize::MAX,
            finish_max: Duration::MAX,
        };
        let calls = Calls {
            writer,
            pressure,
            stop: &self.stop,
            meanwhile: &|| {},
        };
        let mut plan = Plan::with_capacity(messages.len());
        let mut output = Output::default();
        let mut filtered = 0;
        for (index, payload) in messages.iter().enumerate() {
            let message = Message {
                topic: "t",
                partition: 0,
                offset: index as i64,
                timestamp_ms: None,
                key: None,
                payload: Some(payload.as_bytes()),
                headers: Vec::new(),
            };
            output.begin(index);
            match topic.process(&message, 0, &mut output).unwrap() {
                Verdict::Filtered => filtered += 1,
                Verdict::Kept => {}
            }
            for row in output.rows.drain(..) {
                let sequence = sequence(message.offset, row.number).unwrap();
                plan.push(row, sequence);
            }
        }
        let written = write(&plan, &limits, &self.guard, &calls);
        assert_eq!(written.end, WriteEnd::Finished);
        Done {
            filtered,
            written: written.tally.written,
        }
    }
}
