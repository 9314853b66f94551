#!/usr/bin/env bash
# Runs a command with `prometheus` and `promtool` on its PATH: `with-prometheus.sh COMMAND…`. The exit code is that of the
# command.
#
# Where the machine has none, Debian's package is unpacked into .cache/prometheus. It is not installed: it would bring a
# service that starts at once and at every boot. Needs no rights for that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if (($# == 0)); then
  echo "usage: scripts/with-prometheus.sh COMMAND [ARGUMENT…]" >&2
  exit 64
fi

cache=$PWD/.cache/prometheus

if ! { command -v prometheus && command -v promtool; } >/dev/null; then
  [[ -x $cache/usr/bin/prometheus && -x $cache/usr/bin/promtool ]] || unpack_package prometheus "$cache"
  PATH=$cache/usr/bin:$PATH
fi

"$@"
