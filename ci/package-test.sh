#!/usr/bin/env bash
# The packages as a new operator meets them: built, linted, then installed, run, upgraded, removed and purged on a clean
# Debian 12 with systemd, by the commands of the public documentation.
#
# Needs root, Debian's package archive and a Docker engine (no images: the system is made by debootstrap). Says so and
# ends well where one of them is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED: the packages were not tested: $1"
    exit 0
}
[ "$(id -u)" -eq 0 ] || skip "that needs root"
command -v apt-get >/dev/null || skip "that needs apt"
docker info >/dev/null 2>&1 || skip "that needs a Docker engine"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
say() { printf '\n--- %s (after %ss)\n' "$*" "$SECONDS"; }

wanted=()
for tool in debootstrap lintian dpkg-deb:dpkg dpkg-shlibdeps:dpkg-dev strip:binutils; do
    command -v "${tool%%:*}" >/dev/null || wanted+=("${tool##*:}")
done
if [ ${#wanted[@]} -gt 0 ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${wanted[@]}"
fi

say "build"
# A later revision to upgrade to comes first, out of the way of the next build.
mkdir -p target/upgrade
REVISION=1 bash ci/package.sh >target/upgrade/log || { cat target/upgrade/log; fail "no second revision"; }
mv target/debian/*-1_*.deb target/upgrade/
bash ci/package.sh
arch=$(dpkg --print-architecture)
sidecar=casper-event-sidecar_1.1.0-0_$arch.deb
upgrade=/upgrade/casper-event-sidecar_1.1.0-1_$arch.deb
node=mock-node_1.1.0-0_$arch.deb

say "lint"
lintian --allow-root --fail-on error,warning "target/debian/$sidecar" "target/debian/$node"

say "a clean Debian 12"
image=casper-event-sidecar-package-test
container=$image-$$
work=$(mktemp -d)
finish() {
    docker rm -f "$container" >/dev/null 2>&1 || true
    docker image rm "$image:$$" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
# Kept for the next time: to make it takes a minute.
base=$PWD/target/tools/debian-12-systemd.tar
if [ ! -e "$base" ]; then
    mkdir -p target/tools
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,man-db bookworm "$work/root" http://deb.debian.org/debian >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log"; fail "debootstrap"; }
    tar -C "$work/root" -cf "$base.new" .
    mv "$base.new" "$base"
fi
docker import "$base" "$image:$$" >/dev/null

# What a systemd needs to run in a container. Nothing in it needs the network.
rights=(--cap-add SYS_ADMIN --security-opt seccomp=unconfined -v /sys/fs/cgroup:/sys/fs/cgroup)
[ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] || rights=(--privileged --cgroupns=private)
docker run -d --name "$container" --network none --tmpfs /run --tmpfs /run/lock -e container=docker "${rights[@]}" \
    -v "$PWD/target/debian:/packages:ro" -v "$PWD/target/upgrade:/upgrade:ro" "$image:$$" /sbin/init >/dev/null
on() { docker exec -e DEBIAN_FRONTEND=noninteractive "$container" "$@"; }
# Runs a line of shell there.
there() { on sh -c "$1"; }
# Tries a line of shell there again and again, for at most a minute.
eventually() {
    for _ in $(seq 120); do
        if there "$1" >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    on journalctl --no-pager -n 50 || true
    fail "did not come about: $1"
}
expect() {
    there "$1" >"$work/seen" 2>&1 || { cat "$work/seen"; fail "$1"; }
    shift
    local part
    for part; do
        grep -qF -- "$part" "$work/seen" || { cat "$work/seen"; fail "expected: $part"; }
    done
}
equal() {
    local seen
    seen=$(there "$1" 2>&1) || true
    [ "$seen" = "$2" ] || fail "$1: expected '$2', saw '$seen'"
}
eventually 'systemctl is-system-running | grep -qE "running|degraded"'

say "apt install"
expect "apt-get install -y /packages/$sidecar" \
    "The following NEW packages will be installed:" "Setting up casper-event-sidecar (1.1.0-0)" \
    "Adding system user \`csidecar'" "Created symlink /etc/systemd/system/multi-user.target.wants/casper-event-sidecar.service → /lib/systemd/system/casper-event-sidecar.service."
cat "$work/seen"
equal "stat -c '%a %U:%G' /etc/casper-event-sidecar/config.toml" "640 root:csidecar"
equal "stat -c '%a %U:%G' /var/lib/casper-event-sidecar" "750 csidecar:csidecar"
equal "stat -c '%a %U:%G' /usr/bin/casper-event-sidecar" "755 root:root"
equal "getent passwd csidecar | cut -d: -f6-" "/nonexistent:/usr/sbin/nologin"
expect "casper-event-sidecar /etc/casper-event-sidecar/config.toml --check-config" "is right"
expect "casper-event-sidecar --version" "casper-event-sidecar 1.1.0"
expect "man -P cat casper-event-sidecar" "check-config" "SIDECAR_LOG_FORMAT"
expect "bash -n /usr/share/bash-completion/completions/casper-event-sidecar"

say "systemctl status, with no node there yet"
expect "systemctl status --no-pager casper-event-sidecar" \
    "casper-event-sidecar.service - Casper Event Sidecar" "Loaded: loaded (/lib/systemd/system/casper-event-sidecar.service; enabled" \
    "Active: active (running)" "Docs: man:casper-event-sidecar(1)" "https://docs.casperlabs.io" "(casper-event-si)" \
    "/usr/bin/casper-event-sidecar /etc/casper-event-sidecar/config.toml"
cat "$work/seen"
expect "journalctl --no-pager -u casper-event-sidecar" "Started casper-event-sidecar.service - Casper Event Sidecar." "listening"
equal "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18887/health/live" 200

say "idle memory"
pid() { there "systemctl show -P MainPID casper-event-sidecar"; }
memory=$(there "systemctl show -P MemoryCurrent casper-event-sidecar")
kind="as the service manager accounts it"
case $memory in
'' | *[!0-9]* | 18446744073709551615)
    memory=$(($(there "sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$(pid)/status") * 1024))
    kind="anonymous, for the service manager does not tell"
    ;;
esac
echo "  $((memory / 1000)) kB ($kind), at most 7100 kB"
[ "$memory" -le 7100000 ] || fail "the idle sidecar takes more memory than documented"

say "a node on the same machine"
on apt-get install -qqy "/packages/$node" >/dev/null
expect "mock-node check /usr/share/doc/mock-node/examples/scripts/*.toml" "steps"
there "systemd-run --quiet --unit=node mock-node generate --sse-port 9999 --rest-port 8888 --block-time 500ms"
eventually "curl -sf http://127.0.0.1:18888/block"
for channel in deploys sigs main; do
    expect "curl -sN -m 3 http://127.0.0.1:19999/events/$channel || [ \$? -eq 28 ]" 'data:{"ApiVersion":"1.5.8"}' "id:"
done
expect "curl -sN -m 1 http://127.0.0.1:19999/events/sidecar || [ \$? -eq 28 ]" 'data:{"SidecarVersion":"1.1.0"}'
expect "curl -s http://localhost:18888/swagger-ui/" "swagger-ui"
expect "curl -s http://127.0.0.1:18887/metrics/" 'node_statuses{node="127.0.0.1:9999"} 2' process_start_time_seconds received_bytes_bucket
head_id() { there "curl -s http://127.0.0.1:18887/metrics | sed -n 's/^sidecar_log_head_id //p'"; }

say "systemctl stop, start"
on systemctl stop casper-event-sidecar.service
equal "systemctl show -P Result -P ActiveState casper-event-sidecar | tr '\n' ' '" "success inactive "
on systemctl start casper-event-sidecar.service
expect "systemctl is-active casper-event-sidecar" active
expect "curl -sN -m 2 'http://127.0.0.1:19999/events?start_from=1' || [ \$? -eq 28 ]" "id:1"

say "a frozen sidecar is found by the watchdog, a killed one started again"
there "mkdir -p /etc/systemd/system/casper-event-sidecar.service.d
    printf '[Service]\nWatchdogSec=2\nRestartSec=1\n' >/etc/systemd/system/casper-event-sidecar.service.d/quick.conf
    systemctl daemon-reload && systemctl restart casper-event-sidecar"
before=$(pid)
there "kill -STOP $before"
eventually "test \"\$(systemctl show -P MainPID casper-event-sidecar)\" -gt 1 && test \"\$(systemctl show -P MainPID casper-event-sidecar)\" != $before"
eventually "systemctl is-active casper-event-sidecar"
expect "journalctl --no-pager -u casper-event-sidecar" "Watchdog timeout"
before=$(pid)
sleep 5 # More than two watchdog times: who is well is left alone.
equal "systemctl show -P MainPID casper-event-sidecar" "$before"
there "kill -KILL $before"
eventually "systemctl is-active casper-event-sidecar && test \"\$(systemctl show -P MainPID casper-event-sidecar)\" != $before"
there "rm -r /etc/systemd/system/casper-event-sidecar.service.d && systemctl daemon-reload && systemctl restart casper-event-sidecar"

say "upgrade: an edited configuration and the data stay"
there "sed -i 's/^max_attempts = 120/max_attempts = 121/' /etc/casper-event-sidecar/config.toml"
before=$(head_id)
process=$(pid)
on apt-get install -qqy "$upgrade" >/dev/null
expect "dpkg -s casper-event-sidecar" "Version: 1.1.0-1"
expect "grep max_attempts /etc/casper-event-sidecar/config.toml" "max_attempts = 121"
equal "stat -c '%a %U:%G' /etc/casper-event-sidecar/config.toml" "640 root:csidecar"
expect "systemctl is-active casper-event-sidecar" active
[ "$(pid)" != "$process" ] || fail "the old version still runs"
eventually "test \"\$(curl -s http://127.0.0.1:18887/metrics | sed -n 's/^sidecar_log_head_id //p')\" -gt $before"

say "remove: configuration and data stay; installed again, it goes on"
before=$(head_id)
on apt-get remove -qqy casper-event-sidecar >/dev/null
equal "systemctl is-active casper-event-sidecar" inactive
there "test ! -e /usr/bin/casper-event-sidecar && test -e /etc/casper-event-sidecar/config.toml && test -e /var/lib/casper-event-sidecar/sqlite_database.db3"
on apt-get install -qqy "$upgrade" >/dev/null
expect "systemctl is-active casper-event-sidecar" active
eventually "test \"\$(curl -s http://127.0.0.1:18887/metrics | sed -n 's/^sidecar_log_head_id //p')\" -gt $before"

say "purge: nothing stays"
on apt-get purge -qqy casper-event-sidecar mock-node >/dev/null
for path in /usr/bin/casper-event-sidecar /etc/casper-event-sidecar /var/lib/casper-event-sidecar \
    /etc/systemd/system/multi-user.target.wants/casper-event-sidecar.service /var/lib/systemd/deb-systemd-helper-enabled/casper-event-sidecar.service.dsh-also \
    /usr/bin/mock-node /usr/share/doc/mock-node; do
    there "test ! -e $path" || fail "$path is still there"
done
there "! getent passwd csidecar && ! getent group csidecar" >/dev/null || fail "the user is still there"

echo
echo "the packages behave (after ${SECONDS}s)"
