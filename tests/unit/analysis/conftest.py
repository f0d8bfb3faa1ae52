"""Frames, captures, plans and records made by hand, for every test of the analysis."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

import pytest

from orchestrator.analysis import analyse
from orchestrator.model.evidence import Evidence
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, CallRecord, CaptureRecord, RunRecord, Sample, SocketFacts
from orchestrator.model.tcp import flags_bits
from orchestrator.model.topology import Host, Network, Port, Testbed, Topology
from orchestrator.model.words.actions import Call, Calls, Iptables, Remove
from orchestrator.model.words.values import Where

ROMEO, JULIET = "10.10.0.100", "10.10.0.101"
SECOND = 1_000_000_000
MILLI = 1_000_000
BEGIN = 1_700_000_000 * SECOND
HERE = Where(path="x.yaml", line=1)


class Wire:
    """Bytes as they lie on a wire and in a file."""

    ROMEO, JULIET, BEGIN, MILLI = ROMEO, JULIET, BEGIN, MILLI

    @staticmethod
    def pcap(*frames, link=1, order="<", nano=True):
        """A capture of ``(at_ns, frame)`` pairs; ``at_ns`` counts from BEGIN."""
        magic = 0xA1B23C4D if nano else 0xA1B2C3D4
        data = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
        for at_ns, frame in frames:
            seconds, rest = divmod(BEGIN + at_ns, SECOND)
            data.append(struct.pack(order + "IIII", seconds, rest if nano else rest // 1000, len(frame), len(frame)) + frame)
        return b"".join(data)

    @staticmethod
    def ethernet(payload, kind=0x0800, tags=()):
        return bytes(12) + b"".join(struct.pack("!HH", tag, 7) for tag in tags) + struct.pack("!H", kind) + payload

    @staticmethod
    def sll2(payload, kind=0x0800, interface=2, direction=0):
        return struct.pack("!HHIHBB8s", kind, 0, interface, 1, direction, 6, bytes(8)) + payload

    @staticmethod
    def sll(payload, kind=0x0800, direction=0):
        return struct.pack("!HHH8sH", direction, 1, 6, bytes(8), kind) + payload

    @staticmethod
    def ipv4(payload, source=ROMEO, destination=JULIET, protocol=6, options=b"", fragment=0, total=None, ttl=64):  # noqa: PLR0917 - a header's fields, in their order
        header = 20 + len(options)
        total = header + len(payload) if total is None else total
        first = struct.pack("!BBHHHBBH", 0x40 | header // 4, 0, total, 1, fragment, ttl, protocol, 0)
        return first + socket.inet_aton(source) + socket.inet_aton(destination) + options + payload

    @staticmethod
    def ipv6(payload, source="fd00::100", destination="fd00::101", following=6, length=None):
        ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
        return struct.pack("!IHBB", 6 << 28, len(payload) if length is None else length, following, 64) + ends + payload

    @staticmethod
    def tcp(flags, seq, ack=0, data=b"", ports=(40000, 4000), options=b"", window=502, urgent=0):  # noqa: PLR0917 - a header's fields, in their order
        assert len(options) % 4 == 0
        header = struct.pack("!HHII", *ports, seq % 2**32, ack % 2**32)
        return header + struct.pack("!BBHHH", (5 + len(options) // 4) << 4, flags_bits(flags), window, 0, urgent) + options + data

    @staticmethod
    def udp(data, ports=(40000, 4000), length=None):
        return struct.pack("!HHHH", *ports, 8 + len(data) if length is None else length, 0) + data


class Talk:
    """One TCP connection between romeo (40000) and juliet (4000), told line by line; both capture all of it unless told otherwise."""

    def __init__(self):
        self.frames = {"romeo": [], "juliet": []}
        self.isn = {"romeo": 1000, "juliet": 5000}

    def say(self, at_ms, sender, flags, seq=0, ack=0, data=b"", seen=("romeo", "juliet"), ports=(40000, 4000), **fields):  # noqa: PLR0917 - a header's fields, in their order
        """``seq`` and ``ack`` are relative to the ISNs."""
        ours = sender == "romeo"
        other = "juliet" if ours else "romeo"
        ack = self.isn[other] + ack if "." in flags else 0
        segment = Wire.tcp(flags, self.isn[sender] + seq, ack, data, ports if ours else ports[::-1], **fields)
        ends = (ROMEO, JULIET) if ours else (JULIET, ROMEO)
        for host in seen:
            self.frames[host].append((int(at_ms * MILLI), Wire.ethernet(Wire.ipv4(segment, *ends))))
        return self

    def open(self, at_ms=1):
        """The three segments of the handshake, a tenth of a millisecond apart."""
        self.say(at_ms, "romeo", "S").say(at_ms + 0.1, "juliet", "S.", 0, 1)
        return self.say(at_ms + 0.2, "romeo", ".", 1, 1)

    def captures(self, *hosts):
        return {host: Wire.pcap(*self.frames[host]) for host in hosts or self.frames}


class Run:
    """What was done on the hosts, told line by line, and what it makes of captures."""

    def __init__(self):
        self.actions, self.records, self.samples, self.captures = [], [], [], {}
        self.sockets = {}

    def call(self, start_ms, end_ms, host, text, method, receiver="", names=(), arguments=(), local="", peer="", **told):  # noqa: PLR0917 - a header's fields, in their order
        """One call that took from ``start_ms`` to ``end_ms``; ``local`` and ``peer`` are its socket's ends afterwards."""
        name = names[0] if names else receiver
        closed = method == "close"
        cookie = self.sockets.setdefault((host, name), len(self.sockets) + 1)
        facts = SocketFacts(name=name, cookie=told.pop("cookie", cookie), local=local, peer=peer, closed=closed)
        call = Call(text=text, method=method, receiver=receiver, names=names, arguments=arguments)
        told = {"status": "done", "sockets": (facts,), "method": method, **told}
        record = CallRecord(text=text, start_ns=BEGIN + int(start_ms * MILLI), end_ns=BEGIN + int(end_ms * MILLI), **told)
        return self._add(host, Calls(calls=(call,)), start_ms, end_ms, calls=(record,))

    def made(self, host="romeo", name="sock"):
        return self.call(0, 0.1, host, f"{name} = socket.socket()", "socket.socket", names=(name,))

    def connect(self, start=0.9, end=1.5, local=f"{ROMEO}:40000", **told):
        """Romeo's ``sock`` to juliet's port 4000."""
        arguments = ({"tuple": [JULIET, 4000]},)
        return self.call(start, end, "romeo", 'sock.connect(("juliet", 4000))', "connect", "sock", arguments=arguments, local=local, **told)

    def close(self, at, how="close", *arguments):
        """A call on romeo's ``sock`` that ends it in one way or another."""
        ends = {"local": f"{ROMEO}:40000", "peer": f"{JULIET}:4000"}
        return self.call(at, at + 0.2, "romeo", f"sock.{how}()", how, "sock", arguments=arguments, **ends)

    def accepted(self, talk):
        """Juliet's ``conn``, accepted from ``server`` by a call that waited for it."""
        self.made("juliet", "server").call(0.2, 0.3, "juliet", "server.listen()", "listen", "server", local="0.0.0.0:4000")
        ends = {"local": f"{JULIET}:4000", "peer": f"{ROMEO}:40000"}
        self.call(0.4, 5, "juliet", "conn, _ = server.accept()", "accept", "server", names=("conn", "_"), **ends)
        return talk.open()

    @staticmethod
    def failed(errno):
        return {"status": "raised", "errno": errno, "exceptions": ("OSError", "Exception")}

    def drop(self, host, words="-I INPUT -p tcp -j DROP"):
        return self.rule(0.5, host, words)

    def rule(self, start_ms, host, words, name="rule"):
        return self._add(host, Iptables(tool="iptables", words=tuple(words.split()), name=name), start_ms, start_ms)

    def remove(self, at_ms, host, name="rule"):
        return self._add(host, Remove(name=name), at_ms, at_ms)

    def act(self, at_ms, host, action):
        return self._add(host, action, at_ms, at_ms)

    def _add(self, host, action, start_ms, end_ms, **fields):
        key = f"{len(self.actions) + 1}.1"
        self.actions.append(PlannedAction(id=key, host=host, action=action, where=HERE, timeout_ns=1))
        times = {"start_ns": BEGIN + int(start_ms * MILLI), "end_ns": BEGIN + int(end_ms * MILLI)}
        self.records.append(ActionRecord(id=key, host=host, step=len(self.actions), status="done", **times, **fields))
        return self

    def ss(self, at_ms, host, *lines):
        """A sample of ``ss``: ``ESTAB local peer`` each."""
        text = "\n".join(f"tcp {state} 0 0 {local} {peer} ino:0 sk:1" for state, local, peer in (line.split() for line in lines))
        self.samples.append(Sample(step=1, host=host, source="ss", at_ns=BEGIN + int(at_ms * MILLI), text=text))
        return self

    def plan(self):
        steps = tuple(PlannedStep(number=at, name="", where=HERE, actions=(one,)) for at, one in enumerate(self.actions, 1))
        return plan(steps)

    def record(self, captures):
        kept = tuple(CaptureRecord(host=host, file=f"{host}.pcap", dropped=0, complete=True) for host in captures)
        kept = tuple(self.captures.get(one.host, one) for one in kept)
        return RunRecord(
            run_id="r",
            label="x",
            status="completed",
            start_ns=BEGIN,
            end_ns=BEGIN,
            captures=kept,
            actions=tuple(self.records),
            samples=tuple(self.samples),
        )

    def evidence(self, captures: Mapping[str, bytes]) -> Evidence:
        return analyse(self.plan(), self.record(captures), captures)

    def states(self, captures, host, name=None):
        """The states of one end: of the socket called ``name``, else of the only connection there; with the question where there is one."""
        found = [
            one for one in self.evidence(captures).histories if one.host == host and (name is None or name in one.sockets) and one.peer
        ]
        assert len(found) == 1, found
        path = " ".join(transition.state for transition in found[0].transitions)
        return f"{path} ? {found[0].question}" if found[0].question else path


