#!/bin/sh
# demo.sh DAVIT: makes a bundle from busybox and runs it: a shell on a terminal, a greeting elsewhere.
set -eu
davit=$1
bundle=$(mktemp -d)
trap 'rm -rf "$bundle"' EXIT INT TERM
mkdir -p "$bundle/rootfs/bin"
cp /bin/busybox "$bundle/rootfs/bin/"
for applet in $("$bundle/rootfs/bin/busybox" --list); do
	ln -s busybox "$bundle/rootfs/bin/$applet" 2>/dev/null || :
done
cd "$bundle"
if [ "$(id -u)" = 0 ]; then "$davit" spec; else "$davit" spec --rootless; fi
if [ ! -t 0 ] || [ ! -t 1 ]; then
	sed -i -e 's/"terminal": true/"terminal": false/' \
		-e 's|"sh"$|"sh", "-c", "echo hello from $(hostname): process $$ of a container that davit made; ps"|' config.json
fi
echo "davit run demo-$$   # a bundle with busybox as its root filesystem"
"$davit" run "demo-$$"
