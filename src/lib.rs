//! Penstock writes Kafka messages to Aerospike, one OS thread per partition.
//!
//! Messages come in, records go out, and an offset is committed only after its writes.
//!
//! Read [`partition::worker`] first. In the list of modules at the end of this file, each uses only those below it,
//! and no two files use each other (`tests/it/layout.rs`). `docs/architecture/overview.md` has the map.
//!
//! | to learn | read |
//! |---|---|
//! | the way of one message | [`partition::worker`], then [`rules`] and [`delivery`] stage by stage |
//! | who starts and stops which thread | [`service`], [`util::stop`] |
//! | what a slow or failed database causes | [`delivery::pressure`], [`service::watchdog`] |
//! | what may be configured | [`config`] |
//! | how Kafka and Aerospike are called | [`kafka`], [`aerospike`] |
//!
//! # As a library
//!
//! The binary is a thin program over this crate. You can ask what a configuration makes of a message without any service:
//!
//! ```
//! use penstock::config;
//! use penstock::rules::mapping::Mapping;
//! use penstock::message::Message;
//! use penstock::output::{Output, Verdict};
//! use penstock::output::row::RecordKey;
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
//! [`service::supervisor::run`] runs a configuration as the binary does; [`web::start`] serves what its `[http]` asks for.
//! Write rules that the file cannot express in
//! Rust: a [`processor::Processor`] replaces the routes, and everything else stays the same
//! (`examples/processor/main.rs` is one, with the same rules in a file beside it).

// The command line.
pub mod cli;
// What the service shows over HTTP.
pub mod web;
// The main thread.
pub mod service;
// Dead letters once more, for `penstock replay`.
pub mod replay;
// Measures a configuration on the user's services, for `penstock bench`.
pub mod bench;
// One partition's thread. `partition::worker`: READ FIRST.
pub mod partition;
// What becomes of rows and messages: planned, written, published, committed.
pub mod delivery;
// The two clients: all calls to Kafka and Aerospike.
pub mod kafka;
pub mod aerospike;
// What the rules make of a message.
pub mod rules;
pub mod processor;
pub mod output;
// Turns the file into checked values.
pub mod config;
pub mod message;
// Used by all other modules.
pub mod observe;
pub mod util;
