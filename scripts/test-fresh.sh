#!/usr/bin/env bash
# Runs commands in a fresh clone of this repository, on a Debian with nothing but Rust and a C compiler:
# `test-fresh.sh [COMMAND…]`. Without a command: `make test`, then a short `make demo`. Needs root.
#
# What is committed is tested. Everything is compiled anew, which takes long. The toolchain and Cargo's downloads are those
# of this machine.
set -euo pipefail
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The second time, beside the tree, this has other mounts than the first time: what is mounted here is not the machine's.
mounts=$(readlink /proc/self/ns/mnt)
if [[ ${1-} != --from-mounts ]]; then
  # gcc only recommends the C library's headers, without which it compiles nothing.
  exec scripts/with-debian.sh --packages gcc,libc6-dev,make "$0" --from-mounts "$mounts" "$@"
fi
[[ ${2:?} == mnt:* && $2 != "$mounts" ]] || {
  echo "test-fresh: this would mount on the machine itself: call it without --from-mounts" >&2
  exit 1
}
shift 2

command=("$@")
(($# > 0)) || command=(sh -c 'make test && make demo ARGS="--messages 100000"')

# On a disk: what is compiled is larger than most memories.
# A run that was killed leaves its clone. Those of running ones are locked; one run at a time looks.
exec {cache}<"$PWD/.cache/debian"
flock "$cache"
for old in "$PWD"/.cache/debian/clone.*/; do
  [[ ! -d $old ]] || flock --nonblock "$old" rm -rf "$old" || true
done
clone=$(mktemp -d "$PWD/.cache/debian/clone.XXXXXX")
trap 'rm -rf "$clone"' EXIT
exec {lock}<"$clone"
flock "$lock"
exec {cache}<&-
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
