#!/usr/bin/env bash
# Makes the archive for machines without a Rust toolchain, in target/dist: penstock-VERSION-ARCH-linux-gnu-glibcX.Y.tar.gz
# and SHA256SUMS.
#
#   dist.sh                    compiles with the profile `release` (or PROFILE) and OpenSSL linked in
#   dist.sh --system-openssl   with the system's OpenSSL: saves some minutes. Such an archive does not run everywhere, and
#                              its name says so
#   dist.sh --binary FILE      takes this program; implies nothing about its OpenSSL, which is looked at
#   dist.sh --out FOLDER       puts the archive there
#
# The program is stripped. What gdb and backtraces need is in bin/.debug/penstock.debug, where both look.
#
# The program must need no library but those of the C library and libgcc_s, which every Linux with glibc has. The glibc
# that it needs is read from the program itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "dist: $*" >&2
  exit 1
}

profile=${PROFILE:-release}
openssl=linked-in
binary=
out=target/dist
while (($# > 0)); do
  case $1 in
    --system-openssl) openssl=system ;;
    --binary)
      binary=${2:?}
      shift
      ;;
    --out)
      out=${2:?}
      shift
      ;;
    *)
      sed -n 's/^#   //p' "${BASH_SOURCE[0]}" >&2
      exit 64
      ;;
  esac
  shift
done

for tool in objcopy objdump nm addr2line tar gzip sha256sum; do
  command -v "$tool" >/dev/null || fail "$tool is missing; on Debian: apt-get install binutils"
done

features=
[[ $openssl == system ]] || features=static-openssl
if [[ -z $binary ]]; then
  # OpenSSL's build is written in Perl. Debian's perl-base has too little of it.
  [[ $openssl == system ]] || perl -MFindBin -MIPC::Cmd -MTime::Piece -e 1 2>/dev/null ||
    fail "OpenSSL's build needs Perl with all its modules; on Debian: apt-get install perl"
  # With the demo, as `make build`: the tests' dependencies add features to ours, and the archive has the program that the
  # tests test. It also shares all it can.
  arguments=(--profile "$profile" --locked --bin penstock --example demo)
  "${CARGO:-cargo}" build "${arguments[@]}" ${features:+--features "$features"}
  folder=$profile
  [[ $profile != dev ]] || folder=debug
  binary=${CARGO_TARGET_DIR:-target}/$folder/penstock
fi

# ---- what the program needs

libraries=$(objdump -p "$binary" | awk '$1 == "NEEDED" { print $2 }')
suffix=
others=
for library in $libraries; do
  case $library in
    libc.so.* | libm.so.* | libgcc_s.so.* | libdl.so.* | libpthread.so.* | librt.so.* | ld-linux*) ;;
    libssl.so.* | libcrypto.so.*)
      [[ $openssl == system ]] || fail "$binary needs $library: compile it with --features static-openssl, or say --system-openssl"
      suffix=-system-openssl
      others+=" $library"
      ;;
    *) fail "$binary needs $library, which not every machine has: link it in" ;;
  esac
done
glibc=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | cut -d _ -f 2)
[[ -n $glibc ]] || fail "$binary needs no glibc: this script is for programs that do"

# ---- the folder

version=$("$binary" --version | cut -d ' ' -f 2)
name=penstock-$version-$(uname -m)-linux-gnu-glibc$glibc$suffix
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/$name
scripts/stage.sh "$binary" "$stage"

cd "$stage"
debug=bin/.debug/penstock.debug
mkdir -p bin/.debug
objcopy --only-keep-debug --compress-debug-sections=zlib bin/penstock "$debug"
objcopy --strip-all --add-gnu-debuglink="$debug" bin/penstock
chmod 644 "$debug"
# Like gdb and Rust's backtraces, addr2line finds the symbols by the name that the program has of them.
main=$(nm -C "$debug" | awk '$3 == "penstock::cli::main" { print $1 }')
[[ $(addr2line -e bin/penstock "$main") == *src/cli/mod.rs:* ]] || fail "the stripped program and $debug do not fit"
cd - >/dev/null
scripts/notices.sh ${features:+"$features"} >"$stage/share/doc/penstock/THIRD-PARTY-NOTICES"
{
  "$stage/bin/penstock" --version
  echo
  echo "Runs on Linux, $(uname -m), with glibc $glibc or newer (ldd --version says which one a machine has)."
  echo "Needs these libraries: $(paste -sd ' ' <<<"$libraries")."
  if [[ -n $suffix ]]; then
    echo "Not a release: it needs the OpenSSL of the machine that compiled it (${others# })."
  else
    echo "OpenSSL is linked in. Authorities' certificates come from the system, wherever it keeps them."
  fi
} >"$stage/share/doc/penstock/REQUIREMENTS"
cp "$stage/share/doc/penstock"/{REQUIREMENTS,LICENSE} "$stage/"
cat >"$stage/README" <<EOF
Penstock writes Kafka messages to Aerospike.

  bin/penstock --version     REQUIREMENTS says what it needs
  ./install.sh               installs into /usr/local; PREFIX=\$HOME/.local ./install.sh does so without root

The documents begin with share/doc/penstock/README.md; docs/guide/installing.md beside it has all about installing.
EOF

# ---- the archive: the same files make the same bytes

date=$(git log -1 --format=%ct 2>/dev/null) || date=${SOURCE_DATE_EPOCH:-0}
mkdir -p "$out"
archive=$out/$name.tar.gz
tar --create --directory "$work" --format gnu --sort name --owner 0 --group 0 --numeric-owner --mtime "@$date" \
  --mode 'u=rwX,go=rX' "$name" | gzip -n >"$archive.new"
mv "$archive.new" "$archive"
(cd "$out" && sha256sum -- *.tar.gz >SHA256SUMS)
echo "$archive"
