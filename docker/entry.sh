#!/bin/sh
# entry.sh COMMAND: run it as the vendor's login shell would: the set-up scripts that SETUP names are sourced, by bash
# where it is here, and may use variables that nobody has set. What they print goes to stderr.
if [ -z "${BASH_VERSION:-}" ] && command -v bash >/dev/null; then
    exec bash "$0" "$@"
fi
set +eu

# A function of its own: a sourced script would read the command's words as its own.
set_up() {
    for file in ${SETUP:-}; do
        # shellcheck disable=SC1090
        [ ! -r "$file" ] || . "$file"
    done
}

folder=$PWD
set_up >&2
cd "$folder" || exit
[ ! -d /opt/homework/bin ] || export PATH="/opt/homework/bin:$PATH"  # the scripts may have put a Python before it

# On ARM a library that is loaded late finds no room for its thread-local variables: the OpenMP runtime goes first.
if [ "$(uname -m)" = aarch64 ]; then
    for library in /usr/lib/aarch64-linux-gnu/libgomp.so.1 /usr/lib64/libgomp.so.1; do
        case "$library:${LD_PRELOAD:-}" in
            *libgomp*:*libgomp*) ;;
            *) [ ! -r "$library" ] || export LD_PRELOAD="$library${LD_PRELOAD:+:$LD_PRELOAD}" ;;
        esac
    done
fi
exec "$@"
