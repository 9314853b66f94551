# Functions that more than one script uses. Sourced, never run.
# shellcheck shell=bash

# The lowest Java version for a Kafka 4 broker.
JAVA_VERSION_MIN=17

# Prints the major version of the Java at $1, or nothing. Reads the `release` file beside it if there is one: starting a
# JVM takes 50 to 200 ms.
java_major() {
  local home version=''
  home=$(dirname "$(dirname "$(readlink -f "$1")")")
  if [[ -r $home/release ]]; then
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")
  fi
  if [[ -z $version ]]; then
    version=$("$1" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') || true
  fi
  printf '%s' "$version"
}

# Prints the path of a Java that is new enough, or fails. JAVA_HOME comes first, then the one on the PATH, then those of
# distributions, which may keep an old default beside a newer one.
find_java() {
  local java major
  for java in "${JAVA_HOME:-}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [[ -x $java ]] || continue
    major=$(java_major "$java")
    if [[ -n $major ]] && ((major >= JAVA_VERSION_MIN)); then
      printf '%s\n' "$java"
      return 0
    fi
  done
  return 1
}
