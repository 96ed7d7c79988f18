#!/bin/sh
# bytecode.sh FOLDERS: compile what was installed, without times in it, so that programs start at once. What is there
# already is written anew: the bytecode that venv makes for its own pip holds times.
set -eu
PYTHONHASHSEED=0 /opt/homework/bin/python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash "$@" || true
