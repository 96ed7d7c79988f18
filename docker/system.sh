#!/bin/sh
# What every image needs from its system: Python 3.10 to 3.13 with venv, the OpenMP runtime, and the TOOLS that the
# programs of its stack call. A base that has them all is left as it is, so that a vendor's image keeps its packages and
# an air-gapped build needs no mirror. A tool's package bears its name; only yum's compiler does not.
set -eu

sh /docker/python.sh >/dev/null 2>&1 && python=yes || python=
openmp=$(find /lib /usr/lib /usr/lib64 /usr/local/lib -name 'libgomp.so.1' 2>/dev/null | head -n 1)
packages=
for tool in ${TOOLS:-}; do
    command -v "$tool" >/dev/null || packages="$packages $tool"
done

if command -v apt-get >/dev/null; then
    [ -n "$python" ] || packages="$packages python3 python3-venv"
    [ -n "$openmp" ] || packages="$packages libgomp1"
    [ -n "$packages" ] || exit 0
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages
    rm -rf /var/lib/apt/lists/*
else
    packages=$(echo "$packages" | sed 's/g++/gcc-c++/')
    [ -n "$python" ] || packages="$packages python3"
    [ -n "$openmp" ] || packages="$packages libgomp"
    [ -n "$packages" ] || exit 0
    # shellcheck disable=SC2086
    yum install -q -y $packages
fi
sh /docker/python.sh
