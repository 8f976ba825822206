#!/usr/bin/env bash
# Builds the Debian packages casper-event-sidecar and mock-node into target/debian, and says how large they are.
#
# Needs Rust, a C compiler and dpkg. Fails if the sidecar's package is larger than the documented sizes.
#   REVISION=1 bash ci/package.sh    a package of a later revision, such as 1.1.0-1
set -euo pipefail
cd "$(dirname "$0")/.."

# The sizes in the public documentation's sample of an installation.
most_archive_kb=4162
most_installed_kb=20200

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)-${REVISION:-0}
export CARGO_TARGET_DIR=$PWD/target
tools=$PWD/target/tools

if command -v cargo-deb >/dev/null; then
    cargo_deb=cargo-deb
else
    cargo_deb=$tools/bin/cargo-deb
    [ -x "$cargo_deb" ] || CARGO_TARGET_DIR=$tools/build cargo install cargo-deb --version ^3 --locked --quiet --root "$tools"
fi

# One build for all three. The installed sidecar has no `demo`.
cargo build --release --locked -p casper-event-sidecar -p mock-node -p manual --no-default-features
target/release/manual target/manual

packages=(casper-event-sidecar mock-node)
archives=()
for package in "${packages[@]}"; do
    sed "s/@NAME@/$package/; s/@VERSION@/$version/" ci/debian/changelog >"target/manual/$package/changelog"
    archives+=("$("$cargo_deb" deb -p "$package" --no-build --no-dbgsym --deb-version "$version" --quiet --output target/debian/)")
done

# $1 is the most it may be, in kB (1000 bytes), or nothing.
judge() {
    local what=$1 kb=$2 most=$3
    if [ -z "$most" ]; then
        echo "  $what: $kb kB"
    elif [ "$kb" -le "$most" ]; then
        echo "  $what: $kb kB, at most $most kB: met"
    else
        echo "  $what: $kb kB, at most $most kB: NOT MET" >&2
        return 1
    fi
}

status=0
for number in "${!packages[@]}"; do
    archive=${archives[$number]}
    archive_kb=$((($(stat -c %s "$archive") + 999) / 1000))
    # Debian counts installed sizes in KiB.
    installed_kb=$(($(dpkg-deb --field "$archive" Installed-Size) * 1024 / 1000))
    echo "${archive#"$PWD/"}"
    if [ "${packages[$number]}" = casper-event-sidecar ]; then
        judge archive "$archive_kb" "$most_archive_kb" || status=1
        judge installed "$installed_kb" "$most_installed_kb" || status=1
    else
        judge archive "$archive_kb" ""
        judge installed "$installed_kb" ""
    fi
done
exit "$status"
