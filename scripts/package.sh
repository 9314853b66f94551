#!/usr/bin/env bash
# The crate as a registry gets it: whether it has what it needs and nothing else, whether it compiles, and whether its
# documentation builds as docs.rs builds it.
#
# Both builds share the folder and the profile of all others, so that no dependency is compiled again. They run without
# the network, as docs.rs does. (docs.rs has the packages that scripts/setup.sh installs, OpenSSL's headers too. It
# compiles with a nightly compiler; ours needs none.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo=${CARGO:-cargo}
# A package of more is a mistake: a registry refuses 10 MiB.
bytes_max=2000000
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

# What is not committed cannot be in a package; a developer may still look at it.
dirty=()
[[ -z $(git status --porcelain 2>/dev/null) ]] || dirty=(--allow-dirty)
"$cargo" package --locked --package penstock "${dirty[@]}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
crate=$CARGO_TARGET_DIR/package/penstock-$version.crate
bytes=$(stat -c %s "$crate")
((bytes <= bytes_max)) || {
  echo "package: $crate has $bytes bytes, at most $bytes_max are expected: look at include in Cargo.toml" >&2
  exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xzf "$crate" -C "$work"
cd "$work"/penstock-*
DOCS_RS=1 RUSTDOCFLAGS="${RUSTDOCFLAGS-} --cfg docsrs -D warnings" "$cargo" rustdoc --locked --offline --lib
echo "package: $crate, $bytes bytes, $(tar -tzf "$crate" | wc -l) files"
