#!/bin/sh
# A C++ compiler, where the base has none.
set -eu
command -v g++ >/dev/null && exit 0
if command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends g++ libc6-dev
    rm -rf /var/lib/apt/lists/*
else
    yum install -q -y gcc-c++
fi
