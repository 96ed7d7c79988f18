#!/bin/sh
# pip.sh WORDS: pip of /opt/homework, or PIP, with the settings of the build's secrets, which stay out of the layers.
# Wheels in /wheels come first: where they are enough, no index is asked.
# INDEX_ALONE: of all indexes this one alone is asked, whatever the settings name.
set -eu
[ ! -s /run/secrets/pip ] || export PIP_CONFIG_FILE=/run/secrets/pip
[ ! -s /run/secrets/ca ] || export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CACHE_DIR=/var/cache/pip
pip=${PIP:-/opt/homework/bin/python -m pip}
word=$1
shift
if [ -n "$(find /wheels -name '*.whl' 2>/dev/null | head -n 1)" ]; then
    set -- --find-links /wheels "$@"
    if $pip "$word" -q --no-index "$@" 2>/tmp/why; then
        exit
    fi
    echo "The folder of wheels does not hold all of it:" >&2
    tail -n 2 /tmp/why >&2
    ! grep -q '^no-index' /run/secrets/pip || exit 1
    echo "So the index is asked." >&2
fi
if [ -n "${INDEX_ALONE:-}" ]; then
    export PIP_CONFIG_FILE=/dev/null
    set -- --index-url "$INDEX_ALONE" "$@"
fi
exec $pip "$word" -q "$@"
