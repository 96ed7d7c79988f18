#!/bin/sh
# lock.sh paddle|others: the lines of STACK's lock for Paddle, or all but these.
set -eu
awk -v want="$1" '/^[^ ]/ { is = /^paddlepaddle==/ ? "paddle" : "others" } is == want' "/docker/locks/$STACK.txt"
