# The commands of the project; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
WORKERS ?= 2
K8S_VENV := .venv-k8s
K8S_READY := $(K8S_VENV)/.ready
IMAGES ?= serving training redis
IMAGE_ARGS ?=

.PHONY: help setup demo test test-slow check k8s-check images sbom lock

help: ## list these commands
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv and install what requirements.lock pins

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"Hearth needs Python 3.11, 3.12 or 3.13; {sys.executable} is {v[0]}.{v[1]}. Name another with: make setup PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## fetch MovieLens-100K, train, publish, serve and ask; ARGS=--exit ends after that
	$(BIN)/hearth demo $(ARGS)

test: $(READY) ## the default tests, in WORKERS processes
	$(BIN)/python -m pytest -m "not slow" --numprocesses $(WORKERS) --dist loadfile $(ARGS)

test-slow: $(READY) ## the tests that need minutes (those of federations alone: 40), or the data sets that HEARTH_DATA names
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(READY) ## format, lint, types, import contracts, examples in the documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy -p images -p k8s.policies -p k8s.tools
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet --doctest-modules --doctest-glob='*.md' feature_store training serving hearth benchmarks docs README.md

k8s-check: $(K8S_READY) ## render, validate and scan the manifests, the Dockerfiles and the alerts (an environment of its own)
	$(K8S_VENV)/bin/python -m k8s.tools

$(K8S_READY): k8s/tools/requirements.lock
	$(PYTHON) -m venv $(K8S_VENV)
	$(K8S_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r k8s/tools/requirements.lock
	@touch $@

images: ## build IMAGES (serving, training, redis, training-gpu) with docker, podman or buildah; IMAGE_ARGS go to the build
	IMAGES="$(IMAGES)" ./images/build.sh $(IMAGE_ARGS)

sbom: ## write what is in each image to build/sbom (CycloneDX, JSON)
	@mkdir -p build/sbom
	@for image in serving training training-gpu redis; do $(PYTHON) -m images.sbom $$image > build/sbom/hearth-$$image.cdx.json || exit 1; done
	@ls build/sbom/*.cdx.json

lock: ## write requirements.lock anew from pyproject.toml, and those of the images and of k8s-check (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --quiet -o requirements.lock
	./images/lock.sh
	uv pip compile k8s/tools/requirements.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --upgrade --quiet -o k8s/tools/requirements.lock
