#!/usr/bin/env bash
# Makes the pictures of docs/guide/status-page.md anew: of a running service, in the states through which the test `page`
# leads it. Takes some ten minutes, because the charts must have something to show. Needs pngquant, which makes them small.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

command -v pngquant >/dev/null || {
  echo "pictures: no pngquant on the PATH (apt-get install pngquant)" >&2
  exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

scripts/setup.sh page
cargo build --locked --workspace --bins --test it
PAGE_ARGUMENTS="--pictures $folder --samples ${SAMPLES:-72}" cargo test --locked --test it -- --ignored --nocapture page::

mkdir -p docs/guide/pictures
for state in flowing silent recovered held lost; do
  pngquant --force --strip --speed 1 --output "docs/guide/pictures/$state.png" "$folder/service-$state-top.png"
done
pngquant --force --strip --speed 1 --output docs/guide/pictures/phone.png "$folder/service-flowing-phone-top.png"
ls -l docs/guide/pictures
