//! Rules in code: a [`Processor`] instead of the file's routes.
//!
//! It does the same as the `[[route]]` in `SAME_IN_A_FILE` below, and its test compares the two. Use code for rules
//! that the file cannot express. The service does everything else: batches, retries, guards, back-pressure, commits,
//! dead letters.
//!
//! ```sh
//! cargo run --release --example processor -- examples/processor/settings.toml
//! ```
//!
//! Your own program is this file, with these lines in its Cargo.toml:
//!
//! ```toml
//! [dependencies]
//! penstock = { path = "../penstock", default-features = false }   # or { git = "…", tag = "…" }
//! log = "0.4"
//! env_logger = "0.11"
//! serde_json = "1"                                                 # or any other parser
//! tikv-jemallocator = { version = "0.7", features = ["unprefixed_malloc_on_supported_platforms"] }
//! ```
//!
//! A library chooses no allocator. To use the same one as Penstock's own programs, also for librdkafka:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
//! ```
//!
//! Make the rules of rows from [`RowRules::UPDATE`] (rows that set) and [`RowRules::guarded`] (rows that count). The
//! limits of a message are `ROWS_MAX`, `PUBLICATIONS_MAX`, `OPERATIONS_MAX`, `ROW_BYTES_MAX`, `TTL_SECONDS_MAX` and
//! `DEPTH_MAX`; a message that exceeds one is rejected. `docs/guide/processors.md` explains all of this.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use penstock::config;
use penstock::message::{Message, Reason, Rejection};
use penstock::observe::seen::Seen;
use penstock::output::publication::Publication;
use penstock::output::row::{Number, Op, RecordKey, RowAction, RowRules, RowTtl, Target};
use penstock::output::value::Value;
use penstock::output::{Output, RowParts, TooManyRows, Verdict};
use penstock::processor::Processor;
use penstock::rules::code::Processors;
use penstock::service::supervisor;
use penstock::util::exit::Exit;
use penstock::util::stop::{Stop, leave_now, stop_on_signals};
use penstock::web;
use penstock::web::about::about;
use penstock::web::heartbeat;

/// The same rules in a file.
#[cfg(test)]
const SAME_IN_A_FILE: &str = r#"
[kafka]
brokers = "127.0.0.1:9092"
topics = ["events"]

[aerospike]
hosts = "127.0.0.1:3000"
namespace = "test"

[[route]]
tombstone = "ignore"

  [[route.write]]
  set = "users"
  key = "user"
  bins = { seen = "ts" }
  add = { spend = { path = "cents", as = "integer" } }
  ttl = "30d"

  [[route.publish]]
  topic = "purchases"
  key = "user"
"#;

/// How much each user has spent, and a copy of each purchase in a separate topic.
struct Purchases {
    users: Arc<Target>,
    counts: RowRules,
}

impl Purchases {
    fn new(namespace: &str) -> Self {
        Purchases {
            users: Arc::new(Target::new(namespace, "users")),
            // It adds, so a message that Kafka delivers again must not count twice.
            counts: RowRules::guarded(),
        }
    }
}