def plan(steps=()):
    """Romeo and juliet on one segment, and a router between two others."""
    lan = Network(
        name="lan",
        subnets=("10.10.0.0/24", "fd00::/64"),
        ports=(
            Port(host="romeo", interface="eth1", addresses=(f"{ROMEO}/24", "fd00::100/64")),
            Port(host="juliet", interface="eth1", addresses=(f"{JULIET}/24", "fd00::101/64")),
        ),
    )
    left = Network(
        name="left",
        subnets=("10.10.1.0/24",),
        ports=(
            Port(host="romeo", interface="eth2", addresses=("10.10.1.100/24",)),
            Port(host="router", interface="eth1", addresses=("10.10.1.1/24",)),
        ),
    )
    right = Network(
        name="right",
        subnets=("10.10.2.0/24", "fd00:10:10::/64"),
        ports=(
            Port(host="router", interface="eth2", addresses=("10.10.2.1/24",)),
            Port(host="juliet", interface="eth2", addresses=("10.10.2.100/24", "fd00:10:10::101/64")),
            Port(host="romeo", interface="eth3", addresses=("fd00:10:10::100/64",)),
        ),
    )
    hosts = (Host(name="romeo"), Host(name="juliet"), Host(name="router", forward=True))
    topology = Topology(name="t", hosts=hosts, networks=(lan, left, right))
    testbed = Testbed(kind="netns", topology=topology, hosts=())
    return Plan(
        scenario="x",
        label="x",
        title="",
        family="ipv4",
        testbed=testbed,
        hosts=tuple(HostPlan(name=host.name) for host in hosts),
        steps=steps,
        timeout_ns=1,
    )


@pytest.fixture
def wire():
    return Wire


@pytest.fixture
def talk():
    return Talk()


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def see(wire):
    """The segments of one capture of romeo's, made of Ethernet payloads or whole frames."""

    def look(*frames, link=1, capture="romeo", interfaces=None):
        data = wire.pcap(*((at * MILLI, frame) for at, frame in enumerate(frames)), link=link)
        evidence = Run().evidence({capture: data})
        assert evidence.captures[0].problem == ""
        return evidence.segments

    return look
