#!/bin/sh
# deb.sh VERSION ARCHITECTURE TREE: makes a package of Debian's of what was installed in
# TREE below /usr. The binary is static: it depends on nothing. DEB_MAINTAINER, a name
# and <an address>, is who answers for it (Debian policy 5.6.2).
set -eu
umask 022
version=$1 arch=$2 tree=$3
# One line, and without what separates addresses from each other.
maintainer=$(printf %s "$DEB_MAINTAINER" | tr -d '",;' | tr '\n' ' ')
case $maintainer in
?*" <"?*@?*">") ;;
*)
	echo "DEB_MAINTAINER is \"$maintainer\", not a name and an <address>" >&2
	exit 1
	;;
esac
doc=$tree/usr/share/doc/davit
gzip -9n "$tree"/usr/share/man/man1/*.1
mv "$tree"/usr/share/zsh/site-functions "$tree"/usr/share/zsh/vendor-completions
rm "$doc"/LICENSE # copyright says where Debian has it
mkdir -p "$tree"/usr/share/lintian/overrides
cp packaging/lintian-overrides "$tree"/usr/share/lintian/overrides/davit
printf 'davit (%s) unstable; urgency=medium\n\n  * Built from its sources; their history says what changed.\n\n -- %s  %s\n' \
	"$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" |
	gzip -9n >"$doc"/changelog.gz
mkdir "$tree"/DEBIAN
(cd "$tree" && find usr -type f | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
# In KiB, of the files alone: how much a directory takes depends on where the package is made.
size=$(find "$tree"/usr -type f -printf '%s\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n }')
escaped=$(printf %s "$maintainer" | sed 's/[\\&/]/\\&/g')
sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$arch/; s/@SIZE@/$size/; s/@MAINTAINER@/$escaped/" packaging/control >"$tree"/DEBIAN/control
chmod -R u=rwX,go=rX "$tree"
rm -f "bin/davit_"*"_$arch.deb" # of other commits
dpkg-deb --root-owner-group -Zxz --build "$tree" "bin/davit_${version}_$arch.deb" >/dev/null
sha256sum "bin/davit_${version}_$arch.deb"
