//! Fuzz targets: what strangers write, given to the code that reads it first.
//!
//! A [`Target`] takes any bytes. It panics if the code under test does, or breaks a promise that holds for all bytes.
//! `examples/fuzz.rs` is the program with libFuzzer (`make fuzz`); `tests/corpora.rs` gives each target all that was
//! found before, in every run of the tests. To add a target, write a module, add a row to [`TARGETS`], and put a few
//! inputs into `corpus/NAME/` (and words into `dictionaries/NAME` where they help).

#![allow(clippy::panic, reason = "a panic is how a target tells a finding")]

// A producer's payload and key: decode and the rules.
mod decode;
// The same, down to the records of a node.
mod rows;
// The file of a user.
mod config;
// A node's answers to a batch.
mod answers;
// A node's answers to questions.
mod info;
// A client's requests to the simulator.
mod sim;
// Requests to the HTTP endpoints.
mod http;
// Lines of `penstock try --envelope`.
mod envelope;
// Samples for `penstock init`.
mod init;
// How much memory an input takes.
pub mod memory;
// The configurations whose rules take messages.
mod rule_sets;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Longer inputs are not made: they are slower, and find little more.
    pub bytes_max: usize,
    /// An input takes no more memory than this, or it is a finding.
    pub memory_max: usize,
    run: fn(&[u8]),
}

const MIB: usize = 1 << 20;

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "decode",
        bytes_max: 4096,
        memory_max: 8 * MIB,
        run: decode::run,
    },
    Target {
        name: "rows",
        bytes_max: 4096,
        memory_max: 16 * MIB,
        run: rows::run,
    },
    Target {
        name: "config",
        bytes_max: 4096,
        memory_max: 32 * MIB,
        run: config::run,
    },
    Target {
        name: "answers",
        bytes_max: 1024,
        memory_max: MIB,
        run: answers::run,
    },
    Target {
        name: "info",
        bytes_max: 8192,
        memory_max: 4 * MIB,
        run: info::run,
    },
    Target {
        name: "sim",
        bytes_max: 4096,
        memory_max: 16 * MIB,
        run: sim::run,
    },
    Target {
        name: "http",
        bytes_max: 2048,
        memory_max: 4 * MIB,
        run: http::run,
    },
    Target {
        name: "envelope",
        bytes_max: 2048,
        memory_max: 4 * MIB,
        run: envelope::run,
    },
    Target {
        name: "init",
        bytes_max: 2048,
        memory_max: 32 * MIB,
        run: init::run,
    },
];

impl Target {
    pub fn named(name: &str) -> Option<Target> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Gives it an input.
    ///
    /// # Panics
    /// If something is wrong with the code under test.
    pub fn run(&self, input: &[u8]) {
        let before = memory::begin();
        (self.run)(input);
        let most = memory::most_since(before);
        assert!(
            most <= self.memory_max,
            "{} bytes took {most} bytes of memory, at most {}",
            input.len(),
            self.memory_max
        );
    }
}
