#!/bin/sh
# The entry point: set up the vendor's SDK as its own scripts (SETUP) say, then run the program.
for file in $SETUP; do
    # shellcheck disable=SC1090
    [ ! -r "$file" ] || . "$file"
done
exec "$@"
