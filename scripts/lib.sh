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

# Unpacks a Debian package into a folder: `unpack_package NAME FOLDER`. It is not installed: packages of daemons start them
# at once and at every boot. Needs no rights where the system's package lists are fresh. The folder is complete or not there,
# whenever this is interrupted.
unpack_package() {
  local name=$1 folder=$2
  if ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then
    echo "$name is missing: install it, or run this on Debian or Ubuntu" >&2
    return 1
  fi
  mkdir -p "$(dirname "$folder")"
  (
    fresh=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    cd "$fresh" || exit
    fail() {
      echo "apt-get download $name: $(tail -n 3 log)$*" >&2
      exit 1
    }
    # A fresh system has no package lists, and old ones name files that are gone.
    if ! apt-get download "$name" >>log 2>&1; then
      [[ $(id -u) -eq 0 ]] || fail "; perhaps: sudo apt-get update"
      apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 update >>log 2>&1 || true # the download says what is wrong
      apt-get download "$name" >>log 2>&1 || fail
    fi
    dpkg-deb -x ./*.deb tree && chmod 755 tree || exit
    rm -rf "$folder"
    mv tree "$folder"
  )
}
