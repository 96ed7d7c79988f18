#!/bin/sh
# What every image needs from its system: a Python of PYTHONS with its ensurepip or a pip, the OpenMP runtime, and the
# TOOLS that the programs of its stack call. A base that has them all is left as it is, so that a vendor's image keeps
# its packages and an air-gapped build needs no mirror.
set -eu

packages=
if ! python=$(sh /docker/python.sh 2>/dev/null); then
    packages="python3 python3-venv"
elif ! "$python" -c 'import ensurepip' 2>/dev/null && ! "$python" -m pip --version >/dev/null 2>&1; then
    packages="python3-pip"
fi
[ -n "$(find /lib /usr/lib /usr/lib64 /usr/local/lib -name 'libgomp.so.1' 2>/dev/null | head -n 1)" ] ||
    packages="$packages libgomp1"
for tool in ${TOOLS:-}; do
    command -v "$tool" >/dev/null || packages="$packages $tool"
done
# shellcheck disable=SC2086
[ -z "$packages" ] || sh /docker/packages.sh $packages
sh /docker/python.sh
