#!/bin/sh
# deb.sh VERSION ARCHITECTURE TREE: makes a package of Debian's of what was installed in
# TREE below /usr. The binary is static: it depends on nothing.
set -eu
umask 022
version=$1 arch=$2 tree=$3
doc=$tree/usr/share/doc/davit
gzip -9n "$tree"/usr/share/man/man1/*.1
mv "$tree"/usr/share/zsh/site-functions "$tree"/usr/share/zsh/vendor-completions
rm "$doc"/LICENSE
cp packaging/copyright "$doc"/copyright
mkdir "$doc"/docs
cp -r docs/*.md docs/engines "$doc"/docs/
printf 'davit (%s) unstable; urgency=medium\n\n  * Built from its sources; their history says what changed.\n\n -- %s  %s\n' \
	"$version" "$(sed -n 's/^Maintainer: //p' packaging/control)" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" |
	gzip -9n >"$doc"/changelog.gz
mkdir "$tree"/DEBIAN
(cd "$tree" && find usr -type f | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
# In KiB, of the files alone: how much a directory takes depends on where the package is made.
size=$(find "$tree"/usr -type f -printf '%s\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n }')
sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$arch/; s/@SIZE@/$size/" packaging/control >"$tree"/DEBIAN/control
chmod -R u=rwX,go=rX "$tree"
dpkg-deb --root-owner-group -Zxz --build "$tree" "bin/davit_${version}_$arch.deb" >/dev/null
sha256sum "bin/davit_${version}_$arch.deb"
