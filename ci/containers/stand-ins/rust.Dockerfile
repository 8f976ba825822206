# In place of rust: the machine's own toolchain. The context is its `bin` and `lib`, and the machine's certificates.
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update -qq && apt-get install -qy --no-install-recommends gcc libc6-dev >/dev/null \
    && rm -rf /var/lib/apt/lists/*
COPY ca-certificates.crt /etc/ssl/certs/
COPY bin /usr/local/bin
COPY lib /usr/local/lib
ENV CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt CARGO_HOME=/usr/local/cargo
