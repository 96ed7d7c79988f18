#!/bin/sh
# The stack STACK in /opt/homework: everything of its lock but Paddle, by hash; below it what the vendor's SDK imports into
# programs, where it imports anything.
set -eu
python=$(sh /docker/python.sh)
PIP="$python -m pip" sh /docker/venv.sh "$python" /opt/homework sh /docker/pip.sh
sh /docker/lock.sh others >/tmp/lock.txt
for lock in /docker/locks/beside.txt /tmp/lock.txt; do
    [ ! -r "$lock" ] || sh /docker/pip.sh install --require-hashes --no-deps --no-compile -r "$lock"
done
sh /docker/bytecode.sh /opt/homework/lib
rm -f /tmp/*
