#!/bin/sh
# packages.sh NAMES: install packages of the system, by apt, dnf or yum. They are named as Debian names them.
set -eu
if command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    rm -rf /var/lib/apt/lists/*
    exit
fi
manager=$(command -v dnf || command -v yum) || {
    echo "This base has no apt-get, dnf or yum, so these cannot be installed: $*" >&2
    echo "Take a base that holds them: --base IMAGE" >&2
    exit 1
}
names=
for name; do
    case $name in
        g++) name=gcc-c++ ;;
        libgomp1) name=libgomp ;;
        python3-venv) continue ;;  # a part of Python there
        *-dev) name=${name}el ;;
    esac
    names="$names $name"
done
# shellcheck disable=SC2086
"$manager" install -q -y $names
