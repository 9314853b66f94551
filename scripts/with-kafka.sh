#!/usr/bin/env bash
# Runs a command with its own Kafka broker: `with-kafka.sh COMMAND…`. The broker's address is in KAFKA_BROKERS and replaces
# @KAFKA_BROKERS@ in the arguments; KAFKA_JAVA is the broker's Java. The broker is always stopped at the end. The exit
# code is that of the command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if (($# == 0)); then
  echo "usage: scripts/with-kafka.sh COMMAND [ARGUMENT…]" >&2
  exit 64
fi

# Not the instance of `kafka.sh start`: somebody may still use that one and its data.
mkdir -p .cache/kafka
KAFKA_DIR=$(mktemp -d "$PWD/.cache/kafka/run.XXXXXX")
export KAFKA_DIR

clean_up() {
  status=$?
  # A second Ctrl-C must not prevent the clean-up.
  trap '' INT TERM HUP
  scripts/kafka.sh stop || true
  if ((status == 0)); then
    rm -rf "$KAFKA_DIR"
  else
    echo "with-kafka: exit $status; the broker's logs are in $KAFKA_DIR/logs" >&2
    rm -rf "$KAFKA_DIR/data"
  fi
  exit "$status"
}
trap clean_up EXIT
# An EXIT trap runs on a signal only if the signal's own trap exits.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

line=$(scripts/kafka.sh start | tail -n 1)
export "${line?}"
echo "with-kafka: $line" >&2
# For commands that run Kafka's own tools.
KAFKA_JAVA=$(find_java)
export KAFKA_JAVA

"${@//@KAFKA_BROKERS@/$KAFKA_BROKERS}"
