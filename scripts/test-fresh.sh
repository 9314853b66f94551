#!/usr/bin/env bash
# Runs commands in a fresh clone of this repository, on a Debian with nothing but Rust and a C compiler:
# `test-fresh.sh [COMMAND…]`. Without a command: `make test`, then a short `make demo`. Needs root.
#
# What is committed is tested. Everything is compiled anew, which takes long. The toolchain and Cargo's downloads are those
# of this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -z ${DEBIAN_ROOT:-} ]]; then
  # gcc only recommends the C library's headers, without which it compiles nothing.
  exec scripts/with-debian.sh --packages gcc,libc6-dev,make "$0" "$@"
fi

command=("$@")
(($# > 0)) || command=(sh -c 'make test && make demo ARGS="--messages 100000"')

# On a disk: what is compiled is larger than most memories.
clone=$(mktemp -d "$PWD/.cache/debian/clone.XXXXXX")
trap 'rm -rf "$clone"' EXIT
git clone --quiet --no-local . "$clone"
git -C "$clone" remote remove origin
git -C "$clone" log -1 --format='test-fresh: %h %s' >&2

home=$DEBIAN_ROOT/root
cargo_home=${CARGO_HOME:-$HOME/.cargo}
mkdir -p "$home/penstock" "$home/.cargo/bin" "$home/.cargo/registry" "$home/.rustup"
mount --bind "$clone" "$home/penstock"
mount --bind "$cargo_home/registry" "$home/.cargo/registry"
mount --bind -o ro "$cargo_home/bin" "$home/.cargo/bin"
mount --bind -o ro "${RUSTUP_HOME:-$HOME/.rustup}" "$home/.rustup"
environment=(HOME=/root PATH=/root/.cargo/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin)
for variable in CARGO_BUILD_JOBS RUSTUP_AUTO_INSTALL; do
  [[ -z ${!variable:-} ]] || environment+=("$variable=${!variable}")
done
chroot "$DEBIAN_ROOT" env -i "${environment[@]}" sh -c 'cd /root/penstock && exec "$@"' sh "${command[@]}"
