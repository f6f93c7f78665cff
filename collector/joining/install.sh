# shellcheck shell=sh
# Joins this server to a Lightfloor fleet: installs the agent where it is missing, writes /etc/lightfloor, starts the service.
# `lightfloor-collector enroll NODE` prints the line that fetches and runs this, as root:
#   LIGHTFLOOR_TOKEN=… sh -c SCRIPT install.sh URL NODE [sha256//PIN]
# Nothing is changed before the collector has taken the token over a connection that this server can verify.
# Run again, it changes only what differs. What you wrote into agent.toml stays.
set -eu
umask 077

etc=/etc/lightfloor
service=lightfloor-agent
changed=

die() {
    echo "lightfloor: $*" >&2
    exit 1
}

# From the holder of the pinned key: the authority is not here yet.
from_pinned() {
    if [ -n "$pin" ]; then
        curl -sS --proto =https --tlsv1.2 --max-time 300 -k --pinnedpubkey "$pin" "$@"
    else
        curl -sS --proto =https --tlsv1.2 --max-time 300 "$@"
    fi
}

# As the agent will ask: no proxy, and the certificate has to be right for the name and signed by the authority.
as_agent() {
    if [ -s "$work/ca.pem" ]; then
        curl -sS --noproxy '*' --proto =https --tlsv1.2 --max-time 30 --cacert "$work/ca.pem" "$@"
    else
        curl -sS --noproxy '*' --proto =https --tlsv1.2 --max-time 30 "$@"
    fi
}

# place FILE MODE: standard input becomes the file, in one step, if it differs.
place() {
    new=$(mktemp "$etc/.new.XXXXXX")
    cat >"$new"
    chmod "$2" "$new"
    if [ -f "$1" ] && cmp -s "$new" "$1" && [ "$(stat -c %a:%u "$1")" = "$(stat -c %a:%u "$new")" ]; then
        rm "$new"
    else
        mv -f "$new" "$1"
        changed=yes
    fi
}

check_what_is_here() {
    [ "$(id -u)" = 0 ] || die "only root can do this; open a root shell (sudo -i) and run the line there"
    [ -n "$token" ] || die "LIGHTFLOOR_TOKEN is not set; run the whole line that \`enroll\` printed"
    case $url in https://*) ;; *) die "URL begins with https://, not $url" ;; esac
    case $pin in '' | sha256//*) ;; *) die "the pin begins with sha256//, not $pin" ;; esac
    if [ -e "$etc/agent.toml" ]; then
        own=$(tr -d ' \t' <"$etc/agent.toml")
        for entry in "node=\"$node\"" "url=\"$url\""; do
            case $own in
            *"$entry"*) ;;
            *) die "$etc/agent.toml does not say $entry: this server has joined otherwise; move the file away to join anew" ;;
            esac
        done
    fi
}

fetch_authority() {
    status=$(from_pinned -o "$work/ca.pem" -w '%{http_code}' "$url/v1/ca.pem") || die "no connection to $url"
    case $status in
    200) ;;
    404) rm -f "$work/ca.pem" ;; # a publicly trusted certificate
    *) die "$url/v1/ca.pem answered $status" ;;
    esac
}

check_token() {
    status=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
        as_agent -K - -o "$work/assignment" -w '%{http_code}' "$url/v1/assignment") ||
        die "the agent could not reach and verify $url; a private authority must be the collector's [enroll] ca_file"
    case $status in
    200) ;;
    401) die "the collector does not know this token; it was replaced or revoked: enroll $node again" ;;
    404) die "$node is not in the collector's fleet file" ;;
    *) die "$url/v1/assignment answered $status" ;;
    esac
    tr -d ' \n' <"$work/assignment" | grep -qF "\"node\":\"$node\"" || die "the token is of another node than $node"
}

install_package() {
    command -v "$service" >/dev/null && return
    command -v dpkg >/dev/null || die "$service is not installed, and this is no Debian or Ubuntu; install it, then run the line again"
    python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "Python 3 is not installed"
    system="python=$python&architecture=$(dpkg --print-architecture)"
    status=$(from_pinned -o "$work/agent.deb" -w '%{http_code}' "$url/v1/packages/agent?$system") || die "no connection to $url"
    [ "$status" = 200 ] || die "$service is not installed and the collector has no package for $system; install it, then run the line again"
    chmod 755 "$work" # apt's own user reads the package
    chmod 644 "$work/agent.deb"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$work/agent.deb" </dev/null >"$work/apt.log" 2>&1 || {
        cat "$work/apt.log" >&2
        die "the package was not installed"
    }
    changed=yes
}

configure() {
    mkdir -p "$etc"
    chmod 755 "$etc"
    place "$etc/token" 600 <<EOF
$token
EOF
    [ ! -s "$work/ca.pem" ] || place "$etc/ca.pem" 644 <"$work/ca.pem"
    [ -e "$etc/agent.toml" ] || place "$etc/agent.toml" 644 <<EOF
# Yours to change: every key is in docs/config.md. It holds no secret: the service's own user has to read it.

node = "$node"

[collector]
url = "$url"
token_file = "token"
$([ ! -s "$work/ca.pem" ] || echo "ca_file = \"$etc/ca.pem\"")
EOF
    "$service" check-config "$etc/agent.toml" >/dev/null || die "$etc/agent.toml has to be mended, then run the line again"
}

start() {
    if [ ! -d /run/systemd/system ]; then
        echo "lightfloor: no systemd here; run: $service run --config.file $etc/agent.toml" >&2
        return
    fi
    systemctl --quiet enable "$service"
    if [ -n "$changed" ]; then
        systemctl restart "$service" || die "the service does not start: journalctl -u $service"
    else
        systemctl start "$service" || die "the service does not start: journalctl -u $service"
    fi
}

main() {
    [ $# -ge 2 ] || die "URL and NODE are needed; run the whole line that \`enroll\` printed"
    url=$1 node=$2 pin=${3-}
    token=${LIGHTFLOOR_TOKEN-}
    unset LIGHTFLOOR_TOKEN # what is started from here does not inherit it
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    check_what_is_here
    fetch_authority
    check_token
    install_package
    configure
    start
    if [ -n "$changed" ]; then
        echo "lightfloor: $node has joined $url; its first minute is there in two minutes"
    else
        echo "lightfloor: $node has joined $url already; nothing was changed"
    fi
}

main "$@"
