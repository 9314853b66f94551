#!/usr/bin/env bash
# A real Apache Kafka broker on this machine, for tests and the demo: one process (KRaft, broker and controller in one),
# no service, on loopback only, everything in one directory.
#
#   scripts/kafka.sh start [--keep]     the last line is KAFKA_BROKERS=127.0.0.1:PORT; with a broker up, only that line
#   scripts/kafka.sh stop
#   scripts/kafka.sh status             exits 0 with that line if the broker answers, 1 if it does not
#   scripts/kafka.sh env                the line for `eval`, exported
#   scripts/kafka.sh topic NAME PARTITIONS [key=value…]
#
# In addition to the plain listener it has one with a login (LOGIN: SASL PLAIN, user "me", password "right") and one with
# TLS (TLS: .cache/kafka/tls/ca.pem). $KAFKA_DIR/server.properties names their ports.
#
# Each start has fresh data on fresh ports. With --keep it is the same broker again, with the same data and port. This is
# for tests in which a broker goes away and comes back.
#
# KAFKA_DIR   directory of this instance (.cache/kafka/broker); another directory is another broker
# KAFKA_PORT  the broker's port (a free one); if it is taken the start fails
# KAFKA_ADVERTISED  the address HOST:PORT that the broker announces, if it differs from its own (also with --keep): for
#             tests in which nobody reaches the broker there
# KAFKA_LISTENERS  names of more listeners, separated by spaces; each gets a free port of its own
# KAFKA_PROPERTIES  a file of more lines for server.properties, which override its own: what those listeners need
# KAFKA_HEAP  the JVM's heap, "-Xms256m -Xmx768m"
# KAFKA_START_TIMEOUT  a start has failed after this many seconds (60)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

dir=${KAFKA_DIR:-$root/.cache/kafka/broker}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
jars=$root/.cache/kafka/jars
tls=$root/.cache/kafka/tls
config=$dir/server.properties
pid_file=$dir/pid
start_timeout_s=${KAFKA_START_TIMEOUT:-60}
stop_timeout_s=10

usage() {
  sed -n '5,9s/^# *//p' "${BASH_SOURCE[0]}" >&2
  exit 64
}

fail() {
  echo "kafka: $*" >&2
  exit 1
}

# Runs a command until it succeeds, for at most $1 seconds. Tries it ten times a second.
wait_until() {
  local deadline_s=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline_s)) || return 1
    sleep 0.1
  done
}

# ---- which process is ours

command_line() {
  if [[ -r /proc/$1/cmdline ]]; then
    tr '\0' ' ' <"/proc/$1/cmdline"
  else
    ps -ww -o args= -p "$1" 2>/dev/null || true
  fi
}

# Whether a process is this instance's broker. A pid file survives a restart of the machine, and its number is reused by
# another process. So the command line must name both the broker's class and this instance's configuration.
is_ours() {
  local line
  [[ -n $1 ]] || return 1
  line=$(command_line "$1" 2>/dev/null)
  [[ $line == *" kafka.Kafka $config "* || $line == *" kafka.Kafka $config" ]]
}

# Sets `pid` to that of the running broker, or to nothing.
find_pid() {
  pid=''
  if [[ -s $pid_file ]]; then
    pid=$(<"$pid_file")
    is_ours "$pid" || pid=''
  fi
}

is_gone() {
  ! is_ours "$1"
}

# ---- whether it answers

# The broker's port in the configuration of the last start.
configured_port() {
  [[ -r $config ]] || return 0
  sed -n 's/^listeners=BROKER:\/\/127\.0\.0\.1:\([0-9]*\),.*/\1/p' "$config"
}

# Asks for ApiVersions (version 0, correlation id 7, no client id), as any client does first, and looks for the 7 in the
# answer. An open port alone may belong to any program, and a broker opens its port before it serves it.
answers() {
  local answer
  answer=$(
    exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf '\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff' >&3
    timeout 2 head -c 8 <&3 | od -An -tx1 | tr -d ' \n'
  ) || return 1
  [[ ${answer:8:8} == 00000007 ]]
}

is_started() {
  grep -qs 'Kafka Server started' "$dir/logs/server.log" && answers "$port"
}

is_started_or_gone() {
  is_gone "$pid" || is_started
}

print_brokers() {
  echo "KAFKA_BROKERS=127.0.0.1:$1"
}

# ---- start

