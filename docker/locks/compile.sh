#!/bin/sh
# Resolve every lock again, for Python 3.10 to 3.12 on any platform: docker/locks/compile.sh [NAME ...]
# NAME.excludes, where there is one, names packages that are left out although another one requires them.
set -eu
cd "$(dirname "$0")"
uv=${UV:-../../.venv/bin/uv}
[ $# -gt 0 ] || set -- *.in
for name; do
    name=${name%.in}
    echo "$name.in -> $name.txt"
    set --
    [ ! -f "$name.excludes" ] || set -- --excludes "$name.excludes"
    "$uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes "$@" \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$name.in" --output-file "$name.txt"
done
