#!/usr/bin/env bash
# The Clojure core.async service of benches/designs/clojure, one of the designs that `make bench-designs` compares:
#
#   scripts/designs/clojure.sh BROKERS TOPIC GROUP HOST:PORT single|batch WORKERS
#   scripts/designs/clojure.sh --fetch
#
# Fetches its jars by Maven, once, then becomes the service: this process's id is that of its JVM. It prints `ready` when it
# has the database and its partitions, and ends in order on SIGTERM. `--fetch` only fetches.
#
# CLOJURE_JVM  the JVM's flags, instead of those below
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

design=$root/benches/designs/clojure
jars=$root/.cache/designs/clojure

usage() {
  sed -n '4,5s/^# *//p' "${BASH_SOURCE[0]}" >&2
  exit 64
}

fail() {
  echo "clojure: $*" >&2
  exit 69
}

# Fetches the jars, and again when the pom changes. Their folder is complete or missing, whenever this is interrupted.
fetch_jars() {
  cmp -s "$design/pom.xml" "$jars/pom.xml" && return
  command -v mvn >/dev/null || fail "no Maven (mvn) on the PATH: scripts/setup.sh kafka installs it"
  echo "clojure: fetching the service's jars" >&2
  local fresh
  mkdir -p "$(dirname "$jars")"
  fresh=$(mktemp -d "$jars.XXXXXX")
  mvn -B -q -f "$design/pom.xml" -Dmaven.wagon.http.retryHandler.count=3 \
    dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$fresh" </dev/null >"$jars.log" 2>&1 || {
    rm -rf "$fresh"
    tail -n 20 "$jars.log" >&2
    fail "Maven could not fetch the service's jars (benches/designs/clojure/pom.xml)"
  }
  # Without this, each start would compile core.async, for seconds.
  mkdir "$fresh/classes"
  "$java" -cp "$fresh/classes:$fresh/*" -Dclojure.compile.path="$fresh/classes" -Dclojure.compiler.direct-linking=true \
    clojure.lang.Compile clojure.core.async </dev/null >>"$jars.log" 2>&1 || {
    rm -rf "$fresh"
    tail -n 20 "$jars.log" >&2
    fail "core.async could not be compiled"
  }
  cp "$design/pom.xml" "$fresh/pom.xml"
  rm -rf "$jars"
  mv "$fresh" "$jars"
}

java=$(find_java) || fail "no Java $JAVA_VERSION_MIN or newer: scripts/setup.sh kafka installs one"
if [[ $* == --fetch ]]; then
  fetch_jars
  exit
fi
if (($# != 6)) || ! [[ $5 =~ ^(single|batch)$ && $6 =~ ^[1-9][0-9]*$ ]]; then
  usage
fi
fetch_jars

read -ra flags <<<"${CLOJURE_JVM:--XX:+UseParallelGC -Xms768m -Xmx768m}"
exec "$java" "${flags[@]}" -Dclojure.compiler.direct-linking=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
  -cp "$jars/classes:$jars/*" clojure.main "$design/service.clj" "$@"
