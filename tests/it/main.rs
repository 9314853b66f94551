//! The tests that need no external service: the whole program with a broker in the process and the simulator, its
//! parts, its configuration and its documents. `make test`.
//!
//! This is one program because each test program links librdkafka again. A test must not depend on what else this
//! process does: names of topics, groups and files are random, and tests do not change the state of the process
//! (environment, working folder).

// A test may fail by panicking, and some print counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

// The configuration file.
mod config_doc;
mod config_faults;
mod config_syntax;
mod config_told_once;
mod config_valid;
mod connect_formats;
mod kafka_properties;
mod payload_schema;
mod recipes;
mod schema;

// Decoding, conditions, mapping.
mod conditions;
mod lives;
mod json_conformance;
// What a message costs, counted.
mod allocations;
mod counts;
mod counted;

// The write path, and its silent failures.
mod partition_map;
mod pressure;
mod write_path;
mod write_property;

// The whole service.
mod advertised;
mod kafka_faults;
mod membership;
mod metrics;
mod gone;
mod page;
mod pipeline;
mod processors;
mod process;
mod progress;
mod secrets;
mod cron;
mod heartbeat;
mod http;
mod machine;
mod publish;
mod rejects;
mod lettered;
mod replay;
mod stopping;
mod systemd;

// The log, as text, as JSON and on a terminal.
mod log_lines;
mod log_output;

// The commands.
mod commands;
mod bench;
mod aerospike_logins;
mod aerospike_tls;
mod cluster;
mod connect;
mod dead;
mod init;
mod skip;
mod try_rejections;

// What is installed, and the archive.
mod install;
mod version;

// Helpers of the tests in this program and in the others.
mod database;

// Alerts and dashboard.
mod alerts;

// The layout of the sources, and the rules of the repository.
mod layout;
mod repository;
