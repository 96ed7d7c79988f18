#!/bin/sh
# Print the Python to use: PYTHON, or the first of PYTHONS, the versions that the kind has wheels for, oldest first.
set -eu
versions=${PYTHONS:-3.10 3.11 3.12}
candidates=${PYTHON:-}
[ -n "$candidates" ] || for version in $versions; do
    short=$(echo "$version" | tr -d .)
    candidates="$candidates python$version /usr/local/bin/python$version /opt/py$short/bin/python3"
done
for candidate in $candidates ${PYTHON:-python3}; do
    found=$("$candidate" -c 'import sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case " $versions " in
        *" $found "*)
            command -v "$candidate"
            exit
            ;;
    esac
done
echo "There is no ${PYTHON:-Python} of version $versions in the base image." >&2
echo "The wheels are for these versions only. Take another base, or name it: HOMEWORK_BUILD_ARGUMENTS=PYTHON=/path/to/python" >&2
exit 1