# Fetches the jars with Maven, once for all instances, and again when the pom changes.
fetch_jars() {
  cmp -s "$root/scripts/kafka/pom.xml" "$jars/pom.xml" && return
  echo "kafka: fetching the broker's jars" >&2
  local fresh log=$root/.cache/kafka/maven.log
  mkdir -p "$root/.cache/kafka"
  fresh=$(mktemp -d "$root/.cache/kafka/jars.XXXXXX")
  mvn -B -q -f "$root/scripts/kafka/pom.xml" -Dmaven.wagon.http.retryHandler.count=3 \
    dependency:copy-dependencies -DoutputDirectory="$fresh" </dev/null >"$log" 2>&1 || {
    rm -rf "$fresh"
    tail -n 20 "$log" >&2
    fail "Maven could not fetch the broker's jars (scripts/kafka/pom.xml)"
  }
  cp "$root/scripts/kafka/pom.xml" "$fresh/pom.xml"
  # The directory is complete or missing, whenever this is interrupted.
  rm -rf "$jars"
  mv "$fresh" "$jars"
}

# Makes a key and a certificate for 127.0.0.1, once for all instances: broker.p12 for the broker, ca.pem for clients.
make_certificate() {
  [[ -s $tls/ca.pem ]] && return
  local keytool fresh
  keytool=$(dirname "$java")/keytool
  [[ -x $keytool ]] || keytool=keytool
  mkdir -p "$root/.cache/kafka"
  fresh=$(mktemp -d "$root/.cache/kafka/tls.XXXXXX")
  {
    "$keytool" -genkeypair -alias broker -keyalg EC -groupname secp256r1 -dname CN=penstock-test -validity 3650 \
      -ext san=ip:127.0.0.1,dns:localhost -storetype PKCS12 -keystore "$fresh/broker.p12" -storepass penstock &&
      "$keytool" -exportcert -rfc -alias broker -keystore "$fresh/broker.p12" -storepass penstock -file "$fresh/ca.pem"
  } >"$fresh/log" 2>&1 </dev/null || {
    cat "$fresh/log" >&2
    rm -rf "$fresh"
    fail "keytool could not make a certificate"
  }
  rm -rf "$tls"
  mv "$fresh" "$tls"
}

port_is_free() {
  ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# A port on which nothing listens, below the range from which the system takes the ports of outgoing connections. Another
# program may take it before the broker does; the start of the broker handles that.
free_port() {
  local candidate
  for _ in {1..50}; do
    candidate=$((15000 + RANDOM % 15000))
    if [[ " $* " != *" $candidate "* ]] && port_is_free "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "no free port found between 15000 and 30000"
}

run_java() {
  local main_class=$1
  shift
  "$java" -cp "$jars/*" -Dkafka.logs.dir="$dir/logs" \
    -Dlog4j2.configurationFile="$root/scripts/kafka/log4j2.properties" \
    "${heap[@]}" "$main_class" "$@"
}

# Creates the data and the configuration of a new broker.
prepare() {
  local controller_port login_port tls_port cluster_id listeners name taken
  rm -rf "$dir/data" "$dir/logs" "$config"
  mkdir -p "$dir/data" "$dir/logs"
  port=${KAFKA_PORT:-$(free_port)}
  controller_port=$(free_port "$port")
  login_port=$(free_port "$port" "$controller_port")
  tls_port=$(free_port "$port" "$controller_port" "$login_port")
  listeners="BROKER://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port"
  listeners+=",LOGIN://127.0.0.1:$login_port,TLS://127.0.0.1:$tls_port"
  taken=("$port" "$controller_port" "$login_port" "$tls_port")
  for name in ${KAFKA_LISTENERS:-}; do
    taken+=("$(free_port "${taken[@]}")")
    listeners+=",$name://127.0.0.1:${taken[-1]}"
  done
  {
    cat "$root/scripts/kafka/server.properties"
    [[ -z ${KAFKA_PROPERTIES:-} ]] || cat "$KAFKA_PROPERTIES"
    echo "listeners=$listeners"
    echo "advertised.listeners=$listeners"
    echo "listener.name.tls.ssl.keystore.location=$tls/broker.p12"
    echo "controller.quorum.voters=1@127.0.0.1:$controller_port"
    echo "log.dirs=$dir/data"
  } >"$config"
  # 16 random bytes in URL-safe base64, as the broker's own random-uuid prints, but without starting a JVM. A leading dash,
  # which one id in 64 has, would be taken for an option.
  cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
  cluster_id=${cluster_id/#-/A}
  # Only the C1 compiler: this JVM runs for a second.
  heap=(-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
  run_java kafka.tools.StorageTool format --config "$config" --cluster-id "$cluster_id" \
    >"$dir/logs/format.log" 2>&1 </dev/null || {
    tail -n 20 "$dir/logs/format.log" >&2
    fail "the data directory could not be formatted: $dir/data"
  }
}

# Sets the address that the broker announces.
advertise() {
  local address=${KAFKA_ADVERTISED:-127.0.0.1:$port}
  sed -i "s|^advertised\.listeners=BROKER://[^,]*|advertised.listeners=BROKER://$address|" "$config"
}

# Starts the broker and waits for it. 0: it answers. 1: it died or did not start; the logs have the reason.
launch() {
  advertise
  rm -f "$dir/logs/server.log"
  read -ra heap <<<"${KAFKA_HEAP:--Xms256m -Xmx768m}"
  # setsid: a Ctrl-C in the terminal must reach only the process that waits for the broker and then stops it in order. The
  # broker must not inherit the lock's file descriptor.
  (
    cd "$dir"
    exec setsid "$java" -cp "$jars/*" -Dkafka.logs.dir="$dir/logs" \
      -Dlog4j2.configurationFile="$root/scripts/kafka/log4j2.properties" \
      -XX:+ExitOnOutOfMemoryError "${heap[@]}" kafka.Kafka "$config"
  ) </dev/null >"$dir/logs/stdout.log" 2>&1 9>&- &
  pid=$!
  echo "$pid" >"$pid_file"
  # Between fork and exec, its command line is still that of this script.
  wait_until 5 is_ours "$pid" || return 1
  wait_until "$start_timeout_s" is_started_or_gone || true
  is_ours "$pid" && is_started
}

show_logs() {
  local file
  for file in "$dir/logs/stdout.log" "$dir/logs/server.log"; do
    [[ -s $file ]] || continue
    echo "---- $file" >&2
    tail -n 25 "$file" >&2
  done
}

start() {
  local keep=no attempt
  case "${1-}" in
    '') ;;
    --keep) keep=yes ;;
    *) usage ;;
  esac

  # Two starts at once would give two brokers in one directory.
  exec 9>"$dir/lock"
  flock -w $((start_timeout_s + stop_timeout_s)) 9 || fail "another start or stop of $dir does not end"

  find_pid
  if [[ -n $pid ]]; then
    port=$(configured_port)
    # It may still be starting, after an interrupted start.
    if wait_until "$start_timeout_s" is_started_or_gone && is_ours "$pid"; then
      print_brokers "$port"
      return
    fi
    echo "kafka: the broker is there (pid $pid) and does not answer: starting another" >&2
    stop_broker
  fi

  "$root/scripts/setup.sh" kafka
  java=$(find_java) || fail "no Java $JAVA_VERSION_MIN or newer"
  fetch_jars
  make_certificate

  if [[ $keep == yes && -r $config && -d $dir/data ]]; then
    port=$(configured_port)
    launch && print_brokers "$port" && return
  else
    [[ -z ${KAFKA_PORT:-} ]] || port_is_free "$KAFKA_PORT" || fail "port $KAFKA_PORT is taken"
    for attempt in 1 2 3; do
      prepare
      launch && print_brokers "$port" && return
      # The only failure that other ports can solve.
      grep -qsi 'address already in use' "$dir/logs/server.log" "$dir/logs/stdout.log" || break
      [[ -z ${KAFKA_PORT:-} ]] || break
      echo "kafka: a port was taken meanwhile (attempt $attempt)" >&2
      stop_broker
    done
  fi
  show_logs
  stop_broker
  fail "the broker died at its start, or did not answer within $start_timeout_s s; its logs are in $dir/logs"
}

