#!/bin/sh
# install.sh: installs Penstock from the folder that this script is in: an unpacked archive, or what `make install` staged.
#
#   ./install.sh                         into /usr/local; needs the rights to write there
#   PREFIX=$HOME/.local ./install.sh     without root
#   ./install.sh --uninstall             removes what it installed, and nothing else
#
# DESTDIR is put before all paths, for those who make packages.
#
# The folder has the files as they are installed (bin, lib, share). All are written under other names (.NAME.new), then
# renamed: a running program goes on, and nobody sees half a file. PREFIX/share/penstock/installed-files lists what is
# installed. It is written first, so what an interrupted installation leaves can be removed, too.
# Configurations, state and logs are never touched: /etc and /var are not written to.
set -eu
umask 022
# A message of cp or mkdir becomes part of ours. And `cd` goes nowhere else.
export LC_ALL=C
unset CDPATH

usage() {
  sed -n 's/^#   //p' "$0" >&2
  exit 64
}

# Not `echo`: some take \b in a path for a character of control.
say() {
  printf 'install.sh: %s\n' "$*" >&2
}

fail() {
  say "$*"
  exit 1
}

# Says what failed ($1) and why ($2).
cannot() {
  case $2 in
    *'ermission denied'*) fail "cannot $1: $2; without root, set PREFIX to a folder of yours: PREFIX=\$HOME/.local" ;;
    *) fail "cannot $1: $2" ;;
  esac
}

here=$(cd -P -- "$(dirname -- "$0")" && pwd -P)
command=install
case ${1-} in
  '') ;;
  --uninstall) command=uninstall ;;
  *) usage ;;
esac
[ $# -le 1 ] || usage

# The copy of this script that was installed belongs to its own prefix.
case $here in
  */share/penstock) default=${here%share/penstock} ;;
  *) default=/usr/local ;;
esac
PREFIX=${PREFIX:-$default}
DESTDIR=${DESTDIR:-}
newline='
'
case $PREFIX in
  *"$newline"*) fail "PREFIX has more than one line" ;;
  /*) ;;
  '~'*) fail "PREFIX is $PREFIX: the shell has not replaced the ~; write \$HOME in its place" ;;
  *) fail "PREFIX is $PREFIX; give a whole path, for instance $PWD/$PREFIX" ;;
esac
# `/` is the empty prefix.
while [ "$PREFIX" != "${PREFIX%/}" ]; do PREFIX=${PREFIX%/}; done
root=$DESTDIR$PREFIX
list=$root/share/penstock/installed-files
bindir=$PREFIX/bin
unit=lib/systemd/system/penstock@.service

# ---- the list: names of files, and of folders with a / at the end, all below $root

# One run at a time: the others wait. A lock of the folder itself leaves no file behind. Where flock does not work (it is
# missing, or the folder is on some network file systems), a folder is the lock.
locked=
lock() {
  exec 9<"${root:-/}"
  if command -v flock >/dev/null; then
    flock -n 9 2>/dev/null && return
    say "waiting for another install.sh in ${root:-/}"
    flock 9 2>/dev/null && return
  fi
  mkdir "$root/.penstock-install.lock" ||
    fail "another install.sh runs in ${root:-/}. If none does: rmdir '$root/.penstock-install.lock'"
  locked=yes
}

# Prints what the list names, without what leads out of $root. Fails if it is not a list of this script.
installed() {
  grep -Fxq share/penstock/installed-files "$list" 2>/dev/null || return 1
  grep -Ev '^/|^$|(^|/)\.\.?(/|$)' "$list"
}

# `.NAME.new` of a name.
new_name() {
  case $1 in
    */*) new=$root/${1%/*}/.${1##*/}.new ;;
    *) new=$root/.$1.new ;;
  esac
}

# Removes the files that are named by the lines of $1, and then those of the named folders that are empty, the deepest
# first.
remove() {
  while IFS= read -r name; do
    case $name in
      '' | */) continue ;;
    esac
    new_name "$name"
    for file in "$root/$name" "$new"; do
      # A folder that has the name of a file is none of ours.
      [ -d "$file" ] && [ ! -L "$file" ] || rm -f -- "$file" || fail "cannot remove $file"
    done
  done <<EOF
$1
EOF
  printf '%s\n' "$1" | grep '/$' | sort -r | while IFS= read -r name; do
    rmdir -- "$root/$name" 2>/dev/null || :
  done
}

# Prints the lines of $1 that $2 does not have.
without() {
  printf '%s\n' "$1" | while IFS= read -r name; do
    [ -z "$name" ] || printf '%s\n' "$2" | grep -Fxq -e "$name" || printf '%s\n' "$name"
  done
}

