#!/usr/bin/env bash
# Holds deploy/systemd/penstock@.service against systemd's own tools: `check-systemd.sh`. Neither needs a running systemd.
#
# `systemd-analyze verify` reads the unit, and `systemd-analyze security` rates its sandbox. The rating must be the one
# that the guide states, or a better one. What a running systemd does with the unit is tested by `make test-systemd`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# In tenths. (Newer versions rate it a little better.)
SCORE_MAX=13

fail() {
  echo "check-systemd: $*" >&2
  exit 1
}

(($# == 0)) || { echo "usage: scripts/check-systemd.sh" >&2 && exit 64; }

# 250 is the first one that rates a unit that is not loaded.
version=$(systemd-analyze --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p') || true
if [[ -z $version ]]; then
  if ! { command -v apt-get && [[ $(id -u) -eq 0 ]]; } >/dev/null; then
    echo "check-systemd: skipped: there is no systemd-analyze, and it is installed by root on Debian or Ubuntu only"
    exit 0
  fi
  scripts/setup.sh systemd
  version=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
fi
if ((version < 250)); then
  echo "check-systemd: skipped: systemd $version cannot rate a unit that is not loaded; 250 can"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# `verify` asks whether the program is there.
printf '#!/bin/sh\n' >"$work/penstock"
chmod 755 "$work/penstock"
grep -q '@BINDIR@' deploy/systemd/penstock@.service || fail "the unit has no @BINDIR@"
sed "s|@BINDIR@|$work|" deploy/systemd/penstock@.service >"$work/penstock@.service"
! grep '@BINDIR@' "$work/penstock@.service" || fail "a line has more than one @BINDIR@"

echo "Checking the unit with systemd $version"
# Its exit code is 0 also for what it only warns of, such as a setting that it does not know.
found=$(systemd-analyze verify "$work/penstock@events.service" 2>&1) || fail "the unit is refused: $found"
[[ -z $found ]] || fail "a warning about the unit: $found"
echo "  SUCCESS"

echo "Rating its sandbox (0 is best)"
rated=$(systemd-analyze security --offline=true --no-pager "$work/penstock@.service")
score=$(sed -n 's/^.*Overall exposure level for .*: \([0-9]*\)\.\([0-9]\) .*$/\1\2/p' <<<"$rated")
[[ -n $score ]] || fail "no rating: $rated"
if ((10#$score > SCORE_MAX)); then
  grep '✗' <<<"$rated" >&2 || true
  fail "the rating is $((10#$score / 10)).$((10#$score % 10)), and was $((SCORE_MAX / 10)).$((SCORE_MAX % 10))"
fi
stated="$((SCORE_MAX / 10)).$((SCORE_MAX % 10))"
grep -q "rates it $stated with systemd 252" docs/guide/running-under-systemd.md || fail "the guide does not state the rating $stated"
echo "  SUCCESS: $((10#$score / 10)).$((10#$score % 10))"
