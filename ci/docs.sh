#!/usr/bin/env bash
# Holds the documentation to what is there: links, commands, configuration fields, metrics. See docs.py.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=
for program in python3 curl git; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
# shellcheck disable=SC2086 # the names are words
[ -z "$missing" ] || { apt-get update -q && apt-get install -qy $missing; }

# The newer one of what the tests and what the README build; if there is neither, what the README builds.
newest=
for folder in target/release target/debug; do
    for binary in casper-event-sidecar mock-node conformance; do
        [ -x "$folder/$binary" ] || continue 2
    done
    [ -n "$newest" ] && [ "$newest/casper-event-sidecar" -nt "$folder/casper-event-sidecar" ] || newest=$folder
done
if [ -z "$newest" ]; then
    newest=target/release
    cargo build --release --bins -p casper-event-sidecar -p mock-node -p conformance
fi

# A network of its own, where that is allowed: the documented ports are then free whatever else runs here.
own_network=
if unshare --user --map-root-user --net true 2>/dev/null; then
    own_network="unshare --user --map-root-user --net"
fi
# shellcheck disable=SC2086 # the command is words
exec $own_network python3 ci/docs.py "$newest" "$@"
