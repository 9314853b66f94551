#!/usr/bin/env bash
# Runs a command with `prometheus` and `promtool` on its PATH: `with-prometheus.sh COMMAND…`. The exit code is that of the
# command.
#
# Where the machine has none, Debian's package is unpacked into .cache/prometheus. It is not installed: it would bring a
# service that starts at once and at every boot. Needs no rights for that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# == 0)); then
  echo "usage: scripts/with-prometheus.sh COMMAND [ARGUMENT…]" >&2
  exit 64
fi

fail() {
  echo "with-prometheus: $*" >&2
  exit 1
}

cache=$PWD/.cache/prometheus

unpack() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail "prometheus and promtool are missing: install them (https://prometheus.io/download), or run this on Debian or Ubuntu"
  mkdir -p "$cache"
  local fresh log
  fresh=$(mktemp -d "$cache/new.XXXXXX")
  log=$fresh/log
  # shellcheck disable=SC2064
  trap "rm -rf '$fresh'" EXIT
  # A fresh system has no package lists, and old ones name files that are gone.
  if ! (cd "$fresh" && apt-get download prometheus) >>"$log" 2>&1; then
    [[ $(id -u) -eq 0 ]] || fail "apt-get download prometheus: $(tail -n 3 "$log"); perhaps: sudo apt-get update"
    apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 update >>"$log" 2>&1 || true # the download says what is wrong
    (cd "$fresh" && apt-get download prometheus) >>"$log" 2>&1 || fail "apt-get download prometheus: $(tail -n 3 "$log")"
  fi
  dpkg-deb -x "$fresh"/prometheus_*.deb "$fresh"
  rm -rf "$cache/bin"
  mv "$fresh/usr/bin" "$cache/bin"
  rm -rf "$fresh"
  trap - EXIT
}

if ! { command -v prometheus && command -v promtool; } >/dev/null; then
  [[ -x $cache/bin/prometheus && -x $cache/bin/promtool ]] || unpack
  PATH=$cache/bin:$PATH
fi

"$@"
