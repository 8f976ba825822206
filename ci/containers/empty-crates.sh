#!/bin/sh
# For the image's layer of dependencies: beside each crate's Cargo.toml the files that it names, empty.
set -eu
for crate in sidecar mock-node scenarios conformance ci/manual; do
    mkdir -p "$crate/src" "$crate/benches"
    : >"$crate/src/lib.rs"
    echo 'fn main() {}' >"$crate/src/main.rs"
    sed -n '/^\[\[bench\]\]/{n;s/^name = "\(.*\)"/\1/p}' "$crate/Cargo.toml" | while read -r bench; do
        : >"$crate/benches/$bench.rs"
    done
done
