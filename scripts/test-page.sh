#!/usr/bin/env bash
# Tests the status page (src/web/page) in headless Chromium.
#
#   scripts/test-page.sh [--pictures DIR] [--only WORDS]        with made-up answers: needs no service
#   scripts/test-page.sh --url URL --states flowing,silent,…    with a running service: waits for each state in turn
#
# The second one prints `state NAME seen` after each, so whoever drives the service knows when to go on. It ends with 0 if
# everything is as it must be.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh page
exec python3 -B scripts/page/check.py "$@"
