//! The tests that need no service: the whole program against a broker in the process and the simulator, its parts, its
//! configuration and its documents. `make test`.
//!
//! One program, because each test program links librdkafka anew. A test must not depend on what else this process does:
//! names of topics, groups and files are random, and state of the whole process (environment, working folder) is not
//! touched.

// A test may fail by panicking, and some tell what they counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

// The configuration file.
mod config_doc;
mod config_faults;
mod config_syntax;
mod config_told_once;
mod config_valid;
mod kafka_properties;
mod recipes;
mod schema;

// Decoding, conditions, mapping.
mod conditions;
mod lives;
mod json_conformance;

// The write path, and what goes wrong silently on it.
mod pressure;
mod write_path;
mod write_property;

// The whole service.
mod advertised;
mod kafka_faults;
mod membership;
mod gone;
mod pipeline;
mod processors;
mod process;
mod progress;
mod publish;
mod rejects;
mod stopping;

// The commands.
mod commands;
mod cluster;
mod connect;
mod try_rejections;

// What tests of this and of the other programs are given.
mod database;

// The layout of the sources, and the rules of the house.
mod layout;
mod repository;
