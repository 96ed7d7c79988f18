#!/bin/sh
# venv.sh PYTHON FOLDER PIP...: an environment with pip in it, also by a Python without ensurepip, as Debian, Ubuntu and
# the vendors' images split it off: there PIP, which that Python has, brings the pip of the lock by its hash.
set -eu
here=$(dirname "$0")
python=$1 folder=$2
shift 2
if "$python" -m venv --clear "$folder" >/dev/null 2>&1; then
    exit
fi
"$python" -m venv --clear --without-pip "$folder"
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$@" install --target "$site" --no-deps --require-hashes -r "$here/locks/pip.txt"
