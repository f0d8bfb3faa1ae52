#!/bin/bash
# The connection-refused lab as a careful instructor writes it with `ip netns`: waits for what it needs, loses no segment, and judges.
# Prints one line and ends with 0 when the lab showed what it should. Run as root.
set -eu

romeo=cr-romeo-$$ juliet=cr-juliet-$$
work=$(mktemp -d)

tear_down() {
    [ -z "${capture:-}" ] || kill "$capture" 2>/dev/null || true
    ip netns del "$romeo" 2>/dev/null || true # the pair of interfaces goes with it
    ip netns del "$juliet" 2>/dev/null || true
    rm -rf "$work"
}
trap tear_down EXIT

ip -batch - <<LINES
netns add $romeo
netns add $juliet
link add eth1 netns $romeo address 02:00:00:00:00:01 type veth peer name eth1 netns $juliet address 02:00:00:00:00:02
LINES
ip -n "$romeo" -batch - <<LINES
address add 10.10.0.100/24 dev eth1
link set lo up
link set eth1 up
LINES
ip -n "$juliet" -batch - <<LINES
address add 10.10.0.101/24 dev eth1
link set lo up
link set eth1 up
LINES
until [[ $(ip -n "$romeo" -br link show eth1) == *' UP '* ]]; do sleep 0.002; done

# -U --immediate-mode: otherwise the last segments are still in libpcap's block when it is stopped.
mkfifo "$work/said"
ip netns exec "$romeo" tcpdump -n -U --immediate-mode -B 32768 -Z root -i eth1 -w "$work/pcap" 'tcp port 4000' 2>"$work/said" &
capture=$!
exec 3<"$work/said"
while read -r line <&3; do
    case $line in *'listening on'*) break ;; esac
done

outcome=$(ip netns exec "$romeo" "${PYTHON:-python3}" -I -S -c '
import socket
try:
    socket.create_connection(("10.10.0.101", 4000), timeout=5)
    print("connected")
except OSError as error:
    print(type(error).__name__)
')

# The last segment has been written when the file holds it: 24 bytes of header, then at least 16 + 54 each.
for _ in {1..500}; do
    [ "$(stat -c %s "$work/pcap")" -ge 164 ] && break
    sleep 0.002
done
kill -INT "$capture"
wait "$capture" || true
capture=

segments=$(tcpdump -n -r "$work/pcap" 2>/dev/null | grep -o 'Flags \[[A-Z.]*\]' | tr '\n' ' ')
[ "$outcome" = ConnectionRefusedError ] || { echo "the call gave $outcome"; exit 1; }
[ "$segments" = 'Flags [S] Flags [R.] ' ] || { echo "the wire showed $segments"; exit 1; }
echo "passed: $outcome, $segments"
