#!/usr/bin/env bash
# Makes stand-ins for the base images, from Debian packages and this machine's Rust, for machines without a registry.
# Users need none of it. Images that are there already are kept; `docker image rm` makes them new.
set -euo pipefail
cd "$(dirname "$0")/stand-ins"
# The plain builder, which every engine has.
export DOCKER_BUILDKIT=0
debian=stand-in/debian:bookworm

have() { docker image inspect "$1" >/dev/null 2>&1; }

if ! have "$debian"; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    # The mirror that this machine itself uses.
    # shellcheck disable=SC2016 # apt's own variable
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" || { tail "$root.log" >&2; exit 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root.log"
    tar -C "$root" -c . | docker import - "$debian" >/dev/null
fi

if ! have stand-in/rust:bookworm; then
    sysroot=$(rustc --print sysroot)
    tar -c --exclude='rustlib/src' --exclude='rustlib/wasm*' rust.Dockerfile -C "$sysroot" bin lib \
        -C /etc/ssl/certs -h ca-certificates.crt |
        docker build -q --build-arg DEBIAN_IMAGE="$debian" -f rust.Dockerfile -t stand-in/rust:bookworm -
fi
for name in postgres prometheus grafana; do
    have "stand-in/$name:bookworm" ||
        docker build -q --build-arg DEBIAN_IMAGE="$debian" -f services.Dockerfile --target "$name" \
            -t "stand-in/$name:bookworm" .
done