impl Processor for Purchases {
    fn process<'m>(
        &'m self,
        message: &Message<'m>,
        _now_ms: i64,
        output: &mut Output<'m>,
    ) -> Result<Verdict, Rejection> {
        let Some(payload) = message.payload else {
            return Ok(Verdict::Kept);
        };
        // You can use any parser. Strings that it copies are then owned by the output.
        let event: serde_json::Value = serde_json::from_slice(payload)
            .map_err(|error| Rejection::new(Reason::Processor("not_json"), format!("line {}", error.line())))?;
        let user = event["user"].as_str().filter(|user| !user.is_empty()).ok_or_else(|| {
            Rejection::new(
                Reason::Processor("no_user"),
                "`user` is not a string with something in it",
            )
        })?;
        let cents = event["cents"]
            .as_i64()
            .ok_or_else(|| Rejection::new(Reason::Processor("no_cents"), "`cents` is not an integer"))?;

        let mut ops = Vec::with_capacity(2);
        if let Some(seen) = event["ts"].as_i64() {
            ops.push(Op::Put {
                bin: Cow::Borrowed("seen"),
                value: Value::Int(seen),
            });
        }
        ops.push(Op::Add {
            bin: "spend",
            by: Number::Int(cents),
        });
        let row = RowParts {
            target: &self.users,
            key: RecordKey::String(Cow::Owned(user.to_owned())),
            action: RowAction::Write(ops),
            ttl: RowTtl::Seconds(30 * 86_400),
            newer: None,
        };
        output
            .write(&self.counts, row)
            .map_err(|TooManyRows| Rejection::new(Reason::TooManyRows, "more rows than a guard can tell apart"))?;
        output.publish(Publication {
            message: output.message(),
            topic: "purchases",
            key: Some(Cow::Owned(user.as_bytes().to_vec())),
            payload: Some(Cow::Borrowed(payload)),
            headers: message
                .headers
                .iter()
                .map(|(name, value)| (Cow::Borrowed(*name), value.map(Cow::Borrowed)))
                .collect(),
            timestamp_ms: message.timestamp_ms,
        });
        Ok(Verdict::Kept)
    }

    fn namespaces(&self) -> Vec<String> {
        vec![self.users.namespace.clone()]
    }

    fn produced_topics(&self) -> Vec<String> {
        vec!["purchases".to_owned()]
    }
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,aerospike_core=off")).init();
    let Some(file) = std::env::args_os().nth(1).map(PathBuf::from) else {
        log::error!("name a configuration: cargo run --example processor -- examples/processor/settings.toml");
        return Exit::Usage.into();
    };
    let config = match config::load_settings(&file) {
        Ok(config) => config,
        Err(faults) => {
            log::error!("{faults}");
            return Exit::Configuration.into();
        }
    };
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        log::error!("cannot install the signal handlers: {error}");
        return Exit::Panic.into();
    }
    let purchases: Arc<dyn Processor> = Arc::new(Purchases::new(&config.aerospike.namespace));
    let processors = Processors::same_for(&config.kafka.topics, &purchases);
    // What `[http]` asks for, if the file has it.
    let seen = Seen::new(about(&config));
    let endpoints = match web::start(&config, &seen) {
        Ok(endpoints) => endpoints,
        Err(exit) => return exit.into(),
    };
    // What `run.heartbeat_file` and systemd ask for.
    let heartbeat = match heartbeat::start(&config, &file, &stop, &seen) {
        Ok(heartbeat) => heartbeat,
        Err(exit) => return exit.into(),
    };
    let exit = supervisor::run_with(&config, &processors, &stop, &seen);
    drop(endpoints);
    drop(heartbeat);
    // Threads of the clients may still run. Exit handlers would remove data that these threads use.
    leave_now(exit)
}

#[cfg(test)]
mod tests {
    use penstock::rules::mapping::Mapping;

    use super::*;

    fn message(payload: Option<&str>) -> Message<'_> {
        Message {
            topic: "events",
            partition: 0,
            offset: 5,
            timestamp_ms: Some(1_700_000_000_000),
            key: Some(b"key"),
            payload: payload.map(str::as_bytes),
            headers: vec![("trace", Some(b"abc"))],
        }
    }

    /// The output of a processor for a message, without the line numbers that only a file has.
    fn made(processor: &dyn Processor, payload: Option<&str>) -> Option<String> {
        let message = message(payload);
        let mut output = Output::default();
        let verdict = processor.process(&message, 0, &mut output).ok()?;
        let rows: Vec<String> = output
            .rows
            .iter()
            .map(|row| {
                let rules = RowRules {
                    line: 0,
                    ..row.rules.clone()
                };
                format!(
                    "{rules:?} {:?} {:?} {:?} {:?}",
                    row.target, row.key, row.action, row.ttl
                )
            })
            .collect();
        Some(format!("{verdict:?} {rows:?} {:?}", output.publications))
    }

    #[test]
    fn the_code_does_what_the_file_does() {
        let config = config::parse(SAME_IN_A_FILE, "same.toml").unwrap_or_else(|faults| panic!("{faults}"));
        let mapping = Mapping::compile(&config).unwrap();
        let file = mapping.topic("events").unwrap();
        let code = Purchases::new("test");
        for payload in [
            r#"{"user": "u1", "cents": 250, "ts": 1700000000}"#,
            r#"{"user": "u1", "cents": 250}"#,
            r#"{"user": "", "cents": 250}"#,
            r#"{"user": "u1", "cents": "many"}"#,
            r#"{"cents": 250}"#,
            r#"{"user": "u1""#,
        ] {
            assert_eq!(made(&code, Some(payload)), made(file, Some(payload)), "{payload}");
        }
        assert_eq!(made(&code, None), made(file, None));
        assert!(made(&code, Some(r#"{"user": "u1", "cents": 250}"#)).is_some());
    }

    #[test]
    fn its_settings_are_read() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/processor/settings.toml");
        let config = config::load_settings(file.as_ref()).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(config.routes.is_empty());
    }
}
