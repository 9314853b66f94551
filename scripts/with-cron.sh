#!/usr/bin/env bash
# Runs a command beside a real cron daemon: `with-cron.sh COMMAND…`. CRONTABS is the daemon's folder of crontabs, one file
# for each user. The exit code is that of the command.
#
# The command and the daemon see a spool of their own (a mount namespace, which needs root), so the machine's crontabs are
# neither run nor changed. Where the machine has no cron, Debian's package is unpacked into .cache/cron; it is not
# installed, which would start a daemon at every boot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if (($# == 0)); then
  echo "usage: scripts/with-cron.sh COMMAND [ARGUMENT…]" >&2
  exit 64
fi

fail() {
  echo "with-cron: $*" >&2
  exit 1
}

cache=$PWD/.cache/cron

if [[ -z ${WITH_CRON_DAEMON:-} ]]; then
  [[ $(id -u) -eq 0 ]] || fail "the daemon starts jobs as another user: run this as root"
  daemon=$(command -v cron || true)
  if [[ -z $daemon ]]; then
    [[ -x $cache/usr/sbin/cron ]] || unpack_package cron "$cache"
    daemon=$cache/usr/sbin/cron
  fi
  WITH_CRON_DAEMON=$daemon exec unshare --mount "$0" "$@"
fi

# From here on nobody else sees what is mounted.
mount -t tmpfs tmpfs /var/spool
mount -t tmpfs tmpfs /run
[[ ! -d /etc/cron.d ]] || mount -t tmpfs tmpfs /etc/cron.d
[[ ! -e /etc/crontab ]] || mount --bind /dev/null /etc/crontab
export CRONTABS=/var/spool/cron/crontabs
mkdir -p "$CRONTABS"
chmod 1730 "$CRONTABS"
"$WITH_CRON_DAEMON" -f &
daemon=$!
trap 'kill "$daemon"' EXIT
"$@"
