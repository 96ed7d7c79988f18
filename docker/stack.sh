#!/bin/sh
# The stack STACK in /opt/homework: everything of its lock but Paddle, by hash.
set -eu
python=$(sh /docker/python.sh)
PIP="$python -m pip" sh /docker/venv.sh "$python" /opt/homework sh /docker/pip.sh
sh /docker/lock.sh others >/tmp/lock.txt
sh /docker/pip.sh install --require-hashes --no-deps --no-compile -r /tmp/lock.txt
sh /docker/bytecode.sh /opt/homework/lib
rm -f /tmp/*