# ---- stop

# Ends this instance's broker, if there is one: in order, or by force after the time-out.
stop_broker() {
  find_pid
  if [[ -n $pid ]]; then
    kill -TERM "$pid" 2>/dev/null || true
    if ! wait_until "$stop_timeout_s" is_gone "$pid"; then
      echo "kafka: still there $stop_timeout_s s after SIGTERM: killing it" >&2
      ! is_ours "$pid" || kill -KILL "$pid" 2>/dev/null || true
      wait_until 5 is_gone "$pid" || fail "process $pid does not end"
    fi
  fi
  rm -f "$pid_file"
}

stop() {
  exec 9>"$dir/lock"
  flock -w $((start_timeout_s + stop_timeout_s)) 9 || fail "another start or stop of $dir does not end"
  stop_broker
}

# ---- the rest

# Sets `port`, or exits if our broker does not answer.
need_running() {
  find_pid
  port=$(configured_port)
  if [[ -z $pid || -z $port ]] || ! answers "$port"; then
    fail "no broker in $dir"
  fi
}

topic() {
  (($# >= 2)) || usage
  local name=$1 partitions=$2 setting arguments=()
  shift 2
  need_running
  java=$(find_java) || fail "no Java $JAVA_VERSION_MIN or newer"
  for setting in "$@"; do
    arguments+=(--config "$setting")
  done
  # The tool needs its own log directory; otherwise its log would empty the broker's file.
  heap=(-Dkafka.logs.dir="$dir/logs/tools" -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
  run_java org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create --if-not-exists \
    --topic "$name" --partitions "$partitions" --replication-factor 1 ${arguments[@]+"${arguments[@]}"}
}

command=${1-}
(($# == 0)) || shift
case $command in
  start) start "$@" ;;
  stop) stop ;;
  status)
    need_running
    print_brokers "$port"
    ;;
  env)
    need_running
    echo "export $(print_brokers "$port")"
    ;;
  topic) topic "$@" ;;
  *) usage ;;
esac
