#!/usr/bin/env bash
# Runs a command beside a fresh, minimal Debian: `with-debian.sh [--packages NAME,…] COMMAND…`. DEBIAN_ROOT is the folder
# with its tree, in which the command may change whatever it likes: `chroot "$DEBIAN_ROOT" sh`. The exit code is that of
# the command. Needs root.
#
# The tree is debootstrap's smallest variant with cron (or with the packages that are named), from memory. Command and tree
# have mounts and processes of their own (namespaces). So nothing is left when this ends, whatever ends it: no mount, and no
# process. The network is the machine's.
#
# The first run takes a minute: it makes the tree, and keeps it in .cache/debian. DEBIAN_SUITE names another release than
# bookworm, DEBIAN_MIRROR another mirror than debootstrap's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

packages=cron
if [[ ${1-} == --packages ]]; then
  packages=${2:?}
  shift 2
fi
if (($# == 0)); then
  echo "usage: scripts/with-debian.sh [--packages NAME,…] COMMAND [ARGUMENT…]" >&2
  exit 64
fi

fail() {
  echo "with-debian: $*" >&2
  exit 1
}

suite=${DEBIAN_SUITE:-bookworm}
cache=$PWD/.cache/debian
archive=$cache/$suite-${packages//,/+}.tar
# Each run has its own file system there, which no other run sees.
DEBIAN_ROOT=$cache/root

if [[ -z ${WITH_DEBIAN:-} ]]; then
  [[ $(id -u) -eq 0 ]] || fail "a tree of another system is root's work: run this as root"
  mkdir -p "$DEBIAN_ROOT"
  if ! command -v debootstrap >/dev/null && [[ ! -x $cache/debootstrap/usr/sbin/debootstrap ]]; then
    unpack_package debootstrap "$cache/debootstrap"
  fi
  # The first process of a namespace of processes: with it, all of them end. It ends with this one.
  WITH_DEBIAN=yes exec unshare --mount --pid --fork --kill-child --mount-proc -- "$0" --packages "$packages" "$@"
fi
unset WITH_DEBIAN

# Fills the empty tree, and keeps it.
make_tree() {
  local debootstrap fresh
  debootstrap=$(command -v debootstrap || true)
  if [[ -z $debootstrap ]]; then
    debootstrap=$cache/debootstrap/usr/sbin/debootstrap
    export DEBOOTSTRAP_DIR=$cache/debootstrap/usr/share/debootstrap
  fi
  echo "with-debian: making a Debian $suite with $packages" >&2
  "$debootstrap" --variant=minbase --include="$packages" "$suite" "$DEBIAN_ROOT" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} \
    >"$cache/log" 2>&1 </dev/null || {
    tail -n 20 "$cache/log" >&2
    fail "debootstrap could not make the tree; its log is $cache/log"
  }
  rm -rf "$DEBIAN_ROOT"/var/cache/apt/archives/*.deb
  fresh=$(mktemp "$archive.XXXXXX")
  tar -cf "$fresh" --one-file-system -C "$DEBIAN_ROOT" .
  mv "$fresh" "$archive"
}

mount -t tmpfs -o mode=755 tmpfs "$DEBIAN_ROOT"
if [[ -s $archive ]]; then
  tar -xf "$archive" -C "$DEBIAN_ROOT"
else
  make_tree
fi
for folder in dev sys; do
  mount --rbind "/$folder" "$DEBIAN_ROOT/$folder"
done
mount -t proc proc "$DEBIAN_ROOT/proc"
# Names are looked up as on this machine.
cp --dereference /etc/resolv.conf /etc/hosts "$DEBIAN_ROOT/etc/"
export DEBIAN_ROOT
"$@"
