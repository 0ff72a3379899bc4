#!/bin/sh
# packages.sh NAME...: installs those of the named Debian packages that are missing.
# Where that is not possible it says what to install by hand. With
# DAVIT_QUIET_DAEMONS=1 no daemon among them is started by its installation.
set -eu
if ! command -v dpkg-query >/dev/null; then
	echo "not Debian: what its packages $* hold has to be there" >&2
	exit 0
fi
missing=
for p in "$@"; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing:$missing — install them (as root: apt-get install$missing) and try again" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
quieted=
# Signals end the shell, and so come here too.
trap 'rm -f "$log" $quieted' EXIT
trap 'exit 1' INT TERM HUP
if [ -n "${DAVIT_QUIET_DAEMONS:-}" ] && [ ! -e "$policy" ]; then
	quieted=$policy
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
# A file that doesn't come is asked for again, and another apt is waited for.
apt() { apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$log" 2>&1; }
# shellcheck disable=SC2086
install() { apt install -y --no-install-recommends $missing; }
# Lists that lack a package or name one that is no more are fetched anew. A source
# of which the list can't be had needn't matter: what is missing then, install says.
install || { apt update || :; install; } || {
	cat "$log" >&2
	echo "installing$missing failed" >&2
	exit 1
}
