#!/bin/sh
# Build Paddle or a device's plug-in from source into /built: COMMAND in DIRECTORY with OPTIONS. The sources are those in
# /tree, where there are any, or else REPOSITORY at REVISION.
# /source is a cache: a build that broke off goes on where it stopped.
set -eu
[ -n "$REPOSITORY" ] || { echo "This kind names no source in its hardware.yaml." >&2; exit 1; }
[ ! -s /run/secrets/ca ] || export GIT_SSL_CAINFO=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca
[ ! -s /run/secrets/pip ] || export PIP_CONFIG_FILE=/run/secrets/pip
if [ -n "$(ls -A /tree)" ]; then
    cp -a --update /tree/. /source/
else
    if [ ! -d /source/.git ]; then
        git init -q /source
        git -C /source remote add origin "$REPOSITORY"
    fi
    git -C /source fetch -q --depth 1 origin "$REVISION"
    git -C /source checkout -q --force FETCH_HEAD
    git -C /source submodule update -q --init --recursive --depth 1
fi
export PATH="/opt/homework/bin:$PATH"
for file in $SETUP; do
    # shellcheck disable=SC1090
    [ ! -r "$file" ] || . "$file"
done
requirements=/source/python/requirements.txt
[ ! -r "$requirements" ] || sh /docker/pip.sh install -r "$requirements"
mkdir -p "/source/$DIRECTORY" /built
cd "/source/$DIRECTORY"
find /source -name '*.whl' -path '*dist*' -delete
sh -euc "$COMMAND"
find /source -name '*.whl' -path '*dist*' -exec cp {} /built/ \;
ls /built/*.whl
