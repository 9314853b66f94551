//! All that the fuzzer found and kept, given to the targets again, in every run of the tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use penstock_fuzz::{TARGETS, memory};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// The corpora are read by people, and cloned by all: they stay small (`make fuzz-merge`).
const CORPUS_BYTES_MAX: u64 = 64 * 1024;

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// One test, because the memory of an input is counted for the whole process.
#[test]
fn what_was_found_before_is_found_no_more() {
    let mut found = Vec::new();
    for target in TARGETS {
        let paths = corpus(target.name);
        assert!(!paths.is_empty(), "{}: no corpus", target.name);
        let bytes: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(bytes <= CORPUS_BYTES_MAX, "{}: {bytes} bytes", target.name);
        // What is made once, such as the compiled rules, is not of an input.
        let _ = catch_unwind(|| target.run(&fs::read(&paths[0]).unwrap()));
        for path in paths {
            let input = fs::read(&path).unwrap();
            if catch_unwind(|| target.run(&input)).is_err() {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(
        found.is_empty(),
        "findings (above is what each one says):\n{}",
        found.join("\n")
    );
}
