#!/usr/bin/env bash
# `make install`: builds what is missing, stages it, and calls scripts/install.sh, with PREFIX and DESTDIR.
#
# As root after a user's `make build`, nothing is built: root would leave files in target that the user cannot replace.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

binary=target/release/penstock
if [[ $(id -u) -eq 0 && -x $binary && $(stat -c %u "$binary") -ne 0 ]]; then
  changed=$(find src docs/reference build.rs Cargo.toml Cargo.lock -type f -newer "$binary" -print -quit)
  if [[ -n $changed ]]; then
    echo "install: $changed is newer than $binary; first, as $(stat -c %U "$binary"): make build" >&2
    exit 1
  fi
else
  "${MAKE:-make}" --no-print-directory build
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
scripts/stage.sh "$binary" "$stage"
"$stage/install.sh"