# Prints the folders of the names on its input, each once, the upper ones first.
folders() {
  while IFS= read -r name; do
    while [ "$name" != "${name%/*}" ]; do
      name=${name%/*}
      printf '%s/\n' "$name"
    done
  done | sort -u
}

make_folder() {
  [ -d "$root/$1" ] || why=$(mkdir -- "$root/$1" 2>&1) || cannot "make the folder $root/$1" "$why"
}

write_list() {
  new_name share/penstock/installed-files
  why=$({ printf '%s\n' "$1" | grep . >"$new"; } 2>&1) || cannot "write $list" "$why"
  mv -f -- "$new" "$list"
}

# After a failure or a signal, no half file is left. (What was renamed before is listed.)
names=
made=
clean_up() {
  status=$?
  trap '' HUP INT TERM
  if [ "$status" -ne 0 ] && [ -n "$names" ]; then
    printf '%s\n' "$names" | while IFS= read -r name; do
      new_name "$name"
      rm -f -- "$new" || :
    done
    [ -e "$list" ] || remove "$made"
  fi
  [ -z "$locked" ] || rmdir "$root/.penstock-install.lock" || :
  exit "$status"
}
trap clean_up EXIT
# In some shells, a signal runs the EXIT trap only if its own trap exits.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$command" = uninstall ]; then
  is_there() { [ -r "$list" ] || fail "there is no $list: nothing of Penstock is installed in ${root:-/} by this script"; }
  is_there
  lock
  is_there
  names=$(installed) || fail "$list is damaged, so nothing was removed; install once more, which repairs it, and then remove"
  remove "$names"
  names=
  printf '%s\n' "removed Penstock from ${root:-/}. Configurations (/etc/penstock), state and logs are as they were."
  exit 0
fi

# ---- install

[ -x "$here/bin/penstock" ] || fail "there is no $here/bin/penstock: run install.sh in the unpacked archive"
# A package may be made on another machine than it is for.
version=$("$here/bin/penstock" --version 2>&1) || [ -n "$DESTDIR" ] ||
  fail "this machine cannot run the program; share/doc/penstock/REQUIREMENTS says what it needs: $version"

# systemd reads units below these prefixes only. Elsewhere, root can link the unit, and nobody else can use it.
left_out="systemd reads it below /usr/local and /usr only. cron needs no root."
case $PREFIX/ in
  /home/* | /root/* | "${HOME:-/root}"/*) left_out="systemd hides home directories from services. penstock-cron needs no root." in_home=yes ;;
  *) in_home=no ;;
esac
case $PREFIX in
  *[\\\"\']*)
    left_out="systemd starts no program with a quote or a backslash in its path."
    unit_is='left out'
    ;;
  '' | /usr | /usr/local) unit_is='read' ;;
  *) if [ -n "$DESTDIR" ] || [ "$(id -u)" -eq 0 ]; then unit_is='linked'; else unit_is='left out'; fi ;;
esac
files=$(cd "$here" && for top in bin lib share; do [ ! -d "$top" ] || find "$top" -type f; done | sort)
if ! printf '%s\n' "$files" | grep -Fxq "$unit"; then
  unit_is='missing'
elif [ "$unit_is" = 'left out' ] || [ "$in_home" = yes ]; then
  unit_is='left out'
  files=$(without "$files" "$unit")
fi

# Writes the file $1 as `.NAME.new` of the name $2.
copy() {
  new_name "$2"
  case $2 in
    *.service)
      # In a unit % is special (quotes and backslashes are not there, see above), and to sed | and & are.
      path=$(printf '%s' "$bindir" | sed 's/%/%%/g; s/[|&]/\\&/g')
      why=$({ sed "s|@BINDIR@|$path|g" "$1" >"$new"; } 2>&1)
      ;;
    *) why=$(cp -- "$1" "$new" 2>&1) ;;
  esac || cannot "write $root/$2" "$why"
  case $2 in
    share/penstock/install.sh) chmod 755 "$new" ;;
    bin/*/* | lib/* | share/*) chmod 644 "$new" ;;
    *) chmod 755 "$new" ;;
  esac
}

why=$(mkdir -p -- "${root:-/}" 2>&1) || cannot "make the folder $root" "$why"
lock
old=
if [ -e "$list" ]; then
  old=$(installed) || say "$list was damaged, and is written anew"
fi
names="$files
share/penstock/install.sh
share/penstock/installed-files"
folders=$(printf '%s\n' "$names" | folders)
# This one makes those that are missing. Those that an earlier one made stay listed.
made=$(printf '%s\n' "$folders" | while IFS= read -r name; do
  [ -d "$root/$name" ] && ! printf '%s\n' "$old" | grep -Fxq -e "$name" || printf '%s\n' "$name"
done)
obsolete=$(without "$old" "$names
$made")
for name in share share/penstock; do make_folder "$name"; done
write_list "$names
$made
$obsolete"
# First of all: a name may have become that of a folder.
remove "$obsolete"
while IFS= read -r name; do make_folder "${name%/}"; done <<EOF
$folders
EOF
while IFS= read -r name; do
  [ ! -d "$root/$name" ] || fail "$root/$name is a folder; it is in the way"
  copy "$here/$name" "$name"
done <<EOF
$files
EOF
copy "$here/install.sh" share/penstock/install.sh
while IFS= read -r name; do
  new_name "$name"
  why=$(mv -f -- "$new" "$root/$name" 2>&1) || cannot "write $root/$name" "$why"
done <<EOF
$files
share/penstock/install.sh
EOF
write_list "$names
$made"

cat <<EOF
installed $version in ${root:-/}. Next:
  echo '{"id": "e1", "user": {"id": "u1"}}' | "$bindir/penstock" try "$PREFIX/share/penstock/examples/events.toml"
  "$bindir/penstock" init my.toml    # your own configuration; then: penstock check my.toml --connect, and man penstock
To remove it: sh "$PREFIX/share/penstock/install.sh" --uninstall
EOF
create_user='useradd --system --user-group --home-dir /var/lib/penstock --shell /usr/sbin/nologin penstock'
case $unit_is in
  'read') cat <<EOF ;;
For systemd, as root (the unit penstock@NAME runs /etc/penstock/NAME.toml as the user penstock):
  $create_user
EOF
  'linked') cat <<EOF ;;
systemd does not look for units in $PREFIX/lib/systemd/system. To use it there, as root:
  systemctl link "$PREFIX/$unit"
  $create_user
EOF
  'left out') cat <<EOF ;;
The unit for systemd was not installed: $left_out
EOF
esac
