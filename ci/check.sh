#!/usr/bin/env bash
# The checks of every change, in a fresh clone on a machine that has Rust and a C compiler.
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
step bash ci/demo.sh
step bash ci/docs.sh
step cargo run --release -p scenarios -- swarm --seeds 0..1000

printf '\nall checks passed after %ss\n' "$SECONDS"
