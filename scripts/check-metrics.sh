#!/usr/bin/env bash
# Holds the metrics of a running service against Prometheus' own parsers: `check-metrics.sh URL`. The text format is read
# by promtool, which also complains of names; OpenMetrics by the Python client's strict parser. Exits with 1 where one of
# them complains.
set -euo pipefail

if (($# != 1)); then
  echo "usage: scripts/check-metrics.sh http://HOST:PORT/metrics" >&2
  exit 64
fi
for tool in curl promtool /usr/bin/python3; do
  if ! command -v "$tool" >/dev/null; then
    echo "check-metrics: $tool is missing; on Debian: apt-get install curl prometheus python3-prometheus-client" >&2
    exit 69
  fi
done

curl --fail --silent --show-error "$1" | promtool check metrics

# The system's Python has the Debian package, whatever other one is in the PATH.
curl --fail --silent --show-error --header 'Accept: application/openmetrics-text; version=1.0.0' "$1" |
  /usr/bin/python3 -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
print(len(families), "metrics,", sum(len(family.samples) for family in families), "samples")
'
