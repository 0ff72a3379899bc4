#!/bin/bash
# arm64.sh ARCHIVE PACKAGE: runs the davit for arm64 that is in both under qemu-user, as
# far as that goes: it makes no containers, as qemu-user knows no clone(2) that shares memory.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "arm64-test: $*"; }
tar -xzf "$1" --strip-components=1 -C "$work"
davit=$work/bin/davit
[ "$(dpkg-deb -f "$2" Architecture)" = arm64 ] || { say "$2 is not for arm64"; exit 1; }
dpkg-deb --fsys-tarfile "$2" | tar -xO ./usr/bin/davit | cmp - "$davit" || { say "archive and package differ"; exit 1; }
arm64() { timeout 60 qemu-aarch64-static "$davit" "$@"; }

file=$(od -An -tx1 -j18 -N2 "$davit")
[ "$file" = " b7 00" ] || { say "$davit is not for arm64"; exit 1; } # EM_AARCH64, elf(5)
arm64 --version | grep '^davit version ' >/dev/null
arm64 features | grep '"ociVersionMax": "1.3.0"' >/dev/null
mkdir -p "$work/bundle/rootfs"
(cd "$work/bundle" && arm64 spec)
arm64 explain "$work/bundle" >"$work/explained"
grep -q pivot "$work/explained"
say "--version, features, spec and explain work"

# What runs before Go does asks for the stage, and goes on where it can't be had.
qemu-aarch64-static -strace "$davit" --root "$work/state" create --bundle "$work/bundle" arm64-test >"$work/trace" 2>&1 || :
first=$(grep -n -m1 -E 'clone\(CLONE_VM' "$work/trace" | cut -d: -f1)
go=$(grep -n -m1 hpage_pmd_size "$work/trace" | cut -d: -f1)
[ "$first" -lt "$go" ] || { say "davit doesn't ask for its stage before Go starts"; exit 1; }
say "what runs before Go works"
