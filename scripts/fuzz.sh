#!/usr/bin/env bash
# Fuzzes each target of crates/penstock-fuzz for a stated time: `make fuzz`. Stable Rust and a C++ compiler are enough.
#
#   FUZZ_S=60                seconds for each target
#   FUZZ_RUNS=5000           in place of seconds: so many inputs, with the same seed (as in CI)
#   ONLY="decode http"       only these targets
#   FUZZ_JOBS=1              targets at a time
#   PROFILE=release          the Cargo profile of the program
#
#   scripts/fuzz.sh                    fuzzes; exit code 1: there are findings
#   scripts/fuzz.sh again TARGET FILE  gives a file to a target again, with a backtrace
#   scripts/fuzz.sh merge              makes the corpora of the repository anew: few small inputs, old and new, that reach
#                                      most of the code (needs Python)
#
# What was new is kept in .cache/fuzz/TARGET, for the next run. Findings are in .cache/fuzz/findings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo=${CARGO:-cargo}
profile=${PROFILE:-release}
seconds=${FUZZ_S:-60}
runs_max=${FUZZ_RUNS:-}
jobs=${FUZZ_JOBS:-1}
work=.cache/fuzz
findings=$work/findings
crate=crates/penstock-fuzz
# A slower input, or one that takes more memory, is a finding, too. (What an input may take: TARGETS in src/lib.rs.)
limits=(-timeout=10 -rss_limit_mb=2048)
# Of a corpus in the repository: the number of its inputs, and the size of each.
files_max=80
bytes_max=600

fail() {
  echo "fuzz: $*" >&2
  exit 64
}

[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "FUZZ_S=$seconds is no number of seconds"
[[ -z $runs_max || $runs_max =~ ^[1-9][0-9]*$ ]] || fail "FUZZ_RUNS=$runs_max is no number of inputs"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || fail "FUZZ_JOBS=$jobs is no number of targets"
all=$(sed -n 's/^ *name: "\(.*\)",$/\1/p' "$crate/src/lib.rs")
targets=${ONLY:-$all}
for target in $targets; do
  [[ -d $crate/corpus/$target ]] || fail "there is no target $target; there are: $(echo "$all" | tr '\n' ' ')"
done

build() {
  RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/fuzz-rustc.sh "$cargo" build --locked --profile "$profile" --workspace \
    --features penstock-fuzz/libfuzzer --example fuzz
  local folder=$profile
  [[ $profile != dev ]] || folder=debug
  program=${CARGO_TARGET_DIR:-target}/$folder/examples/fuzz
}

# Calls the program for a target, with libFuzzer's arguments.
call() {
  local target=$1 dictionary=$crate/dictionaries/$1 options=()
  shift
  [[ ! -e $dictionary ]] || options=("-dict=$dictionary")
  options+=("-max_len=$(length_max "$target")")
  PENSTOCK_FUZZ=$target "$program" "${limits[@]}" "${options[@]}" "$@"
}

length_max() {
  sed -n "/name: \"$1\"/,/bytes_max/ s/^ *bytes_max: \([0-9]*\),$/\1/p" "$crate/src/lib.rs"
}

# Fuzzes one target, and prints a line about it. Fails if there is a finding.
fuzz() {
  local target=$1 log=$work/$1.log status=0 began=$SECONDS
  local until=("-max_total_time=$seconds")
  [[ -z $runs_max ]] || until=("-runs=$runs_max" -seed=1)
  mkdir -p "$work/$target" "$findings"
  call "$target" "${until[@]}" "-artifact_prefix=$findings/$target-" -print_final_stats=1 \
    "$work/$target" "$crate/corpus/$target" >"$log" 2>&1 || status=$?
  local runs before after new finding
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  new=$(sed -n 's/^stat::new_units_added: *//p' "$log")
  before=$(sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p' "$log")
  after=$(sed -n 's/^#.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
  finding=$(sed -n 's/.*Test unit written to \(.*\)$/\1/p' "$log")
  printf 'fuzz: %-9s %8s runs in %s s, coverage %s -> %s, %s new inputs' "$target" "${runs:-?}" "$((SECONDS - began))" "${before:-?}" \
    "${after:-?}" "${new:-?}"
  if ((status == 0)); then
    echo ", no finding"
    return
  fi
  echo ", FINDING"
  grep -m 1 -A 3 -e 'panicked at' -e 'ERROR: libFuzzer' "$log" | sed 's/^/fuzz:   /'
  echo "fuzz:   input: ${finding:-none; see $log}"
  [[ -z $finding ]] || echo "fuzz:   again: PROFILE=$profile scripts/fuzz.sh again $target $finding"
  return 1
}

# Replaces the corpus of a target.
merge() {
  local target=$1 fresh name
  fresh=$(mktemp -d "$work/merge.XXXXXX")
  mkdir -p "$work/$target" "$fresh/merged" "$fresh/small" "$fresh/chosen"
  # One after the other: cp refuses two files of one name. The name is the content's hash.
  for name in "$crate/corpus/$target" "$work/$target"; do
    find "$name" -type f -size "-$((bytes_max + 1))c" -exec cp -t "$fresh/small" {} +
  done
  # Without hit counts: ten inputs that go around a loop 1 to 10 times are one.
  call "$target" -set_cover_merge=1 -use_counters=0 "-merge_control_file=$fresh/control" "$fresh/merged" "$fresh/small" \
    >"$work/$target.log" 2>&1
  scripts/fuzz-corpus.py "$fresh/control" "$files_max" | while read -r name; do cp "$name" "$fresh/chosen/"; done
  # What a person put there, for a reason that its name says, stays.
  find "$crate/corpus/$target" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
  cp "$fresh"/chosen/* "$crate/corpus/$target/"
  rm -rf "$fresh"
  echo "fuzz: $target: $(find "$crate/corpus/$target" -type f | wc -l) inputs, $(du -sb "$crate/corpus/$target" | cut -f 1) bytes"
}

case "${1-fuzz}" in
  fuzz)
    build
    amount="$seconds s"
    [[ -z $runs_max ]] || amount="$runs_max inputs"
    echo "fuzz: $amount for each target, $jobs at a time; new inputs and findings are in $work"
    status=0
    running=0
    for target in $targets; do
      if ((running == jobs)); then
        wait -n || status=1
        running=$((running - 1))
      fi
      fuzz "$target" &
      running=$((running + 1))
    done
    while ((running > 0)); do
      wait -n || status=1
      running=$((running - 1))
    done
    ((status == 0)) || echo "fuzz: mend each finding, and copy its input to $crate/corpus/TARGET/WHAT-IT-WAS: then the tests keep it" >&2
    exit "$status"
    ;;
  again)
    (($# == 3)) || fail "usage: scripts/fuzz.sh again TARGET FILE"
    build
    RUST_BACKTRACE=${RUST_BACKTRACE:-1} call "$2" "$3"
    ;;
  merge)
    build
    mkdir -p "$work"
    for target in $targets; do merge "$target"; done
    ;;
  *) fail "usage: scripts/fuzz.sh [again TARGET FILE | merge]" ;;
esac
