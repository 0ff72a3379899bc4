#!/bin/sh
# sysroot.sh DIR: what davit is linked with on arm64, from Debian's packages: musl and
# libseccomp, unpacked in DIR with a compiler's wrapper DIR/musl-gcc. The host's own
# packages and its list of architectures stay as they are.
set -eu
dir=$1
[ ! -e "$dir/musl-gcc" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
: >"$dir/apt/status"
cd "$dir"
apt() {
	apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o Dir::State="$dir/apt" \
		-o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt" "$@" >/dev/null
}
apt update
apt download libseccomp-dev musl-dev
for deb in *.deb; do
	dpkg-deb -x "$deb" .
done
rm -r apt ./*.deb
# That of this host's musl-gcc, for the other architecture.
host=$(gcc -dumpmachine | sed 's/-linux-gnu/-linux-musl/')
sed "s,/usr/\(include\|lib\)/$host,$dir/usr/\1/aarch64-linux-musl,g" "/usr/lib/$host/musl-gcc.specs" >musl-gcc.specs
printf '#!/bin/sh\nexec aarch64-linux-gnu-gcc -mno-outline-atomics "$@" -specs %s/musl-gcc.specs\n' "$dir" >musl-gcc
chmod +x musl-gcc
