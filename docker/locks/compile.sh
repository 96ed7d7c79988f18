#!/bin/sh
# Resolve every lock again, for Python 3.10 to 3.12 on any platform: docker/locks/compile.sh [NAME ...]
set -eu
cd "$(dirname "$0")"
uv=${UV:-../../.venv/bin/uv}
[ $# -gt 0 ] || set -- *.in
for name; do
    name=${name%.in}
    echo "$name.in -> $name.txt"
    "$uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$name.in" --output-file "$name.txt"
done
