#!/bin/sh
# What builds Paddle and the plug-ins, where the base has none; a layer of its own, so that a build that broke off has it.
set -eu
if ! command -v git >/dev/null || ! command -v cmake >/dev/null || ! command -v patchelf >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        git cmake make g++ patchelf python3-dev ccache ca-certificates
fi
