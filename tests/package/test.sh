#!/bin/bash
# test.sh ROOTFS: tests what davit is handed out as. Made twice, in different places
# by different users' habits, the archive and the package have the same bytes; and on
# a fresh Debian (ROOTFS, which isn't changed) the package and make install work.
# As root; all mounts are made in a namespace of the test's own.
set -euo pipefail
if [ "${1:-}" != --inside ]; then
	exec unshare --mount --propagation private "$0" --inside "$@"
fi
rootfs=$(realpath "$2")
cd "$(dirname "$0")/../.."
work=$(mktemp -d /tmp/davit-package-test.XXXXXX)
trap 'umount -R -l "$work/root" "$work/layers" 2>/dev/null || :; rm -rf "$work"' EXIT
say() { echo "package-test: $*"; }
die() { say "$*" >&2; exit 1; }

# make_in DIR VARIABLES... makes archive and package from a copy of the sources.
make_in() {
	local dir=$1
	shift
	mkdir -p "$dir"
	git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x -C "$dir"
	env "$@" make -s -C "$dir" VERSION="$VERSION" COMMIT="$COMMIT" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
		DEB_MAINTAINER='Ann O. & B/C <ann@example.org>' dist deb
}
(make_in "$work/one" TZ=UTC)
(umask 077; make_in "$work/another/much-longer/place" TZ=Asia/Tokyo LC_ALL=C.UTF-8 GOCACHE="$work/gocache")
for f in "$work"/one/bin/*.tar.gz "$work"/one/bin/*.deb; do
	cmp "$f" "$work/another/much-longer/place/bin/${f##*/}" || die "${f##*/}: two builds differ"
done
say "two builds are the same, byte for byte"

# A root of our own over the pristine one.
mkdir "$work/layers" "$work/root"
mount -t tmpfs layers "$work/layers"
mkdir "$work/layers/upper" "$work/layers/work"
mount -t overlay -o "lowerdir=$rootfs,upperdir=$work/layers/upper,workdir=$work/layers/work" root "$work/root"
mount -t proc proc "$work/root/proc"
mount --rbind /sys "$work/root/sys"
mount --rbind /dev "$work/root/dev"
mount -t tmpfs run "$work/root/run"
inside() { env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$work/root" "$@"; }
inside sh -c 'command -v davit' && die "the root isn't clean"

# works says whether the davit in the root does, with what belongs to it below a prefix.
works() {
	[[ $(inside davit --version) == *"$COMMIT"* ]] || die "davit --version doesn't name the commit"
	[ -s "$(echo "$work/root$1"/share/man/man1/davit-run.1*)" ] || die "no manual page"
	inside bash -n "$1/share/bash-completion/completions/davit" || die "no completion for bash"
	mkdir -p "$work/root/bundle/rootfs"
	mount --bind "$rootfs" "$work/root/bundle/rootfs"
	inside sh -c 'cd /bundle && davit spec'
	sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"cat", "\/etc\/debian_version"/' "$work/root/bundle/config.json"
	[ "$(inside davit run --bundle /bundle "davit-package-test-$$")" = "$(cat "$rootfs/etc/debian_version")" ] || die "the container didn't run"
	umount "$work/root/bundle/rootfs"
	rm -r "$work/root/bundle"
}
cp "$work"/one/bin/*.deb "$work/root/davit.deb"
inside dpkg -i /davit.deb
works /usr
inside dpkg --verify davit
[ -s "$work/root/usr/share/doc/davit/docs/speed.md" ] || die "the package lacks what its README leads to"
[ "$(inside dpkg-query -W -f '${Maintainer}' davit)" = 'Ann O. & B/C <ann@example.org>' ] || die "the package is somebody else's"
[ -z "$(inside dpkg-query -W -f '${Depends}' davit)" ] || die "the package depends on something"
inside dpkg -r davit
[ -z "$(inside find /usr /etc /var -name '*davit*' ! -path '/var/lib/dpkg/*')" ] || die "the package leaves something"
say "the package installs, runs a container and goes"

make -s -C "$work/one" VERSION="$VERSION" COMMIT="$COMMIT" DESTDIR="$work/root" install
works /usr/local
make -s -C "$work/one" DESTDIR="$work/root" uninstall
[ -z "$(inside find /usr/local -name '*davit*')" ] || die "make uninstall leaves something"
say "make install works, make uninstall leaves nothing"

tar -xzf "$work"/one/bin/*.tar.gz --strip-components=1 -C "$work/root/usr/local"
works /usr/local
say "the archive works"
