#!/bin/sh
# Print the Python to use: PYTHON, or the first from 3.10 to 3.13. The vendors' wheels are for 3.10, so it comes first.
set -eu
for candidate in ${PYTHON:-} python3.10 python3.11 python3.12 python3.13 python3 /usr/local/bin/python3.10 /opt/py310/bin/python3; do
    if "$candidate" -c 'import ensurepip, sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
        command -v "$candidate"
        exit
    fi
done
echo "No Python from 3.10 to 3.13 with its venv module is in the base image." >&2
echo "Paddle has wheels for these versions only. Take another base, or name it: --build-arg PYTHON=/path/to/python" >&2
exit 1
