# The image of a server: no TensorFlow, no Flower. `make images` builds it, docs/operations.md says how it is run.
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
COPY images/requirements-build.lock images/requirements-serving.lock ./
# What runs has no pip: the one of the building environment installs into it.
RUN python3 -m venv tools \
 && python3 -m venv --without-pip /opt/hearth \
 && tools/bin/pip install --quiet --require-hashes --only-binary :all: --find-links wheels -r requirements-build.lock \
 && tools/bin/pip --python /opt/hearth/bin/python install --quiet --require-hashes --only-binary :all: --no-compile \
        --find-links wheels -r requirements-serving.lock
COPY pyproject.toml README.md LICENSE ./
COPY feature_store/ feature_store/
COPY training/ training/
COPY serving/ serving/
COPY hearth/ hearth/
COPY benchmarks/ benchmarks/
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
 && tools/bin/pip --python /opt/hearth/bin/python install --quiet --no-deps --no-index --no-compile dist/*.whl \
 && /opt/hearth/bin/python -m compileall -q /opt/hearth/lib

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hearth-serving" \
      org.opencontainers.image.description="Recommendations over HTTP, for an edge cell" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, so that Kubernetes can see that it is not root; a name, so that the registry's trail can say who it was.
RUN groupadd --gid 10001 hearth && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home hearth
COPY --from=build /opt/hearth /opt/hearth
# One thread of BLAS: requests are the parallel part (docs/lifecycle.md). Nothing is written but to volumes and /tmp.
ENV PATH=/opt/hearth/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
# For Docker and Podman; Kubernetes has the probes of its manifests. A server with HTTPS needs another one.
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
CMD ["python", "-m", "serving", "/etc/hearth/serving.json"]
