#!/usr/bin/env bash
# The compiler for `make fuzz`. Cargo calls it for the crates of this workspace only (RUSTC_WORKSPACE_WRAPPER), with the real
# compiler and its arguments. So dependencies are compiled as for everything else, and shared with it.
#
# It adds the coverage counters that libFuzzer reads, through flags that stable Rust takes (those of cargo-fuzz, without a
# sanitizer), and the checks that a release leaves out.
set -euo pipefail

case " $* " in
  # Build scripts run by themselves, without libFuzzer.
  *" --crate-name build_script_"* | *" -vV "*) exec "$@" ;;
esac
exec "$@" \
  -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
  -Cdebug-assertions=on \
  -Coverflow-checks=on
