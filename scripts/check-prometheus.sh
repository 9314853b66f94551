#!/usr/bin/env bash
# Holds what is in deploy/ against Prometheus' own tools, and lets a real Prometheus watch a running service.
#
#   scripts/check-prometheus.sh                       the files alone: needs no service
#   scripts/check-prometheus.sh URL                   and a service, for instance http://127.0.0.1:7367
#   scripts/check-prometheus.sh URL --alert NAME      and waits until the alert fires, and then until it is resolved
#
# With a URL: promtool reads the service's metrics; a Prometheus with the configuration of deploy/ (and an interval of a
# second) scrapes the service, its alerts are loaded, and it understands every query of the dashboard. `alert NAME fires`
# and `alert NAME is resolved` are printed when they are seen, so whoever drives the service knows when to go on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# For each wait.
DEADLINE_S=${DEADLINE_S:-120}

usage() {
  echo "usage: scripts/check-prometheus.sh [http://HOST:PORT [--alert NAME]]" >&2
  exit 64
}

fail() {
  echo "check-prometheus: $*" >&2
  exit 1
}

url=${1-}
alert=''
case $# in
  0 | 1) ;;
  3) [[ $2 == --alert ]] && alert=$3 || usage ;;
  *) usage ;;
esac
[[ -z $url || $url == http://?* ]] || usage
url=${url%/}

if ! { command -v prometheus && command -v promtool; } >/dev/null; then
  exec scripts/with-prometheus.sh scripts/check-prometheus.sh "$@"
fi

work=$(mktemp -d)
server=''
clean_up() {
  status=$?
  trap '' INT TERM HUP
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    ((status == 0)) || tail -n 20 "$work/log" >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The queries of the dashboard, one on each line, with values for Grafana's variables.
queries() {
  sed -n 's/^ *"expr": "\(.*\)",\{0,1\}$/\1/p' deploy/grafana/penstock.json |
    sed -e 's/\\"/"/g' -e "s/\\\$__rate_interval/1m/g; s/\\\$job/penstock/g; s/\\\$instance/.*/g"
}

# ---- the files

promtool check config deploy/prometheus/prometheus.yml
promtool check rules --lint=all --lint-fatal deploy/prometheus/alerts.yml
promtool test rules deploy/prometheus/alerts_test.yml

# promtool reads queries in rules only.
queries >"$work/queries"
count=$(wc -l <"$work/queries")
((count > 20)) || fail "not the queries of the dashboard: $count"
{
  echo 'groups: [{name: dashboard, rules: ['
  awk '{ gsub(/\x27/, "\x27\x27"); printf "{record: \x27query:%d\x27, expr: \x27%s\x27},\n", NR, $0 }' "$work/queries"
  echo ']}]'
} >"$work/queries.yml"
echo "Checking the dashboard's queries"
promtool check rules "$work/queries.yml" >"$work/checked" 2>&1 || fail "$(cat "$work/checked")"
echo "  SUCCESS: $count queries"

[[ -n $url ]] || exit 0

# ---- a service

echo "Checking the metrics of $url"
curl --fail --silent --show-error "$url/metrics" | promtool check metrics
echo "  SUCCESS"

target=${url#http://}
sed -e "s/127\.0\.0\.1:7367/$target/" -e 's/_interval: 15s/_interval: 1s/' \
  -e "s|- alerts.yml|- $PWD/deploy/prometheus/alerts.yml|" deploy/prometheus/prometheus.yml >"$work/prometheus.yml"
grep -q "\"$target\"" "$work/prometheus.yml" || fail "deploy/prometheus/prometheus.yml has no target 127.0.0.1:7367"

# Waits until a command succeeds.
wait_until() {
  local what=$1 end=$((SECONDS + DEADLINE_S))
  shift
  until "$@"; do
    kill -0 "$server" 2>/dev/null || fail "Prometheus has ended"
    ((SECONDS < end)) || fail "after $DEADLINE_S s not yet: $what"
    sleep 0.2
  done
}

is_ready() {
  curl --fail --silent --output "$work/ready" "$prometheus/-/ready"
}

# Whether Prometheus is there, or has ended since its port is taken.
is_started_or_over() {
  is_ready || ! kill -0 "$server" 2>/dev/null
}

# A port that is free now may be taken in a moment: then another one is tried.
for ((tries = 0; ; tries++)); do
  ((tries < 20)) || fail "Prometheus does not start"
  port=$((20000 + RANDOM % 12000))
  prometheus=http://127.0.0.1:$port
  ! is_ready || continue
  # It ends with this script, also where a kill leaves no time to clean up.
  setpriv --pdeathsig TERM prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" >"$work/log" 2>&1 &
  server=$!
  end=$((SECONDS + DEADLINE_S))
  until is_started_or_over; do
    ((SECONDS < end)) || fail "Prometheus is not ready after $DEADLINE_S s"
    sleep 0.2
  done
  ! kill -0 "$server" 2>/dev/null || break
  grep -q 'address already in use' "$work/log" || fail "Prometheus does not start"
done

# The answer to a query: a line for each series.
ask() {
  promtool query instant "$prometheus" "$1"
}

# Whether a query has an answer that is not empty.
has() {
  [[ -n $(ask "$1") ]]
}

wait_until "the service is scraped (up = 1)" has 'up{job="penstock"} == 1'
echo "Prometheus scrapes $target: $(ask up)"
wait_until "it has partitions" has 'penstock_partition_state == 1'
for series in penstock_build_info 'penstock_state == 1' 'penstock_partition_state == 1' penstock_messages_consumed_total; do
  has "$series" || fail "no series: $series"
  ask "$series"
done

rules=$(curl --fail --silent --show-error "$prometheus/api/v1/rules?type=alert")
for name in $(sed -n 's/^ *- alert: //p' deploy/prometheus/alerts.yml); do
  [[ $rules == *"\"name\":\"$name\""* ]] || fail "Prometheus has not loaded the alert $name"
done

empty=0
while read -r query; do
  answer=$(ask "$query") || fail "a query of the dashboard: $query"
  [[ -n $answer ]] || empty=$((empty + 1))
done <"$work/queries"
echo "Prometheus answers the dashboard's $count queries, $empty of them with no series"

fires() {
  has "ALERTS{alertname=\"$alert\",alertstate=\"firing\"}"
}

# Not merely because the service is away.
is_resolved() {
  ! fires && has 'up{job="penstock"} == 1 and penstock_partitions_assigned > 0'
}

if [[ -n $alert ]]; then
  wait_until "$alert fires" fires
  ask "ALERTS{alertname=\"$alert\"}"
  echo "alert $alert fires"
  wait_until "$alert is resolved" is_resolved
  echo "alert $alert is resolved"
fi
ask 'ALERTS'
