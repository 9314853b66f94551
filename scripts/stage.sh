#!/usr/bin/env bash
# Puts together what is installed: `stage.sh BINARY FOLDER`. The folder gets bin, lib and share as they will be below the
# prefix, and install.sh, which installs them. `make install` and scripts/dist.sh use it.
#
# What the program knows about itself (man pages, completions, the schema) is written by the program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

(($# == 2)) || {
  echo "usage: scripts/stage.sh BINARY FOLDER" >&2
  exit 64
}
binary=$(realpath "$1")
mkdir -p "$2"
cd "$2"
umask 022

install -D -m 755 "$binary" bin/penstock
install -m 755 "$here/scripts/penstock-cron" bin/penstock-cron

penstock=bin/penstock
"$penstock" man share/man/man1
install -m 644 "$here/deploy/man/penstock-cron.1" share/man/man1/
completions() {
  mkdir -p "$(dirname "$2")"
  "$penstock" completions "$1" >"$2"
}
completions bash share/bash-completion/completions/penstock
completions zsh share/zsh/site-functions/_penstock
completions fish share/fish/vendor_completions.d/penstock.fish
mkdir -p share/penstock/examples
"$penstock" schema >share/penstock/penstock.schema.json

install -m 644 "$here"/examples/*.toml "$here"/examples/*.fixtures.json share/penstock/examples/
install -D -m 644 -t share/penstock/examples/processor "$here"/examples/processor/*
install -m 644 "$here/deploy/cron/cron.conf" share/penstock/
install -D -m 644 -t share/doc/penstock "$here/LICENSE" "$here/README.md" "$here/CHANGELOG.md" "$here/SECURITY.md"
# The README links to them.
cp -R "$here/docs" share/doc/penstock/docs
chmod -R u=rwX,go=rX share/doc/penstock/docs
# Links of the documents: the examples are elsewhere when installed, and the sources are not installed.
# shellcheck disable=SC2016 # no commands, but Markdown
find share/doc/penstock -name '*.md' -exec sed -zEi \
  -e 's#\]\(((\.\./)*)examples/#](\1../../penstock/examples/#g' \
  -e 's#\[((src|tests|benches)/[^][]*)\]\((\.\./)*\1\)#`\1` in the sources#g' \
  -e 's#\[([^][]*)\]\((\.\./)*((src|tests|benches)/[^)\#]*)(\#[^)]*)?\)#\1 (`\3` in the sources)#g' {} +
unit=$here/deploy/systemd/penstock@.service
[[ ! -e $unit ]] || install -D -m 644 "$unit" lib/systemd/system/penstock@.service
install -m 755 "$here/scripts/install.sh" install.sh
