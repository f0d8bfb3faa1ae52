"""N hosts on one network with Mininet: seconds to bring them up and to take them down, as one line of JSON.

Runs under the system's Python. One Linux bridge in the root namespace stands for the network (Mininet's own ``LinuxBridge`` without STP).
"""

from __future__ import annotations

import json
import sys
import time

from mininet.net import Mininet
from mininet.nodelib import LinuxBridge


def main() -> None:
    """Build, measure, take down."""
    count = int(sys.argv[1])
    began = time.perf_counter()
    net = Mininet(topo=None, controller=None, switch=LinuxBridge, ipBase="10.20.0.0/16")
    bridge = net.addSwitch("bench0", stp=False)
    for number in range(count):
        net.addLink(net.addHost(f"h{number}"), bridge)
    net.start()
    up = time.perf_counter()
    net.stop()
    down = time.perf_counter()
    print(json.dumps({"up_s": up - began, "down_s": down - up}))


if __name__ == "__main__":
    main()
