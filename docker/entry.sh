#!/bin/sh
# entry.sh COMMAND: run it as the vendor's login shell would: the set-up scripts that SETUP names are sourced, by bash
# where it is here, and may use variables that nobody has set.
if [ -z "${BASH_VERSION:-}" ] && command -v bash >/dev/null; then
    exec bash "$0" "$@"
fi
set +eu
[ -z "${BASH_VERSION:-}" ] || eval 'homework_words=("$@")'  # where a trap in a function has words of its own

# A function of its own: a sourced script would read the command's words as its own.
set_up() {
    for homework_file in ${SETUP:-}; do
        homework_rest="${homework_rest#"$homework_file"}"
        homework_rest="${homework_rest# }"
        # shellcheck disable=SC1090
        [ ! -r "$homework_file" ] || . "$homework_file"
    done
}

# Where a script ends the shell, what it has set until then holds, and the others and the command follow.
go_on() {
    trap - EXIT
    exec <&8 >&9 8<&- 9>&-
    echo "$homework_file ended the shell; what it set before is kept." >&2
    cd "$homework_folder" || exit
    [ -z "${BASH_VERSION:-}" ] || eval 'set -- "${homework_words[@]}"'
    SETUP=$homework_rest exec /bin/sh "$0" "$@"
}

homework_folder=$PWD homework_rest=${SETUP:-}
[ -e /dev/fd/0 ] || exec </dev/null
exec 8<&0 9>&1 </dev/null >&2  # what the scripts print goes to stderr, and they read nothing
trap 'go_on "$@"' EXIT
set_up
trap - EXIT
set +eu
exec <&8 >&9 8<&- 9>&-
cd "$homework_folder" || exit
command -v uname >/dev/null || export PATH="$PATH:/usr/local/bin:/usr/bin:/bin"
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
