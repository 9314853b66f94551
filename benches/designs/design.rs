//! The designs that are compared: their names, their forms, and how long their code is.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::mpsc::{self, Variant};
use crate::work::{Form, Setup};
use crate::{async_channel_workers, flume_workers, num_workers, rayon_batches, serial, spawn_blocking};

/// This service.
pub const SERVICE: &str = "7";
/// The service in Clojure.
pub const CLOJURE: &str = "8";

#[derive(Debug, Clone, Copy)]
pub struct Design {
    pub id: &'static str,
    pub name: &'static str,
    /// Its file, below `benches/designs`. The service has only its configuration.
    pub file: Option<&'static str>,
    pub forms: &'static [Form],
    /// How much longer than the others it warms up: a JVM compiles what runs often, and many consumers join one after
    /// another.
    pub warm: u32,
}

const FORMS: &[Form] = &[Form::Single, Form::Batch, Form::Native];

const fn design(id: &'static str, name: &'static str, file: &'static str) -> Design {
    Design {
        id,
        name,
        file: Some(file),
        forms: FORMS,
        warm: 1,
    }
}

pub const DESIGNS: [Design; 11] = [
    design("1", "serial loop", "serial.rs"),
    design("2", "rayon `par_iter`", "rayon_batches.rs"),
    design("3", "`spawn_blocking` per message", "spawn_blocking.rs"),
    Design {
        warm: 4,
        ..design("4", "`num_workers` async consumers", "num_workers.rs")
    },
    design("5a", "Kafka thread, tokio mpsc", "mpsc.rs"),
    design("5b", "5a, batches in the channel", "mpsc.rs"),
    design("5c", "5a, all in `block_on`", "mpsc.rs"),
    design("6a", "flume to N threads", "flume_workers.rs"),
    design("6b", "async-channel to N threads", "async_channel_workers.rs"),
    Design {
        id: SERVICE,
        name: "this service",
        file: None,
        forms: FORMS,
        warm: 1,
    },
    Design {
        id: CLOJURE,
        name: "Clojure core.async",
        file: Some("clojure/service.clj"),
        forms: &[Form::Single, Form::Batch],
        warm: 8,
    },
];

/// Runs this process as a design, for ever.
pub fn run(id: &str, setup: &Setup) -> Result<(), Box<dyn Error>> {
    match id {
        "1" => serial::run(setup),
        "2" => rayon_batches::run(setup),
        "3" => spawn_blocking::run(setup),
        "4" => num_workers::run(setup),
        "5a" => mpsc::run(setup, Variant::Messages),
        "5b" => mpsc::run(setup, Variant::Batches),
        "5c" => mpsc::run(setup, Variant::BlockOn),
        "6a" => flume_workers::run(setup),
        "6b" => async_channel_workers::run(setup),
        _ => Err(format!("no design {id} runs in this program").into()),
    }
}

impl Design {
    /// Whether one of `--only` names it: `5` names all of 5.
    pub fn is_in(&self, only: &[String]) -> bool {
        let number = self.id.trim_end_matches(char::is_alphabetic);
        only.is_empty() || only.iter().any(|name| name == self.id || name == number)
    }

    /// One of those with which the service is compared.
    pub fn is_other(&self) -> bool {
        self.id != SERVICE && self.id != CLOJURE
    }

    /// Lines without comments and empty ones.
    pub fn lines(&self, setup: &Setup) -> Result<usize, Box<dyn Error>> {
        let text = match self.file {
            Some(file) => fs::read_to_string(folder().join(file))?,
            None => service_config(setup),
        };
        let is_code = |line: &&str| !line.is_empty() && !["//", ";", "#"].iter().any(|mark| line.starts_with(mark));
        Ok(text.lines().map(str::trim).filter(is_code).count())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/designs")
}

/// The configuration of the service. In single form it sends each row by a call of its own, too. Its memory has a bound
/// that the other designs do not have.
pub fn service_config(setup: &Setup) -> String {
    setup.config(match setup.form {
        Form::Single => "writer = \"client\"\n[run]\nmemory = \"192MiB\"\nbatch_rows_max = 1\n",
        Form::Batch => "writer = \"client\"\n[run]\nmemory = \"192MiB\"\n",
        Form::Native => "[run]\nmemory = \"192MiB\"\n",
    })
}
