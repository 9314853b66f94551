//! `penstock check`: everything that is wrong with a configuration, without asking anybody.

use std::io::{self, Write as _};
use std::path::Path;

use super::guards::guards;
use super::{load, shown};
use crate::ops::exit::Exit;

/// Says what is wrong with `file`, or that nothing is and what there is to know of it.
pub(super) fn check(file: &Path) -> Exit {
    match load(file) {
        Some(config) => {
            let writes: usize = config.routes.iter().map(|route| route.writes.len()).sum();
            let _ = writeln!(
                io::stdout().lock(),
                "{}: ok: {} topic(s), {} route(s), {writes} write(s)",
                shown(file),
                config.kafka.topics.len(),
                config.routes.len()
            );
            for line in guards(&config) {
                let _ = writeln!(io::stdout().lock(), "{line}");
            }
            Exit::Stopped
        }
        None => Exit::Configuration,
    }
}
