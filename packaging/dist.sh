#!/bin/sh
# dist.sh NAME TREE: makes bin/NAME.tar.gz of what was installed in TREE. The same
# commit makes the same bytes: names in order, no owners, times of the commit.
set -eu
rm -f "bin/davit-"*"-${1##*-}.tar.gz" # of other commits
tar --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$SOURCE_DATE_EPOCH" \
	--transform="s,^\.,$1," -C "$2" -c . | gzip -9n >"bin/$1.tar.gz"
sha256sum "bin/$1.tar.gz"
