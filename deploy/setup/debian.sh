#!/bin/sh
# Installs the Debian packages that tests use where we are root; else says which are missing. Never fails: what
# is missing is skipped by the tests, with that reason.
set -u
cd "$(dirname "$0")" || exit 0
command -v dpkg-query >/dev/null || exit 0
missing=
while read -r package; do
    case $package in "" | "#"*) continue ;; esac
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing="$missing $package"
done <debian-packages.txt
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "setup: tests that need them are skipped without:$missing (as root: apt-get install$missing)"
    exit 0
fi
echo "setup: installing$missing"
# services must not start on this machine just because a test wants their program
printf '#!/bin/sh\nexit 101\n' >/tmp/lightfloor-policy-rc.d && chmod +x /tmp/lightfloor-policy-rc.d
policy=/usr/sbin/policy-rc.d
[ -e "$policy" ] || { cp /tmp/lightfloor-policy-rc.d "$policy" && remove=$policy; }
apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086 # one word per package is meant
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
    for package in $missing; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
            echo "setup: $package cannot be installed here; tests that need it are skipped"
    done
rm -f "${remove:-}" /tmp/lightfloor-policy-rc.d
exit 0
