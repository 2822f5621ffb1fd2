#!/bin/sh
# Build the images with docker, podman or buildah, whichever is there; further arguments go to the build.
# BUILDER names one of them, or is `show`, which says what would be asked of it; IMAGES which images: serving, training, redis, training-gpu.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

if [ -z "${BUILDER:-}" ]; then
    if command -v docker >/dev/null && docker info >/dev/null 2>&1; then BUILDER=docker
    elif command -v podman >/dev/null; then BUILDER=podman
    elif command -v buildah >/dev/null; then BUILDER=buildah
    else echo "docker (with its daemon), podman or buildah is needed to build images" >&2; exit 1
    fi
fi
case $BUILDER in
    docker) build="docker build" ;;
    # docker's format: that of OCI has no place for a HEALTHCHECK
    podman) build="podman build --format docker" ;;
    buildah) build="buildah bud --format docker" ;;
    show) build="echo" ;;
    *) echo "BUILDER is docker, podman, buildah or show, and not $BUILDER" >&2; exit 1 ;;
esac

# The whole name: what a manifest calls hearth-serving a node looks for under it, and buildah and podman would put
# localhost/ before a shorter one.
place=docker.io/library
for image in ${IMAGES:-serving training redis}; do
    case $image in
        serving | training | redis) file=$image tag=$place/hearth-$image:$version variant= ;;
        training-gpu) file=training tag=$place/hearth-training:$version-gpu variant="--build-arg LOCK=requirements-training-gpu.lock" ;;
        *) echo "there is no image $image; there are serving, training, redis and training-gpu" >&2; exit 1 ;;
    esac
    echo "$tag with $BUILDER"
    # shellcheck disable=SC2086 # the builder and the variant are words
    $build --file "images/$file.Dockerfile" --tag "$tag" $variant \
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "$@" .
done
