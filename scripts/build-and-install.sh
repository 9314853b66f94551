#!/usr/bin/env bash
# `make install`: builds what is missing, stages it, and calls scripts/install.sh, with PREFIX and DESTDIR.
#
# As root in another user's tree, nothing is built: root would leave files in target that the user cannot replace.
set -euo pipefail
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
binary=$target/release/penstock
# Whose the tree is. If there is a program, whose that is.
owner=$(stat -c %u .)
user=$(stat -c %U .)
if [[ $owner -eq 0 && -e $binary ]]; then
  owner=$(stat -c %u "$binary")
  user=$(stat -c %U "$binary")
fi
if [[ $(id -u) -eq 0 && $owner -ne 0 ]]; then
  if [[ ! -x $binary ]]; then
    echo "install: there is no $binary, and root builds nothing in a tree of $user; first, as $user: make build" >&2
    [[ -n ${CARGO_TARGET_DIR-} ]] ||
      echo "(if it was built elsewhere: make install CARGO_TARGET_DIR=FOLDER)" >&2
    exit 1
  fi
  changed=$(find src docs/reference build.rs Cargo.toml Cargo.lock -type f -newer "$binary" -print -quit)
  if [[ -n $changed ]]; then
    echo "install: $changed is newer than $binary; first, as $user: make build" >&2
    exit 1
  fi
else
  "${MAKE:-make}" --no-print-directory build
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
scripts/stage.sh "$binary" "$stage"
"$stage/install.sh"
