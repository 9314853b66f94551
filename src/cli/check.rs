//! `penstock check`: lists everything that is wrong with a configuration, without asking a server. With `--connect` it
//! also asks Kafka and Aerospike.

use std::io::{self, Write as _};
use std::path::Path;

use super::advice::{Advice, advice};
use super::guards::guards;
use super::terminal::{Colours, Kind, finding};
use super::{connect, load_to_connect, shown};
use crate::rules::mapping::Mapping;
use crate::util::exit::Exit;

/// Prints what is wrong with `file`. If nothing is wrong, prints a summary and advice.
pub(super) fn check(file: &Path, connect: bool) -> Exit {
    match load_to_connect(file) {
        Some(config) => {
            let writes: usize = config.routes.iter().map(|route| route.writes.len()).sum();
            let publishes: usize = config.routes.iter().map(|route| route.publishes.len()).sum();
            let publishes = if publishes > 0 {
                format!(", {publishes} publish(es)")
            } else {
                String::new()
            };
            let _ = writeln!(
                io::stdout().lock(),
                "{}: ok: {} topic(s), {} route(s), {writes} write(s){publishes}",
                shown(file),
                config.kafka.topics.len(),
                config.routes.len()
            );
            for line in guards(&config) {
                let _ = writeln!(io::stdout().lock(), "{line}");
            }
            // If a rule cannot be compiled, the command that runs it reports that.
            let mapping = Mapping::compile(&config).ok();
            let advice = mapping.map(|mapping| advice(&config, &mapping)).unwrap_or_default();
            for Advice { thing, found, cure } in &advice {
                let told = finding(Colours::of_stdout(), Kind::Warning, thing, found, cure);
                let _ = io::stdout().lock().write_all(told.as_bytes());
            }
            if connect {
                connect::connect(&config, advice.len())
            } else {
                Exit::Stopped
            }
        }
        None => Exit::Configuration,
    }
}
