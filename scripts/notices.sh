#!/usr/bin/env bash
# Prints the licences of everything that is linked into penstock: `notices.sh [CARGO FEATURES…]`. The archive contains it.
#
# The list comes from `cargo tree`, the texts from the sources that Cargo has fetched. A licence that several crates share
# is printed once. A library in C that this script does not know, or a crate without any text for its licence, is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "notices: $*" >&2
  exit 1
}

# The libraries in C, which are parts of crates. `crate|name|licence|file with the text`
C_LIBRARIES=(
  'rdkafka-sys|librdkafka|BSD-2-Clause and others|librdkafka/LICENSES.txt'
  'openssl-src|OpenSSL|Apache-2.0|openssl/LICENSE.txt'
  'zstd-sys|zstd|BSD-3-Clause|zstd/LICENSE'
  'libz-sys|zlib|Zlib|src/zlib/LICENSE'
  'tikv-jemalloc-sys|jemalloc|BSD-2-Clause|jemalloc/COPYING'
  'ring|parts of BoringSSL|ISC and others|LICENSE-BoringSSL'
)
# Crates with `links` that contain no library: they name one of the above, or one of the system.
NO_LIBRARY=(openssl-sys)

features=(${1+--features "$1"})
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT

# Name and version, licence, folder. Without procedural macros and build scripts: they are not linked.
crates() {
  "${CARGO:-cargo}" tree --locked --prefix none --format '{p}|{l}' --package penstock "${features[@]}" "$@" |
    sed 's/ (\*)//; s/ (proc-macro)//' | sort -u
}

# The folder of `NAME vVERSION`.
source_of() {
  local name=${1% v*} version=${1##* v} folder
  for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-$version" "vendor/$name-$version" "vendor/$name"; do
    if [[ -d $folder ]]; then
      echo "$folder"
      return
    fi
  done
  fail "the sources of $1 are not there: run cargo fetch"
}

# Adds the text in the file $1 for $2.
add() {
  local sum
  sum=$(tr -s '[:space:]' ' ' <"$1" | sha256sum | cut -d ' ' -f 1)
  cp "$1" "$texts/$sum.text"
  echo "$2" >>"$texts/$sum.names"
}

linked=$(crates --edges normal,no-proc-macro)
compiled=$(crates --edges normal,build)

without_text=()
list=
while IFS='|' read -r crate licence; do
  case $crate in
    penstock\ *) continue ;;
  esac
  folder=$(source_of "$crate")
  [[ -n $licence ]] || licence='see its text'
  list+="  $crate: $licence"$'\n'
  found=no
  for file in "$folder"/{LICEN[CS]E,COPYING,NOTICE,UNLICENSE,COPYRIGHT}*; do
    [[ -f $file ]] || continue
    add "$file" "$crate"
    found=yes
  done
  # Some crates keep only the expression. Most of these may be used under Apache-2.0, whose text is Penstock's own.
  if [[ $found == no ]]; then
    [[ $licence == *Apache-2.0* || $licence == *MIT* ]] || fail "$crate ($licence) has no file with its licence"
    without_text+=("$crate ($licence)")
  fi
done <<<"$linked"

known=" ${NO_LIBRARY[*]} "
libraries=
while IFS='|' read -r crate _; do
  for library in "${C_LIBRARIES[@]}"; do
    IFS='|' read -r name called licence file <<<"$library"
    known+="$name "
    [[ ${crate% v*} == "$name" ]] || continue
    folder=$(source_of "$crate")
    [[ -f $folder/$file ]] || fail "$crate has no $file: look where it keeps the licence of $called"
    add "$folder/$file" "$called"
    libraries+="  $called (in $crate): $licence"$'\n'
  done
  folder=$(source_of "$crate" 2>/dev/null) || continue
  if grep -q '^links = ' "$folder/Cargo.toml" 2>/dev/null && [[ $known != *" ${crate% v*} "* ]]; then
    grep '^links = ' "$folder/Cargo.toml" >&2
    fail "$crate may contain a library in C: add it to scripts/notices.sh"
  fi
done <<<"$compiled"

cat <<EOF
What is linked into penstock, and under which licences
======================================================

Penstock itself is licensed under Apache-2.0: see LICENSE. The parts of others keep their own licences. Their texts
follow the lists. The Rust standard library (MIT OR Apache-2.0) is linked in, too.

Libraries in C
--------------

$libraries
Crates
------

$list
EOF
if ((${#without_text[@]} > 0)); then
  printf 'These crates come without the text of their licence:\n\n'
  printf '  %s\n' "${without_text[@]}"
  echo
fi
for file in "$texts"/*.text; do
  printf '%s\n' '------------------------------------------------------------------------------'
  sort -u "${file%.text}.names" | paste -sd, | sed 's/,/, /g' | fold -s -w 110
  printf '%s\n\n' '------------------------------------------------------------------------------'
  cat "$file"
  echo
done
