#!/bin/sh
# What every image needs from its system: Python 3.10 to 3.12 with venv, and the OpenMP runtime. A base that has both
# is left as it is, so that a vendor's image keeps its packages and an air-gapped build needs no mirror.
set -eu

sh /docker/python.sh >/dev/null 2>&1 && python=yes || python=
openmp=$(find /lib /usr/lib /usr/lib64 /usr/local/lib -name 'libgomp.so.1' 2>/dev/null | head -n 1)
[ -z "$python" ] || [ -z "$openmp" ] || exit 0

if command -v apt-get >/dev/null; then
    packages=
    [ -n "$python" ] || packages="python3 python3-venv"
    [ -n "$openmp" ] || packages="$packages libgomp1"
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages
    rm -rf /var/lib/apt/lists/*
else
    packages=
    [ -n "$python" ] || packages="python3"
    [ -n "$openmp" ] || packages="$packages libgomp"
    # shellcheck disable=SC2086
    yum install -q -y $packages
fi
sh /docker/python.sh
