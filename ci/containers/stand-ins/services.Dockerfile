# In place of postgres, prom/prometheus and grafana/grafana-oss: as much of their contracts as docker-compose.yml uses.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE} AS packages
RUN apt-get update -qq && mkdir -p /etc/postgresql-common \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
    && apt-get install -qy --no-install-recommends postgresql prometheus busybox wget >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin /usr/local/postgresql \
    && install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data \
    && install -d -o nobody -g nogroup /prometheus \
    && install -d -o 472 -g 0 /var/lib/grafana \
    && install -d /srv/api && echo '{"database":"stand-in"}' >/srv/api/health


FROM packages AS postgres
ENV PATH=/usr/local/postgresql:$PATH PGDATA=/var/lib/postgresql/data
COPY postgres-entrypoint /usr/local/bin/
# As in the image of postgres: a file system in memory that is mounted there takes this mode over.
RUN chmod 3777 /run/postgresql
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-entrypoint"]


FROM packages AS prometheus
USER nobody
VOLUME /prometheus
ENTRYPOINT ["prometheus"]


# Debian has no Grafana. This answers its health check, so that the service's ports, mounts and rights are tried. It
# shows no dashboard; ci/metric_names.py checks that file.
FROM packages AS grafana
USER 472
CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/srv"]
