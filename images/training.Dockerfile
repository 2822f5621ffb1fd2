# The image of training and federation: the centre's programs, a cell's trainer, SuperNode and SuperExec, `hearth retrain`.
# For GPU nodes: --build-arg LOCK=requirements-training-gpu.lock, which brings CUDA and cuDNN as wheels; the node has
# the driver. BASE may be pinned by digest: --build-arg BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG LOCK=requirements-training.lock
# What pip heeds: an index of your own, its authority, or none at all (then all wheels lie in images/wheels).
ARG PIP_INDEX_URL
ARG PIP_CERT
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY images/wheels/ wheels/
COPY images/requirements-build.lock images/${LOCK} ./
# What runs has no pip: the one of the building environment installs into it.
RUN python3 -m venv tools \
 && python3 -m venv --without-pip /opt/hearth \
 && tools/bin/pip install --quiet --require-hashes --only-binary :all: --find-links wheels -r requirements-build.lock \
 && tools/bin/pip --python /opt/hearth/bin/python install --quiet --require-hashes --only-binary :all: --no-compile \
        --find-links wheels -r "${LOCK}"
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
LABEL org.opencontainers.image.title="hearth-training" \
      org.opencontainers.image.description="Federated training: the centre, and the cells' part of it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, so that Kubernetes can see that it is not root; a name, so that the registry's trail can say who it was.
RUN groupadd --gid 10001 hearth && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home hearth
COPY --from=build /opt/hearth /opt/hearth
# Compiled kernels and caches go to /tmp, the only place besides volumes that is written to; nobody is called up.
ENV PATH=/opt/hearth/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib OPENBLAS_THREAD_TIMEOUT=4 HF_HUB_OFFLINE=1 \
    FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /tmp
# Six programs run from this image, each with another sign of life: the manifests have the probe of each.
HEALTHCHECK NONE
CMD ["hearth", "--help"]
