#!/bin/bash
# run.sh DAVIT: times davit beside crun and runc, side by side in one run.
#
# A private mount namespace with a pure cgroup v2 view is where all three work;
# in the host's own hierarchy, where that is hybrid, crun refuses and runc alone
# is compared. The order of the runtimes rotates between rounds, because what
# one leaves to the kernel (network namespaces are destroyed asynchronously)
# slows the next. Ratios are of medians over all rounds.
#
# ROUNDS and RUNS change how often: 6 rounds of 25 runs each by default.
set -euo pipefail
davit=$(realpath "$1")
rounds=${ROUNDS:-6} runs=${RUNS:-25}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bundle=$work/bundle
mkdir -p "$bundle/rootfs/bin"
cp /bin/busybox "$bundle/rootfs/bin/"
ln -s busybox "$bundle/rootfs/bin/true"
(cd "$bundle" && ("$davit" spec 2>/dev/null || runc spec))
# Debian's crun knows the spec up to 1.0 and, without CAP_SYS_RESOURCE, can't load device rules on v2.
jq '.ociVersion = "1.0.2" | .process.terminal = false | .process.args = ["/bin/true"]
	| del(.linux.resources) | del(.process.rlimits)' "$bundle/config.json" >"$work/config" && mv "$work/config" "$bundle/config.json"

# measure LABEL RUNTIME...: medians of `RUNTIME run` of /bin/true.
measure() {
	local label=$1 r i order
	shift
	local runtimes=("$@")
	for ((i = 0; i < rounds; i++)); do
		order=("${runtimes[@]:i % ${#runtimes[@]}}" "${runtimes[@]:0:i % ${#runtimes[@]}}")
		for r in "${order[@]}"; do
			hyperfine -N --warmup 3 --runs "$runs" --export-json "$work/out" \
				"$r run --bundle $bundle bench-$$" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
			jq -r '.results[0].times[]' "$work/out" >>"$work/$label.${r##*/}"
		done
	done
	report "$label" "${runtimes[@]##*/}"
}

quantile() { sort -g "$1" | awk -v q="$2" '{v[NR]=$1} END {i=int(1+q*(NR-1)+.5); printf "%.2f", v[i]*1000}'; }

report() {
	local label=$1 r
	shift
	for r in "$@"; do
		printf '%-24s %-6s %9s %9s %9s   %s\n' "$label" "$r" "$(quantile "$work/$label.$r" .5)" \
			"$(quantile "$work/$label.$r" 0)" "$(quantile "$work/$label.$r" .95)" \
			"$(awk -v a="$(quantile "$work/$label.davit" .5)" -v b="$(quantile "$work/$label.$r" .5)" 'BEGIN {printf "%.2f", a/b}')"
	done
}

if [ -n "${BENCH_VIEW:-}" ]; then
	measure "$BENCH_VIEW" "$davit" "$(command -v crun)" "$(command -v runc)"
	exit
fi
printf '%-24s %-6s %9s %9s %9s   %s\n' "run /bin/true, ms" "" median min p95 "davit/this"
BENCH_VIEW=cgroup-v2 unshare -m --propagation private bash -c \
	'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' _ "$0" "$davit"
if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
	measure host "$davit" "$(command -v runc)"
fi
