#!/usr/bin/env bash
# The checks of every change, in a fresh clone on a machine that has Rust and a C compiler. The packages and the images are
# tried where there is a Docker engine; CONTAINERS_POSTGRES=1 brings the local network up on PostgreSQL, too.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    printf '\n=== %s (after %ss)\n' "$*" "$SECONDS"
    "$@"
}

# The commands of the README are the ones that are run: no second list that could drift.
test_command=$(sed -n '/<!-- test command -->/,/```$/{/^cargo/p}' README.md)
[ -n "$test_command" ] || { echo "README.md names no test command after <!-- test command -->" >&2; exit 1; }

step cargo fmt --all --check
step bash ci/postgres.sh
# shellcheck disable=SC2086 # the command is words
step $test_command
step cargo clippy --all-targets -- -D warnings
step cargo clippy -p casper-event-sidecar --no-default-features -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --no-deps --workspace
# What the tests built is there to be used: another selection of crates would build their dependencies anew.
built=${CARGO_TARGET_DIR:-$PWD/target}/debug
SIDECAR=$built/casper-event-sidecar step bash ci/demo.sh
step bash ci/docs.sh
step "$built/scenarios" swarm --seeds 0..1000
step bash ci/package-test.sh
CONFORMANCE=$built/conformance CONTAINERS_POSTGRES=${CONTAINERS_POSTGRES:-0} step bash ci/containers.sh

printf '\nall checks passed after %ss\n' "$SECONDS"
