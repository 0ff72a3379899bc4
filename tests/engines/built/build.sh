#!/bin/sh
# build.sh DIR: builds containerd 2 and CRI-O, which Debian 12 doesn't package, into
# DIR/containerd and DIR/crio from the Go modules that go.mod pins here, if they
# aren't there already. Each has a module of its own: their dependencies don't agree.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9

# current ENGINE: whether DIR/ENGINE was built of these very modules.
current() { [ -e "$dir/$1/go.sum" ] && cmp -s "$here/$1/go.sum" "$dir/$1/go.sum" && cmp -s "$here/$1/go.mod" "$dir/$1/go.mod"; }

# finish ENGINE: it is complete.
finish() {
	cp "$here/$1/go.mod" "$here/$1/go.sum" "$dir/$1.new/"
	rm -rf "${dir:?}/$1"
	mv "$dir/$1.new" "$dir/$1"
}

if ! current containerd; then
	cd "$here/containerd"
	module=github.com/containerd/containerd/v2
	version=$(go list -m -f '{{.Version}}' $module)
	rm -rf "$dir/containerd.new"
	mkdir "$dir/containerd.new"
	CGO_ENABLED=0 go build -trimpath -tags no_btrfs,no_zfs,no_devmapper -ldflags "-s -w -X $module/version.Version=$version" \
		-o "$dir/containerd.new/" $module/cmd/containerd $module/cmd/containerd-shim-runc-v2 $module/cmd/ctr
	finish containerd
fi

if ! current crio; then
	cd "$here/crio"
	module=github.com/cri-o/cri-o
	rm -rf "$dir/crio.new"
	mkdir "$dir/crio.new"
	CGO_ENABLED=1 go build -trimpath -tags containers_image_openpgp,exclude_graphdriver_btrfs,seccomp,netgo,osusergo -ldflags "-s -w" \
		-o "$dir/crio.new/" $module/cmd/crio
	${CC:-cc} -std=c99 -Os -static -o "$dir/crio.new/pinns" "$(go list -m -f '{{.Dir}}' $module)"/pinns/src/*.c
	finish crio
fi
