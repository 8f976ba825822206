# In place of grafana/grafana-oss, which Debian does not have: something that answers its health check, so that the
# service's ports, mounts and rights are tried. It shows no dashboard; ci/metric_names.py checks that file.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update -qq && apt-get install -qy --no-install-recommends busybox wget >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 472 -g 0 /var/lib/grafana \
    && install -d /srv/api && echo '{"database":"stand-in"}' >/srv/api/health
USER 472
CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/srv"]
