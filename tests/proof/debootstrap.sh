#!/bin/bash
# Proof from nothing: a bare Debian bookworm, a fresh clone of this checkout's HEAD, and the README's two commands, twice each, as root and as an
# ordinary user with sudo. Prints what each took; ends with 0 if all of them did. Needs root, debootstrap, git and the network (or a mirror).
#
#   tests/proof/debootstrap.sh [CHECKOUT]
#
# The root directory is entered by pivot_root in mount and PID namespaces of its own: the kernel refuses user namespaces inside a chroot. The
# machine's own way to packages (apt and pip configuration, proxies, certificates, local mirrors) is carried over.
set -eu

checkout=$(readlink -f "${1:-$(dirname "$0")/../..}")
mirror=${MIRROR:-http://deb.debian.org/debian}
work=
inner=

[ "$(id -u)" = 0 ] || { echo 'debootstrap and pivot_root need root' >&2; exit 2; }
command -v debootstrap >/dev/null || { echo 'install debootstrap first: apt-get install debootstrap' >&2; exit 2; }
git -C "$checkout" rev-parse -q --verify HEAD >/dev/null || { echo "$checkout has no commit to clone" >&2; exit 2; }

clean_up() {
    trap '' INT TERM HUP
    [ -z "$inner" ] || { kill "$inner" 2>/dev/null; wait "$inner" 2>/dev/null; } || true
    # Everything was mounted in namespaces that have gone with their processes; --one-file-system is for the day that this is wrong.
    [ -z "$work" ] || rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
work=$(mktemp -d /var/tmp/proof-XXXXXX)

# Runs its words where a signal to us reaches them: in the background, waited for, and killed with all their children.
supervised() {
    "$@" &
    inner=$!
    wait "$inner" || { local result=$?; inner=; return $result; }
    inner=
}

# --- the way to packages --------------------------------------------------------------------------------------------

# apt: this machine's own sources where it is the same Debian; its proxies in any case.
carry_apt() {
    local root=$1
    # shellcheck source=/dev/null
    if [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = bookworm ]; then
        rm -f "$root/etc/apt/sources.list"
        for part in sources.list sources.list.d trusted.gpg.d keyrings auth.conf.d; do
            [ ! -e "/etc/apt/$part" ] || cp -a "/etc/apt/$part" "$root/etc/apt/"
        done
    fi
    apt-config dump 2>/dev/null | grep -E '^Acquire::.*(Proxy|Check-Valid-Until|Check-Date)' >"$root/etc/apt/apt.conf.d/99carried" || true
}

# pip: what it would use here, files and environment together, as the one file of all users there. Local mirrors are named on standard output.
carry_pip() {
    python3 -m pip config list 2>/dev/null | python3 -c '
import ast, configparser, os, re, sys
merged = configparser.RawConfigParser()
for line in sys.stdin:
    name, _, value = line.strip().partition("=")
    section, _, key = name.rpartition(".")
    section = "global" if section == ":env:" else section
    if not merged.has_section(section):
        merged.add_section(section)
    merged.set(section, key, ast.literal_eval(value))
with open(sys.argv[1], "w") as file:
    merged.write(file)
for section in merged.sections():
    for _key, value in merged.items(section):
        for url in re.findall(r"(?:file://)?(/[^\s,]+)", value):
            path = os.path.dirname(url) if url.rstrip("/").endswith("/simple") else url  # an index refers to the files beside it
            if os.path.isdir(path):
                print(path)
' "$1/etc/pip.conf" | sort -u
}

carry() {
    local root=$1
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    carry_apt "$root"
    carry_pip "$root" >"$work/mirrors"
    env | grep -iE '^(http|https|ftp|all|no)_proxy=' >"$work/proxies" || true
}

# --- inside ---------------------------------------------------------------------------------------------------------

write_inner_scripts() {
    cat >"$work/enter" <<'INNER'
set -eu
root=$1 checkout=$2 mirrors=$3
shift 3
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
while read -r directory; do
    mkdir -p "$root$directory"
    mount --rbind "$directory" "$root$directory"
    mount -o remount,bind,ro "$root$directory"
done <"$mirrors"
mkdir -p "$root/checkout" "$root/outside"
mount --bind "$checkout" "$root/checkout"
mount -o remount,bind,ro "$root/checkout"
cd "$root"
pivot_root . outside
umount -l /outside
exec "$@"
INNER
    cat >"$work/prove" <<'INNER'
set -u
who=$1 results=/proof/results
cd
git clone -q file:///checkout lab && cd lab || exit 1
for turn in 1 2; do
    for command in run test; do
        echo "=== $who: ./bootstrap $command, turn $turn"
        began=$(date +%s%3N)
        ./bootstrap $command
        status=$?
        took=$(($(date +%s%3N) - began))
        printf '%-7s ./bootstrap %-4s  turn %d  exit %d  %7d ms\n' "$who" $command $turn $status $took >>$results
        [ $status = 0 ] || echo failed >/proof/failed
    done
done
git status --porcelain | grep . && { echo "$who: the clone is no longer clean" >>$results; echo failed >/proof/failed; }
exit 0
INNER
}

# inside ROOT WORDS...: run them in that root, with nothing of our environment but the proxies.
inside() {
    local root=$1 proxies
    shift
    mapfile -t proxies <"$work/proxies"
    supervised unshare --mount --pid --fork --kill-child --propagation private \
        sh "$work/enter" "$root" "$checkout" "$work/mirrors" \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root "${proxies[@]}" "$@"
}

prepare_root() {
    local root=$1
    carry "$root"
    git config --file "$root/etc/gitconfig" --add safe.directory '*' # the checkout belongs to whoever it belongs to
    mkdir -m 777 "$root/proof"
    cp "$work/prove" "$root/proof/"
}

main() {
    write_inner_scripts
    echo "=== debootstrap"
    supervised debootstrap --variant=minbase --include=git,ca-certificates bookworm "$work/base" "$mirror" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; exit 1; }
    prepare_root "$work/base"
    cp -a --reflink=auto "$work/base" "$work/user"
    inside "$work/base" sh /proof/prove root
    inside "$work/user" sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends sudo >/dev/null &&
        useradd -m -s /bin/sh student && echo "student ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/student &&
        exec runuser -u student -- env HOME=/home/student sh /proof/prove student'
    echo "=== results"
    cat "$work/base/proof/results" "$work/user/proof/results"
    [ ! -e "$work/base/proof/failed" ] && [ ! -e "$work/user/proof/failed" ]
}

main
