//! Samples for `penstock init`, whatever they hold: what it writes is a configuration that `penstock check` accepts.

use penstock::cli::fuzzing::init;

/// One sample per line.
pub fn run(input: &[u8]) {
    let payloads: Vec<&[u8]> = input
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .take(50)
        .collect();
    if let Err(why) = init(&payloads) {
        panic!("{why}");
    }
}
