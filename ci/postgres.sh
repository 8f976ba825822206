#!/usr/bin/env bash
# Makes sure that the tests find PostgreSQL: on a machine without its programs it is installed from Debian. The tests
# start servers of their own from them, or use the one that SIDECAR_TEST_POSTGRES names.
set -euo pipefail

if [ -n "${SIDECAR_TEST_POSTGRES:-}" ] || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    exit 0
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
# No cluster of Debian's own is wanted beside those of the tests.
"${as_root[@]}" mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends postgresql >/dev/null
ls /usr/lib/postgresql/*/bin/initdb
