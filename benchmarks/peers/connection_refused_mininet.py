"""The connection-refused lab as a Mininet script: two hosts, one link, tcpdump, and a look at what it saw.

Runs under the system's Python, where Debian's ``mininet`` package lives. Knows nothing of this project. Host-host link, so neither
switch nor controller is waited for. Prints one line and ends with 0 when the lab showed what it should.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time

from mininet.net import Mininet

CLIENT = """
import socket
try:
    socket.create_connection(("10.10.0.101", 4000), timeout=5)
    print("connected")
except OSError as error:
    print(type(error).__name__)
"""
COMPLETE_BYTES = 24 + 2 * (16 + 54)  # the file's header and two segments


def lab(net: Mininet, path: str) -> tuple[str, str]:
    """Run the two steps between two hosts; the client's outcome and tcpdump's lines."""
    romeo = net.addHost("romeo", ip="10.10.0.100/24")
    juliet = net.addHost("juliet", ip="10.10.0.101/24")
    net.addLink(romeo, juliet)
    net.start()
    # -U --immediate-mode: otherwise the last segments are still in libpcap's block when it is stopped.
    words = ["tcpdump", "-n", "-U", "--immediate-mode", "-B", "32768", "-Z", "root", "-i", "romeo-eth0", "-w", path, "tcp port 4000"]
    capture = romeo.popen(words, stderr=subprocess.PIPE)
    while b"listening on" not in capture.stderr.readline():
        pass
    python = os.environ.get("PYTHON", "python3")
    outcome = romeo.popen([python, "-I", "-S", "-c", CLIENT], stdout=subprocess.PIPE).communicate()[0].decode().strip()
    deadline = time.monotonic() + 1
    while os.path.getsize(path) < COMPLETE_BYTES and time.monotonic() < deadline:
        time.sleep(0.002)
    capture.send_signal(2)
    capture.wait()
    return outcome, subprocess.run(["tcpdump", "-n", "-r", path], capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Run the lab and judge it."""
    net = Mininet(topo=None, controller=None)
    with tempfile.TemporaryDirectory() as work:
        try:
            outcome, text = lab(net, os.path.join(work, "pcap"))
        finally:
            net.stop()
    flags = re.findall(r"Flags \[([A-Z.]*)\]", text)
    passed = outcome == "ConnectionRefusedError" and flags == ["S", "R."]
    print("passed:" if passed else "failed:", outcome, *flags)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
