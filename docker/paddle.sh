#!/bin/sh
# Paddle in /opt/homework: of PACKAGES the CPU's from the lock by hash, the vendor's from INDEX alone or from /wheels. Of
# what was built here (/built) all is taken. The hash of each wheel is kept in /opt/homework/wheels.txt, and held against
# those of PINS, where a line names it: HASH FILE.
set -eu
download() {
    sh /docker/pip.sh download --no-deps --dest /tmp/paddle "$@"
}
version=$(sed -n 's/^paddlepaddle==\([^ ;]*\).*/\1/p' "/docker/locks/$STACK.txt")
mkdir -p /tmp/paddle
built=$(cd /built 2>/dev/null && ls -- *.whl 2>/dev/null) || built=
for wheel in $built; do
    case " $PACKAGES " in
        *" $(echo "${wheel%%-*}" | tr _ -) "*) cp "/built/$wheel" /tmp/paddle/ ;;
        *)
            echo "What was built is $wheel, and this kind's packages are: $PACKAGES." >&2
            echo "Nothing official is taken in its place; mend wheels.packages or the source's command." >&2
            exit 1
            ;;
    esac
done
for package in $PACKAGES; do
    case " $(echo "$built" | sed 's/-.*//' | tr '_\n' '- ') " in *" $package "*) continue ;; esac
    if [ "$package" = paddlepaddle ]; then
        sh /docker/lock.sh paddle >/tmp/lock.txt
        # An unlisted version has no hash; of a listed one it has to be right.
        download "$(grep -q -- --hash /tmp/lock.txt && echo --require-hashes || echo --no-deps)" -r /tmp/lock.txt
    elif [ -n "$built" ]; then
        echo "The source made $built, and no $package." >&2
        exit 1
    else
        INDEX_ALONE=$INDEX download "$package==$version"
    fi
done
cd /tmp/paddle
sha256sum ./*.whl >/opt/homework/wheels.txt
for wheel in *.whl; do
    pinned=$(echo "${PINS:-}" | tr ' ' '\n' | sed -n "s/^$wheel=//p")
    if [ -n "$pinned" ] && ! grep -q "^$pinned  ./$wheel$" /opt/homework/wheels.txt; then
        echo "$wheel is not the file that docker/pins.json names: its hash is another." >&2
        exit 1
    fi
done
sh /docker/pip.sh install --no-deps --no-compile --no-index /tmp/paddle/*.whl
sh /docker/bytecode.sh /opt/homework/lib/python3*/site-packages/paddle*
rm -rf /tmp/*
