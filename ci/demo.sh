#!/usr/bin/env bash
# README command one as a user runs it: the demo, the documented streams, Ctrl-C, and a restart that goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v curl >/dev/null || { apt-get update -q && apt-get install -qy curl; }
# SIDECAR names a binary that is there already, else cargo builds it.
binary=${SIDECAR:-}
if [ -z "$binary" ]; then
    cargo build --quiet
    binary=${CARGO_TARGET_DIR:-$PWD/target}/debug/casper-event-sidecar
fi
folder=$(mktemp -d)
offset=1500
events=http://127.0.0.1:$((19999 + offset))
rest=http://127.0.0.1:$((18888 + offset))
demo=

finish() {
    [ -z "$demo" ] || kill -KILL "$demo" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

start() {
    "$binary" demo --data "$folder/data" --port-offset "$offset" >"$folder/out" 2>"$folder/log" &
    demo=$!
    for _ in $(seq 100); do
        curl -sf "$rest/block" >"$folder/block" && return
        sleep 0.2
    done
    echo "the demo does not start or brings no block" >&2
    cat "$folder/log" >&2
    exit 1
}

stop() {
    # Not INT: a shell without job control starts what is in the background with it ignored.
    kill -TERM "$demo"
    local status=0
    wait "$demo" || status=$?
    demo=
    [ "$status" -eq 0 ] || { echo "the demo ended with status $status" >&2; cat "$folder/log" >&2; exit 1; }
}

start
for channel in main deploys sigs; do
    { curl -sN -m 2 "$events/events/$channel" || true; } >"$folder/stream"
    [ "$(head -n 1 "$folder/stream")" = 'data:{"ApiVersion":"1.5.8"}' ] || {
        echo "events/$channel does not begin with the version" >&2
        exit 1
    }
done
{ curl -sN -m 1 "$events/events/sidecar" || true; } >"$folder/stream"
grep -q '^data:{"SidecarVersion":"' "$folder/stream"
stop
start
{ curl -sN -m 3 "$events/events?start_from=0" || true; } | sed -n 's/^id://p' >"$folder/ids"
stop
# Dense from 1 on, but for the sidecar's own Shutdown in between, which `/events` does not show.
awk 'NR == 1 && $1 != 1 { bad = 1 }
     NR > 1 && $1 != before + 1 { gaps++; if ($1 != before + 2) bad = 1 }
     { before = $1 }
     END { print NR " entries replayed over a restart, " gaps + 0 " own Shutdown between them"; exit bad || gaps != 1 }' "$folder/ids"
