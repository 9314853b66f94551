//! The log of a test program. It is shown if a test fails, and collected to check what an operator is told.

use std::sync::{LazyLock, OnceLock};

use log::{Level, Log, Metadata, Record};
use parking_lot::Mutex;

/// The logger: collects lines at WARN and ERROR, and passes all lines to the usual logger.
pub struct Lines {
    said: Mutex<Vec<(Level, String)>>,
    usual: env_logger::Logger,
}

static LINES: LazyLock<Lines> = LazyLock::new(|| Lines {
    said: Mutex::default(),
    usual: env_logger::builder()
        .is_test(true)
        .filter_level(log::LevelFilter::Info)
        .build(),
});

impl Lines {
    /// Starts collecting. May be called several times. A test program has only this logger.
    pub fn gather() {
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            log::set_logger(&*LINES).unwrap();
            log::set_max_level(log::LevelFilter::Info);
        });
    }

    /// The lines of a level that contain all of these words.
    pub fn with(level: Level, words: &[&str]) -> Vec<String> {
        let said = LINES.said.lock();
        let lines = said.iter().filter(|(of, _)| *of == level).map(|(_, line)| line);
        lines
            .filter(|line| words.iter().all(|word| line.contains(word)))
            .cloned()
            .collect()
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.usual.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() <= Level::Warn {
            self.said.lock().push((record.level(), record.args().to_string()));
        }
        self.usual.log(record);
    }

    fn flush(&self) {
        self.usual.flush();
    }
}
