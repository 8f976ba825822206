#!/usr/bin/env bash
# Builds the images and tries the local network as a user would, from outside. Needs a Docker engine, and Debian packages
# for what is missing; no registry, since stand-ins take the place of the base images (ci/containers/stand-ins.sh).
#
# CONTAINERS_POSTGRES=0 leaves the profile postgres out; CONTAINERS_KEEP=1 leaves the network up at the end;
# CONFORMANCE names the binary of the conformance suite, else cargo builds it.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! docker info >/dev/null 2>&1; then
    echo "SKIPPED: no Docker engine is at hand, so neither the images nor the local network were tried"
    exit 0
fi
postgres=${CONTAINERS_POSTGRES:-1}

say() { printf -- '--- %s (after %ss)\n' "$*" "$SECONDS"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

missing=()
for tool in debootstrap shellcheck yamllint curl; do command -v "$tool" >/dev/null || missing+=("$tool"); done
command -v promtool >/dev/null || missing+=(prometheus)
if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
else
    compose=(docker-compose)
    command -v docker-compose >/dev/null || missing+=(docker-compose)
fi
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    apt-get update -qq
    apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null
fi

export COMPOSE_PROJECT_NAME=event-sidecar-ci
export RUST_IMAGE=stand-in/rust:bookworm DEBIAN_IMAGE=stand-in/debian:bookworm
export POSTGRES_IMAGE=stand-in/postgres:bookworm PROMETHEUS_IMAGE=stand-in/prometheus:bookworm
export GRAFANA_IMAGE=stand-in/grafana:bookworm
# The plain builder: what it builds, BuildKit builds too.
export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0
profiles=()
[ "$postgres" = 0 ] || profiles=(--profile postgres)
folder=$(mktemp -d)

network() { "${compose[@]}" "${profiles[@]}" "$@"; }

left() {
    local kind
    for kind in container volume network; do
        local all=()
        [ "$kind" != container ] || all=(-a)
        docker "$kind" ls -q "${all[@]}" --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"
    done
}

take_down() { "${compose[@]}" --profile postgres --profile chaos down -v --remove-orphans -t 15 >"$folder/down" 2>&1 || true; }

finish() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        "${compose[@]}" --profile postgres --profile chaos ps || true
        "${compose[@]}" --profile postgres --profile chaos logs --tail=30 --no-color || true
    fi
    [ "${CONTAINERS_KEEP:-0}" = 1 ] || take_down
    rm -rf "$folder"
}
trap finish EXIT

# until_true SECONDS WHAT COMMAND...: asks once a second.
until_true() {
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq "$seconds"); do
        "$@" && return
        sleep 1
    done
    fail "$what did not come within $seconds s"
}

# Version 1 of Compose has no `up --wait`.
all_healthy() {
    local ids states
    ids=$(network ps -q)
    # shellcheck disable=SC2086 # ids are words
    states=$(docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}' $ids | sort -u)
    [ "$states" = healthy ]
}

up() {
    network "$@" up -d >"$folder/up" 2>&1 || { cat "$folder/up" >&2; fail "the network does not come up"; }
    until_true 120 "health of all containers" all_healthy
}

