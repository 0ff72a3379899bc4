#!/bin/sh
# version.sh VERSION: what git describe says, as a version of Debian's kind, deb-version(7).
# v1.2.3-4-gabcdef is 1.2.3+4.gabcdef; without a tag it is below every version that there will be.
set -eu
version=$(printf %s "$1" | sed -E 's/^v//; s/-dirty$/+dirty/; s/-([0-9]+)-g/+\1.g/; s/-(rc|beta|alpha)/~\1/; s/-/./g')
case $version in
[0-9]*.*) echo "$version" ;;
*) echo "0~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d).$version" ;;
esac
