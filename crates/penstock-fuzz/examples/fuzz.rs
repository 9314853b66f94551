//! The program with libFuzzer: `PENSTOCK_FUZZ=TARGET fuzz [OPTIONS] [CORPUS …]`. `scripts/fuzz.sh` builds and calls it.
//!
//! One program has all targets, because each one would link librdkafka, which takes long.

#![no_main]

use std::env;
use std::sync::OnceLock;

use penstock_fuzz::{TARGETS, Target, memory};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let names = TARGETS.map(|target| target.name).join(", ");
    let name = env::var("PENSTOCK_FUZZ").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("PENSTOCK_FUZZ={name:?} is none of: {names}"))
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| TARGET.get_or_init(target).run(input));
