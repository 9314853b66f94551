#!/usr/bin/env bash
# Installs missing system packages for the build: `setup.sh`, with `kafka` also those for the broker, with `page` also
# those for the tests of the status page, with `systemd` also those for the tests of the systemd unit, with `count` also
# valgrind.
#
# A Rust toolchain and a C compiler must be there already. The other packages are for librdkafka. It is compiled from the
# sources in its crate, and its build needs make and a C++ compiler (for a C++ wrapper that we do not use but its `make`
# builds anyway; `make fuzz` compiles libFuzzer with it). TLS comes from the system's OpenSSL, found by pkg-config.
#
# Each need is tested by itself, not by package, so a machine that meets it in another way is not changed. Silent when
# nothing is missing, and fast enough (some 20 ms) to run before every other target.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

usage() {
  echo "usage: scripts/setup.sh [kafka|page|systemd|count]" >&2
  exit 64
}

fail() {
  echo "setup: $*" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

with_kafka=no
with_page=no
with_systemd=no
with_count=no
case "${1-}" in
  '') ;;
  kafka) with_kafka=yes ;;
  page) with_page=yes ;;
  systemd) with_systemd=yes ;;
  count) with_count=yes ;;
  *) usage ;;
esac
(($# <= 1)) || usage

# Prints what is missing, as Debian's package names on one line.
missing_packages() {
  local wanted=()
  has "${CC:-cc}" || has gcc || has clang || wanted+=(gcc)
  # A compiler may lack the C library's headers and start files: gcc only recommends that package.
  if has cc && [[ $(cc -print-file-name=crt1.o) == crt1.o && $(uname -s) == Linux ]]; then
    wanted+=(libc6-dev)
  fi
  { [[ -n ${CXX:-} ]] && has "$CXX"; } || has g++ || has clang++ || has c++ || wanted+=(g++)
  has make || wanted+=(make)
  # OPENSSL_DIR and similar variables tell openssl-sys where to look without pkg-config.
  if [[ -z ${OPENSSL_DIR:-}${OPENSSL_LIB_DIR:-} ]]; then
    has "${PKG_CONFIG:-pkg-config}" || wanted+=(pkg-config)
    "${PKG_CONFIG:-pkg-config}" --exists openssl 2>/dev/null || wanted+=(libssl-dev)
  fi
  if [[ $with_kafka == yes ]]; then
    find_java >/dev/null || wanted+=("$(java_package)")
    has mvn || wanted+=(maven)
    # setsid and flock, with which kafka.sh starts one broker and detaches it.
    { has setsid && has flock; } || wanted+=(util-linux)
  fi
  if [[ $with_page == yes ]]; then
    has chromium || has chromium-browser || has google-chrome || wanted+=(chromium)
    # The page shows arrows and signs; a machine without any font has none.
    has fc-list && [[ -n $(fc-list) ]] || wanted+=(fontconfig fonts-dejavu-core)
    has python3 || wanted+=(python3)
  fi
  if [[ $with_systemd == yes ]]; then
    # It brings systemd itself, which runs only where it is the machine's init.
    { has systemd-nspawn && has systemd-analyze; } || wanted+=(systemd-container)
    { has unshare && has nsenter && has findmnt; } || wanted+=(util-linux mount)
  fi
  [[ $with_count == no ]] || has valgrind || wanted+=(valgrind)
  echo "${wanted[*]-}"
}

# Distributions carry different versions of Java. Chooses the newest one that is common enough.
java_package() {
  local package
  for package in openjdk-21-jre-headless openjdk-17-jre-headless; do
    if has apt-cache && [[ -n $(apt-cache madison "$package" 2>/dev/null) ]]; then
      echo "$package"
      return
    fi
  done
  echo default-jre-headless
}

has cargo || fail "no cargo on the PATH: a Rust toolchain is needed first, $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer"

packages=$(missing_packages)
[[ -n $packages ]] || exit 0

privilege=()
if ! has apt-get; then
  fail "missing: $packages (Debian's names): install your system's equivalents; on Debian or Ubuntu: apt-get install $packages"
elif [[ $(id -u) -eq 0 ]]; then
  :
elif has sudo && sudo -n true 2>/dev/null; then
  privilege=(sudo -n)
else
  fail "missing: $packages, and neither root nor sudo without a password here; run: sudo apt-get update && sudo apt-get install -y --no-install-recommends $packages"
fi

apt() {
  # Another apt may be running on a machine that has just started: wait for its lock, for a limited time.
  ${privilege[@]+"${privilege[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
    -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

update() {
  echo "setup: apt-get update" >&2
  apt update >>"$log" 2>&1 || true # the install says what is wrong
}

install_missing() {
  local names
  read -ra names <<<"$(missing_packages)"
  echo "setup: installing ${names[*]}" >&2
  apt install --no-install-recommends "${names[@]}" >>"$log" 2>&1
}

# A fresh system or container has no package lists. If the lists are old, their files may be gone from the mirror, which
# shows only when the install fails.
if compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
  install_missing || { update && install_missing; } || { tail -n 15 "$log" >&2 && fail "apt-get could not install: $packages"; }
else
  update
  install_missing || { tail -n 15 "$log" >&2 && fail "apt-get could not install: $packages"; }
fi

packages=$(missing_packages)
[[ -z $packages ]] || fail "still missing after apt-get: $packages"
