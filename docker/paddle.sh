#!/bin/sh
# Paddle in /opt/homework: of PACKAGES the CPU's from the lock by hash, the vendor's from INDEX or from /wheels.
# The hash of each wheel is kept in /opt/homework/wheels.txt.
set -eu
download() {
    sh /docker/pip.sh download --no-deps --dest /tmp/paddle "$@"
}
version=$(sed -n 's/^paddlepaddle==\([^ ;]*\).*/\1/p' "/docker/locks/$STACK.txt")
for package in $PACKAGES; do
    built=$(find /built -name "$(echo "$package" | tr - _)-*.whl" 2>/dev/null | head -n 1)
    if [ -n "$built" ]; then
        mkdir -p /tmp/paddle
        cp "$built" /tmp/paddle/
    elif [ "$package" = paddlepaddle ]; then
        sh /docker/lock.sh paddle >/tmp/lock.txt
        # An unlisted version has no hash; of a listed one it has to be right.
        download "$(grep -q -- --hash /tmp/lock.txt && echo --require-hashes || echo --no-deps)" -r /tmp/lock.txt
    elif [ -n "$INDEX" ]; then
        download --extra-index-url "$INDEX" "$package==$version"
    else
        download "$package==$version"
    fi
done
sh /docker/pip.sh install --no-deps --no-compile --no-index /tmp/paddle/*.whl
(cd /tmp/paddle && sha256sum ./*.whl) >/opt/homework/wheels.txt
sh /docker/bytecode.sh /opt/homework/lib/python3*/site-packages/paddle*
rm -rf /tmp/*
