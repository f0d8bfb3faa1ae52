"""The least that the connection-refused lab can cost in Python: two forked agents, JSON lines in lockstep, raw netlink, AF_PACKET.

No scenario, no plan, no report: only what any way to run this lab must do. The distance from here is what the product's comforts cost.
Prints one line and ends with 0 when the lab showed what it should. Surprising: the frames wait in the capture
socket's own buffer until they are read, so nothing has to run beside the client.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import json
import os
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
NEWLINK, NEWADDR = 16, 20
REQUEST, ACK, CREATE, EXCLUSIVE = 1, 4, 0x400, 0x200
IFF_UP, IFF_RUNNING = 1, 0x40
SIOCGIFFLAGS = 0x8913
JULIET, PORT = "10.10.0.101", 4000
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)  # nanoseconds, Ethernet


def attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", len(body) + 4, kind) + body + b"\0" * (-len(body) % 4)


def netlink(kind: int, flags: int, body: bytes) -> None:
    """Send one request to the kernel of this namespace and await its acknowledgement."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHII", len(body) + 16, kind, flags | REQUEST | ACK, 1, 0) + body)
        error = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
        if error:
            raise OSError(-error, os.strerror(-error))


def make_pair(neighbour: int) -> None:
    """A veth pair: eth1 here, eth1 in the namespace of process ``neighbour``."""
    name = attribute(3, b"eth1\0")  # IFLA_IFNAME
    empty = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    peer = attribute(1, empty + name + attribute(19, struct.pack("=I", neighbour)))  # VETH_INFO_PEER, IFLA_NET_NS_PID
    info = attribute(18, attribute(1, b"veth\0") + attribute(2, peer))  # IFLA_LINKINFO: KIND, DATA
    netlink(NEWLINK, CREATE | EXCLUSIVE, empty + name + info)


def bring_up(address: str) -> None:
    """Address and flags of eth1; waits until the link runs, not only until the order was taken."""
    index = socket.if_nametoindex("eth1")
    packed = socket.inet_aton(address)
    netlink(NEWADDR, CREATE | EXCLUSIVE, struct.pack("=BBBBI", 2, 24, 0, 0, index) + attribute(2, packed) + attribute(1, packed))
    netlink(NEWLINK, 0, struct.pack("=BxHiII", 0, 0, index, IFF_UP, IFF_UP))


def wait_running() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        while True:
            answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh22x", b"eth1", 0))
            if struct.unpack_from("=H", answer, 16)[0] & IFF_RUNNING:
                return
            time.sleep(0.0001)


def connect() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.connect((JULIET, PORT))
        except OSError as error:
            return type(error).__name__
    return "connected"


def drain(capture: socket.socket, path: str) -> list[str]:
    """Write what was captured as a pcap file; the TCP flags of the segments of our port, in order."""
    flags: list[str] = []
    with open(path, "wb") as file:
        file.write(PCAP_HEADER)
        while True:
            try:
                frame = capture.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return flags
            now = time.time_ns()
            file.write(struct.pack("<IIII", now // 10**9, now % 10**9, len(frame), len(frame)) + frame)
            if frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP and PORT in struct.unpack_from("!HH", frame, 34):
                flags.append("".join(letter for bit, letter in ((2, "S"), (4, "R"), (1, "F"), (16, ".")) if frame[47] & bit))


def serve(asked: int, answers: int) -> None:
    """One agent: a line asked, a line answered, until its input ends."""
    capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing until it is bound
    with open(asked) as lines:
        for line in lines:
            question = json.loads(line)
            ask = question["ask"]
            answer: object = None
            if ask == "pair":
                make_pair(question["neighbour"])
            elif ask == "up":
                bring_up(question["address"])
            elif ask == "running":
                wait_running()
            elif ask == "capture":
                capture.bind(("eth1", 3))
            elif ask == "connect":
                answer = connect()
            elif ask == "drain":
                answer = drain(capture, question["path"])
            os.write(answers, (json.dumps({"ok": answer}) + "\n").encode())
    os._exit(0)


def fork_agent(libc: ctypes.CDLL) -> tuple[int, int, io.TextIOWrapper]:
    """A process in a network namespace of its own: its id, where it is asked, where it answers."""
    asked, asking = os.pipe()
    answering, answers = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(asking)
        if libc.unshare(CLONE_NEWNET):
            os._exit(1)
        os.write(answers, b"{}\n")
        serve(asked, answers)
    os.close(asked)
    os.close(answers)
    return pid, asking, open(answering)


def ask(agent: tuple[int, int, io.TextIOWrapper], **question: object) -> object:
    """One frame there, one back."""
    os.write(agent[1], (json.dumps(question) + "\n").encode())
    answer: dict[str, object] = json.loads(agent[2].readline())
    return answer["ok"]


def main() -> int:
    """Run the lab and judge it."""
    path = f"/tmp/floor-{os.getpid()}.pcap"
    libc = ctypes.CDLL(None)
    romeo = fork_agent(libc)
    juliet = fork_agent(libc)

    for agent in (romeo, juliet):
        agent[2].readline()  # it is in its namespace
    ask(romeo, ask="pair", neighbour=juliet[0])
    ask(romeo, ask="up", address="10.10.0.100")
    ask(juliet, ask="up", address=JULIET)
    ask(romeo, ask="running")
    ask(romeo, ask="capture")
    outcome = ask(romeo, ask="connect")
    flags = ask(romeo, ask="drain", path=path)
    for agent in (romeo, juliet):
        os.kill(agent[0], 9)
        os.waitpid(agent[0], 0)
    os.unlink(path)
    passed = outcome == "ConnectionRefusedError" and flags == ["S", "R."]
    print("passed:" if passed else "failed:", outcome, flags)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