metric() { curl -sf "http://127.0.0.1:$1/metrics" | awk -v name="$2" '$1 == name { print $2 }'; }
status_is() { [ "$(metric "$1" "node_statuses{node=\"$2\"}")" = "$3" ]; }
head_above() { [ "$(metric "$1" sidecar_log_head_id)" -gt "$2" ]; }

conform() {
    local port=$1
    shift
    "$conformance" --events "http://127.0.0.1:${port}9999" --rest "http://127.0.0.1:${port}8888" \
        --admin "http://127.0.0.1:${port}8887" "$@" >"$folder/conformance" || {
        grep -v PASS "$folder/conformance" >&2
        fail "the sidecar at port ${port}9999 does not conform"
    }
    tail -n 1 "$folder/conformance"
}

say "linting"
"${compose[@]}" --profile postgres --profile chaos config -q
yamllint -s docker-compose.yml ci
shellcheck ci/*.sh ci/containers/*.sh ci/containers/http ci/containers/chaos ci/containers/stand-ins/postgres-entrypoint
promtool check config ci/prometheus/prometheus.yml
promtool test rules ci/prometheus/alerts_test.yml
python3 ci/metric_names.py

say "making the stand-ins"
bash ci/containers/stand-ins.sh

say "building the images"
conformance=${CONFORMANCE:-}
if [ -z "$conformance" ]; then
    cargo build --quiet -p conformance
    conformance=${CARGO_TARGET_DIR:-target}/debug/conformance
fi
commit=$(git rev-parse --short=7 HEAD 2>/dev/null || echo unknown)
# Both from one build stage: the second finds it done.
for target in mock-node sidecar; do
    image=${target/#sidecar/casper-event-sidecar}:local
    docker build -f ci/containers/Dockerfile --target "$target" --build-arg "RUST_IMAGE=$RUST_IMAGE" \
        --build-arg "DEBIAN_IMAGE=$DEBIAN_IMAGE" --build-arg "REVISION=$commit" -t "$image" . >"$folder/build" 2>&1 ||
        { tail -n 60 "$folder/build" >&2; fail "the image of $target does not build"; }
done
for image in casper-event-sidecar mock-node; do
    version=$(docker run --rm "$image:local" --version)
    label=$(docker inspect -f '{{index .Config.Labels "org.opencontainers.image.version"}}' "$image:local")
    expected="$image $label"
    [ "$image" != casper-event-sidecar ] || expected="$expected ($commit)"
    [ "$version" = "$expected" ] || fail "$image says '$version', its label '$label': set VERSION in the Dockerfile"
    docker image ls --format '{{.Repository}} {{.Size}}' "$image:local"
    docker run --rm --entrypoint id "$image:local" -u | grep -qx 10001 || fail "$image runs as another user"
done

sidecars=(1)
[ "$postgres" = 0 ] || sidecars+=(2)
say "starting the network"
take_down
up
say "trying every port"
for node in 1 2 3; do
    curl -sf "http://127.0.0.1:1410$node/status" | grep -q '"api_version":"1.5.[78]"' || fail "node $node has no status"
    { curl -sN -m 2 "http://127.0.0.1:1810$node/events/main" || true; } | head -n 1 | grep -q '^data:{"ApiVersion"' ||
        fail "node $node has no stream"
    curl -sf "http://127.0.0.1:1710$node/nodes" | grep -q "\"name\":\"$node\"" || fail "node $node cannot be controlled"
done
for port in "${sidecars[@]}"; do
    until_true 30 "a block" curl -sf -o "$folder/block" "http://127.0.0.1:${port}8888/block"
    for path in main deploys sigs sidecar; do
        { curl -sN -m 2 "http://127.0.0.1:${port}9999/events/$path" || true; } >"$folder/stream"
        grep -q -m 1 '^data:{"[A-Z]' "$folder/stream" || fail "nothing on events/$path of port ${port}9999"
    done
    for node in 1 2 3; do until_true 30 "node $node" status_is "${port}8887" "node-$node:9999" 2; done
    curl -sf "http://127.0.0.1:${port}8887/health/ready" >/dev/null
done
curl -sf http://127.0.0.1:3000/api/health >/dev/null
targets_up() {
    curl -sf 'http://127.0.0.1:9090/api/v1/query?query=sum(up)' | grep -q "\"${#sidecars[@]}\"\]"
}
until_true 30 "Prometheus' look at ${#sidecars[@]} sidecars" targets_up

for port in "${sidecars[@]}"; do
    say "conformance from outside, port ${port}9999"
    conform "$port"
done
python3 ci/metric_names.py http://127.0.0.1:9090
curl -sf http://127.0.0.1:9090/api/v1/alerts >"$folder/alerts"
! grep -q '"state":"firing"' "$folder/alerts" || { cat "$folder/alerts" >&2; fail "an alert fires on a sound network"; }

say "stopping a node"
network stop node-2 >/dev/null 2>&1
for port in "${sidecars[@]}"; do
    until_true 30 "the loss of node 2" status_is "${port}8887" node-2:9999 3
    head=$(metric "${port}8887" sidecar_log_head_id)
    until_true 30 "an event of the other nodes" head_above "${port}8887" "$((head + 20))"
    status_is "${port}8887" node-1:9999 2 || fail "node 1 went too"
done
network start node-2 >/dev/null 2>&1
for port in "${sidecars[@]}"; do until_true 60 "the return of node 2" status_is "${port}8887" node-2:9999 2; done

say "chaos"
CHAOS_PAUSE=2 CHAOS_AWAY=3 up --profile chaos
upgraded() {
    { curl -sN -m 1 "http://127.0.0.1:$1/events/main" || true; } | grep -q '^data:{"ApiVersion":"1.5.\(9\|1.\)"}'
}
for port in "${sidecars[@]}"; do until_true 60 "an upgrade" upgraded "${port}9999"; done
sleep 40
"${compose[@]}" --profile chaos stop chaos >/dev/null 2>&1
"${compose[@]}" --profile chaos logs --no-color chaos | grep -c ' node ' | sed 's/$/ calls to the nodes/'
for node in 1 2 3; do curl -s -o "$folder/restart" -X POST "http://127.0.0.1:1710$node/nodes/$node/restart"; done
for port in "${sidecars[@]}"; do
    for node in 1 2 3; do until_true 60 "the return of node $node" status_is "${port}8887" "node-$node:9999" 2; done
    # Each id up to the head once over the three endpoints, and no block twice, whatever happened to the nodes.
    head=$(metric "${port}8887" sidecar_log_head_id)
    for path in main deploys sigs; do
        { curl -sN -m 5 "http://127.0.0.1:${port}9999/events/$path?start_from=0" || true; } >"$folder/$path"
    done
    cat "$folder"/{main,deploys,sigs} | sed -n 's/^id://p' | sort -n | awk -v head="$head" '
        NR <= head && NR != $1 { print "id " NR " is not there once"; exit 1 }
        END { if (NR < head) exit 1; print head " entries, each id once" }' || fail "ids of port ${port}9999 are missing"
    if grep '^data:{"BlockAdded"' "$folder/main" | sort | uniq -d | grep -q .; then fail "a block came twice"; fi
done

say "stopping the sidecars"
network stop >/dev/null 2>&1
for service in sidecar ${profiles[1]:+sidecar-postgres}; do
    status=$(docker inspect -f '{{.State.ExitCode}}' "$(network ps -a -q "$service")")
    [ "$status" = 0 ] || fail "$service ended with status $status"
done
take_down
[ -z "$(left)" ] || fail "after down -v there is still: $(left)"

say "conformance with nodes that the suite drives"
up -f docker-compose.yml -f ci/containers/quiet.yml
for port in "${sidecars[@]}"; do
    conform "$port" --node-control http://127.0.0.1:17101 --node-control http://127.0.0.1:17102 \
        --node-control http://127.0.0.1:17103
done
take_down
[ -z "$(left)" ] || fail "after down -v there is still: $(left)"
say "containers: everything passed"
