#!/bin/sh
# Write the lock files of the images: parts of the project's resolution, for CPython 3.11 on Linux. Needs uv.
set -eu
cd "$(dirname "$0")"
lock() {
    name=$1; shift
    uv pip compile "$@" --constraint ../requirements.lock --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet -o "requirements-$name.lock"
}
training="--extra training --extra tracing --extra s3 --extra parquet"
lock build build.in
lock redis redis.in
lock serving ../pyproject.toml --extra tracing --extra s3
# shellcheck disable=SC2086 # the extras are words
lock training ../pyproject.toml $training
# shellcheck disable=SC2086
lock training-gpu ../pyproject.toml gpu.in $training
