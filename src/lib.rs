//! Penstock leads Kafka topics into Aerospike: messages in, records out, offsets committed after the writes.
//!
//! The modules stand in the order in which a message meets them; [`worker`] is the one to read first.
//!
//! | to learn | read |
//! |---|---|
//! | what one message goes through | [`worker`], then [`pipeline`] stage by stage |
//! | who starts and stops what | [`supervisor`], [`rebalance`], [`shutdown`] |
//! | what a slow or failed database does to all of it | [`pressure`], [`watchdog`] |
//! | what may be configured | [`config`] |
//! | where Kafka and Aerospike are spoken to | [`broker`], [`store`] |
//!
//! # As a library
//!
//! The binary is a thin use of this crate. What a configuration makes of a message can be asked without any service:
//!
//! ```
//! use penstock::config;
//! use penstock::pipeline::map::{Mapping, Message};
//! use penstock::pipeline::output::{Output, Verdict};
//! use penstock::pipeline::row::RecordKey;
//! use penstock::processor::Processor as _;
//!
//! let config = config::parse(
//!     r#"
//!     [kafka]
//!     brokers = "127.0.0.1:9092"
//!     topics = ["events"]
//!
//!     [aerospike]
//!     hosts = "127.0.0.1:3000"
//!     namespace = "test"
//!
//!     [[route]]
//!       [[route.write]]
//!       set = "users"
//!       key = "user.id"
//!       bins = { country = "user.country" }
//!     "#,
//!     "events.toml",
//! )?;
//! let mapping = Mapping::compile(&config)?;
//! let rules = mapping.topic("events").ok_or("no route takes the topic")?;
//!
//! let message = Message {
//!     topic: "events",
//!     partition: 0,
//!     offset: 7,
//!     timestamp_ms: None,
//!     key: None,
//!     payload: Some(br#"{"user": {"id": "u1", "country": "de"}}"#),
//!     headers: Vec::new(),
//! };
//! let mut output = Output::default();
//! assert_eq!(rules.process(&message, 0, &mut output), Ok(Verdict::Kept));
//! assert_eq!(output.rows[0].key, RecordKey::String("u1".into()));
//!
//! // What cannot become a record is rejected, and says why.
//! let broken = Message { payload: Some(b"{"), ..message };
//! let rejection = rules.process(&broken, 0, &mut Output::default()).unwrap_err();
//! assert_eq!(rejection.reason.as_str(), "not_json");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`supervisor::run`] runs a configuration as the binary does. Rules that the file has no words for are code: a
//! [`processor::Processor`] takes the place of the routes, and everything else stays as it is
//! (`examples/processor/main.rs` is one, with the same rules in a file beside it).

// What the file may say → checked values.
pub mod config;
// READ FIRST: one partition's loop.
pub mod worker;
// The stages: decode → map → plan → write → commit.
pub mod pipeline;
// What is done with a message: the rules of the file, or code of your own.
pub mod processor;
// The main thread: start, poll, tell, end.
pub mod supervisor;
// Whether the first assignment comes in time.
pub mod beginning;
// What makes no progress though nothing excuses it.
pub mod watchdog;
// Who owns which partition.
pub mod rebalance;
// Partitions that are begun once more.
pub mod restarts;
// Partitions that wait until a person acts, told each minute.
pub mod holds;
// Where a test steps in.
pub mod hooks;
// When it has been too many rejects, and when one is told.
pub mod rejects;
// How much the database is asked at once.
pub mod pressure;
// The stop flag and the signals.
pub mod shutdown;
// The database's side.
pub mod store;
// Kafka's side.
pub mod broker;
// Exit codes, counters, the memory bound.
pub mod ops;
// The command line.
pub mod cli;
