#!/usr/bin/env bash
# Runs a command on a machine with a real systemd: `with-systemd.sh COMMAND…`. The exit code is that of the command.
#
# The machine is a container of systemd-nspawn. Its files are those of this machine, but nothing that it writes is left
# (only the repository is the real one). systemd is its process 1, with no units but systemd's own. The network is this
# machine's, so a broker or a simulator outside is reached. The command sees all of this: it calls `systemctl` as usual.
#
# It needs root, and systemd-container, which it installs on Debian and Ubuntu. This machine itself needs no systemd.
#
# WITH_SYSTEMD_TREE  the folder of another system's files (made by debootstrap, for instance): that one's systemd
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# For the start of the container, and for its end.
DEADLINE_S=${DEADLINE_S:-60}

if (($# == 0)); then
  echo "usage: scripts/with-systemd.sh COMMAND [ARGUMENT…]" >&2
  exit 64
fi

fail() {
  echo "with-systemd: $*" >&2
  exit 1
}

[[ $(id -u) -eq 0 ]] || fail "a container needs root"

# From here on nobody else sees what is mounted.
if [[ -z ${WITH_SYSTEMD_UNSHARED:-} ]]; then
  scripts/setup.sh systemd
  WITH_SYSTEMD_UNSHARED=yes exec unshare --mount "$0" "$@"
fi
unset WITH_SYSTEMD_UNSHARED

work=$(mktemp -d)
container=''
groups=()

# Waits until a command succeeds. Fails after the deadline.
wait_until() {
  local end=$((SECONDS + DEADLINE_S))
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

has_ended() {
  ! kill -0 "$container" 2>/dev/null
}

clean_up() {
  status=$?
  # A second Ctrl-C must not prevent the clean-up.
  trap '' INT TERM HUP
  if [[ -n $container ]]; then
    # nspawn tells systemd to halt; the second signal ends it at once.
    kill "$container" 2>/dev/null || true
    wait_until has_ended || kill "$container" 2>/dev/null || true
    wait "$container" 2>/dev/null || true
    ((status == 0)) || tail -n 20 "$work/log" >&2 || true
  fi
  local group
  for group in ${groups[@]+"${groups[@]}"}; do
    echo $$ >"$(dirname "$group")/cgroup.procs"
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  umount --lazy "$work/machine" "$work/disk" 2>/dev/null || true
  rm -rf --one-file-system "$work"
  exit "$status"
}
trap clean_up EXIT
# An EXIT trap runs on a signal only if the signal's own trap exits.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- its control groups: one of its own in each tree that systemd manages

# Prints the folders of this process's groups in version 2, and in systemd's tree of version 1.
own_groups() {
  local id controllers path mount
  while IFS=: read -r id controllers path; do
    case $id:$controllers in
      0:) mount=$(findmnt --noheadings --first-only --output TARGET --types cgroup2) ;;
      *:name=systemd) mount=$(findmnt --noheadings --first-only --output TARGET --types cgroup --options name=systemd) ;;
      *) continue ;;
    esac
    [[ -z $mount ]] || echo "$mount${path%/}"
  done </proc/self/cgroup
}

while read -r group; do
  group=$group/penstock-with-systemd.$$
  mkdir "$group" || fail "cannot make a control group"
  groups+=("$group")
  echo $$ >"$group/cgroup.procs"
done < <(own_groups)
((${#groups[@]} > 0)) || fail "no control groups (version 2) are mounted"

# ---- its files: this machine's, and a layer in memory above them

mkdir "$work/disk" "$work/machine"
mount -t tmpfs tmpfs "$work/disk"
mkdir "$work/disk/upper" "$work/disk/work"
mount -t overlay overlay -o "lowerdir=${WITH_SYSTEMD_TREE:-/},upperdir=$work/disk/upper,workdir=$work/disk/work" "$work/machine"
# What this machine starts is none of its business.
rm -rf "$work/machine"/etc/systemd/system "$work/machine"/var/log/journal
mkdir "$work/machine/etc/systemd/system"
# With the machine's own id, nspawn would refuse; without one, systemd would ask for a first boot.
tr -d - </proc/sys/kernel/random/uuid >"$work/machine/etc/machine-id"

# ---- the container

systemd=/lib/systemd/systemd
# One tree of control groups (version 2) is what today's distributions have.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --directory="$work/machine" --register=no --keep-unit \
  --console=pipe --link-journal=no --bind="$PWD" -- "$systemd" --unit=basic.target </dev/null >"$work/log" 2>&1 &
container=$!

# Prints the container's process 1.
leader() {
  cat "/proc/$container/task/$container/children" 2>/dev/null | cut -d ' ' -f 1
}

enter() {
  nsenter --target "$(leader)" --all --wd="/proc/$(leader)/root" -- "$@"
}

is_up() {
  has_ended || [[ -n $(leader) && $(enter systemctl is-active basic.target 2>/dev/null) == active ]]
}

wait_until is_up || fail "systemd is not up after $DEADLINE_S s"
! has_ended || fail "the container has ended"

# For tests, which change the machine that they run on.
export WITH_SYSTEMD=yes
# shellcheck disable=SC2016
enter /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
