#!/bin/sh
# install.sh: installs Penstock from the folder that this script is in: an unpacked archive, or what `make install` staged.
#
#   ./install.sh                         into /usr/local; needs the rights to write there
#   PREFIX=$HOME/.local ./install.sh     without root
#   ./install.sh --uninstall             removes what it installed, and nothing else
#
# DESTDIR is put before all paths, for those who make packages.
#
# The folder has the files as they are installed (bin, lib, share). Each is written under another name and renamed: a
# running program goes on, and nobody sees half a file. PREFIX/share/penstock/installed-files lists what was installed.
# Configurations, state and logs are never touched: /etc and /var are not written to.
set -eu
umask 022

usage() {
  sed -n 's/^#   //p' "$0" >&2
  exit 64
}

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
command=install
case ${1-} in
  '') ;;
  --uninstall) command=uninstall ;;
  *) usage ;;
esac
[ $# -le 1 ] || usage

# The copy of this script that was installed belongs to its own prefix.
case $here in
  */share/penstock) default=${here%/share/penstock} ;;
  *) default=/usr/local ;;
esac
PREFIX=${PREFIX:-$default}
DESTDIR=${DESTDIR:-}
case $PREFIX in
  /*) PREFIX=${PREFIX%/} ;;
  *) fail "PREFIX is $PREFIX; give a whole path, for instance $PWD/$PREFIX" ;;
esac
root=$DESTDIR$PREFIX
list=$root/share/penstock/installed-files
bindir=$PREFIX/bin
without_root="without root, set PREFIX to a folder of yours: PREFIX=\$HOME/.local"

# Makes a folder below $root, and lists each one that it makes.
folder() {
  [ ! -d "$root/$1" ] || return 0
  case $1 in
    */*) folder "${1%/*}" ;;
    *) mkdir -p "$root" || fail "cannot make $root; $without_root" ;;
  esac
  mkdir "$root/$1" || fail "cannot make $root/$1; $without_root"
  made="$made$1/
"
}

# Installs the file $1 as $root/$2.
place() {
  new=$root/${2%/*}/.${2##*/}.new
  folder "${2%/*}"
  case $2 in
    *.service) sed "s|@BINDIR@|$(printf '%s' "$bindir" | sed 's/[|&\\]/\\&/g')|g" "$1" >"$new" ;;
    *) cp "$1" "$new" ;;
  esac || fail "cannot write $new; $without_root"
  case $2 in
    share/penstock/install.sh) chmod 755 "$new" ;;
    bin/*/* | lib/* | share/*) chmod 644 "$new" ;;
    *) chmod 755 "$new" ;;
  esac
  [ ! -d "$root/$2" ] || fail "$root/$2 is a folder; it is in the way"
  mv -f "$new" "$root/$2"
}

# What the list names and the text $1 does not.
obsolete() {
  [ -r "$list" ] || return 0
  while IFS= read -r name; do
    printf '%s' "$1" | grep -Fxq -e "$name" || printf '%s\n' "$name"
  done <"$list"
}

# Removes the named files, and then those of the named folders that are empty, the deepest first.
remove() {
  printf '%s' "$1" | while IFS= read -r name; do
    case $name in
      '' | /* | ../* | */../*) ;;
      */) ;;
      *) rm -f "$root/$name" ;;
    esac
  done
  printf '%s' "$1" | grep '/$' | sort -r | while IFS= read -r name; do
    rmdir "$root/$name" 2>/dev/null || :
  done
}

write_list() {
  printf '%s' "$1" >"$list.new" || fail "cannot write $list"
  mv -f "$list.new" "$list"
}

if [ "$command" = uninstall ]; then
  [ -r "$list" ] || fail "there is no $list: nothing of Penstock is installed in $root by this script"
  names=$(cat "$list")
  remove "$names
"
  echo "removed Penstock from $root. Configurations (/etc/penstock), state and logs are as they were."
  exit 0
fi

[ -x "$here/bin/penstock" ] || fail "there is no $here/bin/penstock: run install.sh in the unpacked archive"
# A package may be made on another machine than it is for.
version=$("$here/bin/penstock" --version 2>&1) || [ -n "$DESTDIR" ] ||
  fail "this machine cannot run the program; share/doc/penstock/REQUIREMENTS says what it needs: $version"
# systemd hides home directories from the service: a unit that runs a program there would fail.
unit=$PREFIX/lib/systemd/system/penstock@.service
case $PREFIX/ in
  /home/* | /root/* | "${HOME:-/root}"/*) has_unit=no ;;
  *) has_unit=yes ;;
esac
made=
# Folders that an earlier installation made.
if [ -r "$list" ]; then
  made=$(grep '/$' "$list" || :)
  [ -z "$made" ] || made="$made
"
fi
files=$(cd "$here" && for top in bin lib share; do [ ! -d "$top" ] || find "$top" -type f; done | sort)
[ "$has_unit" = yes ] || files=$(printf '%s\n' "$files" | grep -v '\.service$')
own="share/penstock/install.sh
share/penstock/installed-files
"
names="$files
$own"
folder share/penstock
old=$(obsolete "$names$made")
# Written first: what an interrupted installation leaves can be removed, too.
write_list "$names$made${old:+$old
}"
while IFS= read -r name; do
  place "$here/$name" "$name"
done <<EOF
$files
EOF
place "$here/install.sh" share/penstock/install.sh
[ -z "$old" ] || remove "$old
"
write_list "$names$made"

cat <<EOF
installed $version in $root. Next:
  echo '{"id": "e1", "user": {"id": "u1"}}' | $bindir/penstock try $PREFIX/share/penstock/examples/events.toml
  $bindir/penstock init my.toml    # your own configuration; then: penstock check my.toml --connect, and man penstock
To remove it: sh $PREFIX/share/penstock/install.sh --uninstall
EOF
case $has_unit$PREFIX in
  yes/usr | yes/usr/local) ;;
  no*) echo "No unit for systemd: it hides home directories from services. penstock-cron needs no root." ;;
  yes*) echo "systemd does not look there for units. Once, as root: systemctl link '$unit'" ;;
esac
