#!/bin/sh
# guest.sh DIR: makes the machine of `make vm-test` in DIR, unless it is there: a kernel, a small initrd and the image of a
# Debian with systemd. Nothing is booted for it. As root; needs mmdebstrap, cpio, xz and mke2fs, and takes packages from
# where this host's apt does.
set -eu
dir=$1
here=$(cd "$(dirname "$0")" && pwd)
suite=trixie
# What a test of a container runtime wants from a host, and nothing that only makes the start longer.
packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,polkitd,kmod,procps,iproute2,uidmap,strace,busybox-static
packages=$packages,apparmor,selinux-policy-default,selinux-utils,policycoreutils,criu,attr,jq

[ "$(uname -m)" = x86_64 ] || { echo "the machine is made for amd64 hosts only" >&2; exit 1; }
version=$(cat "$here/guest.sh" "$here"/guest/* | sha256sum)
[ "$(cat "$dir/.complete" 2>/dev/null)" != "$version" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "making the machine needs root" >&2; exit 1; }
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
[ "$(cat "$dir/.complete" 2>/dev/null)" != "$version" ] || exit 0 # somebody else was making it
echo "making a Debian $suite with systemd in $dir" >&2
rm -rf "$dir"
mkdir -p "$dir"
root=$dir/root

# The label keeps out what isn't Debian's among this host's sources, and its security updates. Without a mirror mmdebstrap takes its default.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Created-By: Packages' 2>/dev/null | head -n 1)
# The kernel's package is fetched and unpacked, not installed: that would make an initrd that fits any machine.
mmdebstrap --quiet --variant=minbase --include="$packages" --aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--customize-hook='chroot "$1" sh -ec "mkdir /kernel && cd /kernel && chown _apt . &&
		apt-get -qq download \$(apt-cache depends linux-image-cloud-amd64 | sed -n \"s/.*Depends: \(linux-image-.*\)/\1/p\" | head -n 1) &&
		dpkg-deb -x *.deb ."' \
	"$suite" "$root" ${mirror:+"$mirror"}

kernel=$(ls "$root"/kernel/boot/vmlinuz-* | sed 's/.*vmlinuz-//')
cp "$root/kernel/boot/vmlinuz-$kernel" "$dir/vmlinuz"
modules=$(find "$root/kernel" -type d -path "*/lib/modules/$kernel")
mkdir -p "$root/usr/lib/modules"
mv "$modules" "$root/usr/lib/modules/"
rm -rf "$root/kernel" "$root"/var/cache/apt "$root"/var/lib/apt/lists
chroot "$root" depmod "$kernel"

# --- the system ---
echo davit-vm >"$root/etc/hostname"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
: >"$root/etc/fstab"
# The user of rootless tests: ids of his own, and a manager of his own from the start.
chroot "$root" useradd --create-home --shell /bin/sh --uid 1000 tester
echo tester:100000:65536 | tee "$root/etc/subuid" >"$root/etc/subgid"
mkdir -p "$root/var/lib/systemd/linger" "$root/job"
touch "$root/var/lib/systemd/linger/tester"
install -D -m 0644 "$here/guest/delegate.conf" "$root/etc/systemd/system/user@.service.d/delegate.conf"
install -D -m 0644 "$here/guest/journald.conf" "$root/etc/systemd/journald.conf.d/davit-vm.conf"
install -D -m 0644 "$here/guest/system.conf" "$root/etc/systemd/system.conf.d/davit-vm.conf"
install -m 0644 "$here/guest/davit-vm.target" "$here/guest/davit-vm-agent.service" "$root/etc/systemd/system/"
install -m 0755 "$here/guest/agent" "$root/usr/local/sbin/davit-vm-agent"
ln -sf davit-vm.target "$root/etc/systemd/system/default.target"
# Of what systemd starts by itself only this is left: there are no devices to wait for, no clock to set, nobody to log in.
for wants in sysinit timers sockets multi-user getty local-fs remote-fs graphical basic; do
	for link in "$root"/usr/lib/systemd/system/$wants.target.wants/* "$root"/etc/systemd/system/$wants.target.wants/*; do
		case ${link##*/} in
		systemd-journald.service | systemd-tmpfiles-setup.service | systemd-tmpfiles-setup-dev.service | systemd-sysusers.service | dev-mqueue.mount | *.socket) ;;
		*) rm -f "$link" ;;
		esac
	done
done
rm -f "$root"/usr/lib/systemd/system/sockets.target.wants/systemd-udevd* # devtmpfs makes the nodes that tests use
# Labels for SELinux. Writing them needs no kernel that runs it.
sed -i 's/^SELINUX=.*/SELINUX=enforcing/' "$root/etc/selinux/config"
chroot "$root" setfiles -F -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts /

# --- the initrd: it mounts the disk ---
initrd=$dir/initrd.d
mkdir -p "$initrd/bin" "$initrd/dev" "$initrd/root"
cp "$root/usr/bin/busybox" "$initrd/bin/"
n=10
for m in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk crc16 crc32c_generic libcrc32c jbd2 mbcache ext4; do
	f=$(find "$root/usr/lib/modules" -name "$m.ko*")
	case $f in
	*.xz) xz -dc "$f" >"$initrd/$n-$m.ko" ;;
	*.ko) cp "$f" "$initrd/$n-$m.ko" ;;
	esac # a module that isn't there is part of the kernel
	n=$((n + 1))
done
install -m 0755 "$here/guest/init" "$initrd/init"
(cd "$initrd" && find . | cpio --quiet -o -H newc) >"$dir/initrd"

mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$root" "$dir/disk" 2G
rm -rf "$root" "$initrd"
echo "$version" >"$dir/.complete"
