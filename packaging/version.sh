#!/bin/sh
# version.sh VERSION: the version as one of Debian's kind, deb-version(7), which has no hyphen in a native package's.
set -eu
case $1 in
[0-9]*) printf '%s\n' "$1" | tr - '~' ;;
*) echo "VERSION has to begin with a digit: $1" >&2; exit 1 ;;
esac
