#!/bin/sh
# Build Paddle or a device's plug-in from source into /built: COMMAND in DIRECTORY. The sources are those in /tree, where
# there are any, or else REPOSITORY at REVISION with its SUBMODULES (none named: all). It runs in a container with the
# driver of the machine; /source is kept, so a build that broke off goes on where it stopped.
set -eu
[ ! -s /run/secrets/ca ] || export GIT_SSL_CAINFO=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca
git config --global --add safe.directory '*'

try_again() {
    for pause in 1 5 15; do
        if "$@"; then return; fi
        echo "It failed: once more in $pause s." >&2
        sleep "$pause"
    done
    "$@"
}

submodules() {
    if [ "$SUBMODULES" = all ]; then
        try_again git -C /source submodule update -q --init --recursive --depth 1
        return
    fi
    for module in $SUBMODULES; do  # a module of a module stands behind it
        try_again git -C "/source/$(dirname "$module")" submodule update -q --init --depth 1 "$(basename "$module")"
    done
}

if [ -n "$(ls -A /tree 2>/dev/null)" ]; then
    cp -a --update /tree/. /source/
else
    if [ ! -d /source/.git ]; then
        git init -q /source
        git -C /source remote add origin "$REPOSITORY"
    fi
    try_again git -C /source fetch -q --depth 1 origin "$REVISION"
    git -C /source checkout -q --force FETCH_HEAD
    submodules
fi
# A plug-in is compiled against the CPU's Paddle of the lock.
[ -z "$BESIDE" ] || PACKAGES=$BESIDE INDEX='' sh /docker/paddle.sh
requirements=/source/python/requirements.txt
[ ! -r "$requirements" ] || sh /docker/pip.sh install -r "$requirements"
mkdir -p "/source/$DIRECTORY" /built
find /source -name '*.whl' -path '*dist*' -delete
cd "/source/$DIRECTORY"
sh /docker/entry.sh sh -euc "$COMMAND"
find /source -name '*.whl' -path '*dist*' -exec cp {} /built/ \;
ls /built/*.whl
