#!/bin/sh
# debian-rootfs.sh DIR: makes a Debian rootfs with the programs that the tests of
# real workloads run (TestWorkload…), unless DIR has one already. As root; needs
# mmdebstrap or debootstrap, and takes packages from where this host's apt does.
set -eu
umask 022
dir=$1 suite=bookworm packages=python3,redis-server
[ ! -e "$dir/.complete" ] || exit 0
mkdir -p "$(dirname "$dir")"
rm -rf "$dir" "$dir.partial"
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" "Created-By: Packages" 2>/dev/null | head -n 1)
# Without a mirror the tools take their own default.
if command -v mmdebstrap >/dev/null; then
	mmdebstrap --quiet --variant=apt --aptopt='Acquire::Retries "3"' --include="$packages" "$suite" "$dir.partial" ${mirror:+"$mirror"}
elif command -v debootstrap >/dev/null; then
	debootstrap --variant=minbase --include="$packages" "$suite" "$dir.partial" ${mirror:+"$mirror"} >/dev/null
else
	echo "install mmdebstrap (or debootstrap) and try again" >&2
	exit 1
fi
rm -rf "$dir.partial/var/cache/apt" "$dir.partial/var/lib/apt/lists"
touch "$dir.partial/.complete"
mv "$dir.partial" "$dir"
