#!/bin/sh
# What builds Paddle and the plug-ins, where the base has none.
set -eu
python=$(sh /docker/python.sh)
packages=
for tool in git cmake make g++ patchelf; do
    command -v "$tool" >/dev/null || packages="$packages $tool"
done
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
[ -r "$headers" ] || packages="$packages $("$python" -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])')"
[ -d /etc/ssl/certs ] || packages="$packages ca-certificates"
# shellcheck disable=SC2086
[ -z "$packages" ] || sh /docker/packages.sh $packages
