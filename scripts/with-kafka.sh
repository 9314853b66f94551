#!/usr/bin/env bash
# Runs a command with a Kafka broker of its own: `with-kafka.sh COMMAND…`. The broker's address is in KAFKA_BROKERS, and
# stands for @KAFKA_BROKERS@ in the arguments; KAFKA_JAVA is the Java that it runs on. The broker is stopped however this ends; the exit code is the command's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

if (($# == 0)); then
  echo "usage: scripts/with-kafka.sh COMMAND [ARGUMENT…]" >&2
  exit 64
fi

# Not the instance of `kafka.sh start`: that one may be somebody's, with data they still look at.
mkdir -p .cache/kafka
KAFKA_DIR=$(mktemp -d "$PWD/.cache/kafka/run.XXXXXX")
export KAFKA_DIR

clean_up() {
  status=$?
  # A second Ctrl-C must not leave the broker behind.
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
# For whoever runs Kafka's own tools beside it.
KAFKA_JAVA=$(find_java)
export KAFKA_JAVA

"${@//@KAFKA_BROKERS@/$KAFKA_BROKERS}"
