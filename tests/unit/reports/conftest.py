"""Runs as they are recorded, small but whole: what every test of the reports tells of."""

import ipaddress
import os
from pathlib import Path

import pytest

from orchestrator.agent.protocol import encode_value
from orchestrator.model.evidence import CaptureEvidence, Connection, Evidence, History, Passage, Quoted, Segment, Transition
from orchestrator.model.plan import HostPlan, Plan, PlannedAction, PlannedStep
from orchestrator.model.record import ActionRecord, CaptureRecord, HostRecord, RunRecord, StepRecord
from orchestrator.model.scenario import Timing
from orchestrator.model.tcp import ACK, FIN, PSH, RST, SYN, State
from orchestrator.model.topology import Facts, Host, LiveHost, Network, Port, Testbed, Topology
from orchestrator.model.verdict import Value, Verdict, Verdicts
from orchestrator.model.words.actions import Call, Calls, Iptables, Ready, Remove, Snapshot, Start, Type, Wait
from orchestrator.model.words.expectations import Outcome, PacketsExpectation, PathExpectation, SocketExpectation, SocketPattern
from orchestrator.model.words.values import Where
from orchestrator.reports.summary import make_report

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "reports"
T0 = 1_784_024_103_000_000_000  # 2026-07-14 10:15:03 UTC
MS = 1_000_000
ADDRESSES = {
    "ipv4": {"romeo": "10.10.0.100", "juliet": "10.10.0.101"},
    "ipv6": {"romeo": "fd00:10:10::100", "juliet": "fd00:10:10::101"},
}
FACTS = Facts(kernel="6.18.0", python="3.11.2")
ENVIRONMENT = {
    "kernel": "6.18.0",
    "python": "3.11.2",
    "net.ipv4.tcp_ecn": "2",
    "ip": "ip utility, iproute2-6.1.0, libbpf 1.1.0",
    "iptables": "iptables v1.8.9 (nf_tables)",
}


def where(scenario, line, column=9):
    return Where(path=f"scenarios/{scenario}.yaml", line=line, column=column)


def two_hosts():
    ports = [
        Port(host=host, interface="eth1", addresses=(f"{ADDRESSES['ipv4'][host]}/24", f"{ADDRESSES['ipv6'][host]}/64"))
        for host in ("romeo", "juliet")
    ]
    network = Network(name="lan", subnets=("10.10.0.0/24", "fd00:10:10::/64"), ports=tuple(ports))
    hosts = (Host(name="romeo"), Host(name="juliet"))
    return Topology(name="two-hosts", hosts=hosts, networks=(network,), path="topologies/two-hosts.yaml")


def testbed():
    live = tuple(LiveHost(name=name, facts=FACTS) for name in ("romeo", "juliet"))
    return Testbed(kind="netns", topology=two_hosts(), hosts=live)


def calls(*texts):
    return Calls(calls=tuple(Call(text=text, method="connect") for text in texts))


def planned(scenario, number, *parts, name="", **more):
    """A step from pairs of host and action."""
    at = where(scenario, 6 + 4 * number, 5)
    actions = tuple(
        PlannedAction(id=f"{number}.{index}", host=host, action=action, where=at, timeout_ns=5_000 * MS, **(extra[0] if extra else {}))
        for index, (host, action, *extra) in enumerate(parts, 1)
    )
    return PlannedStep(number=number, name=name, where=at, actions=actions, **more)


def plan_of(scenario, title, steps, family="ipv4", **more):
    hosts = tuple(HostPlan(name=name, capture="", interfaces=("eth1",)) for name in ("romeo", "juliet"))
    label = scenario if family == "ipv4" else f"{scenario}[{family}]"
    return Plan(
        scenario=scenario,
        label=label,
        title=title,
        family=family,
        testbed=testbed(),
        hosts=more.pop("hosts", hosts),
        steps=steps,
        timeout_ns=60_000 * MS,
        **more,
    )


class Wire:
    """Writes the evidence of two whole captures, segment after segment."""

    def __init__(self, family="ipv4", client_port=51234, server_port=4000):
        self.addresses = ADDRESSES[family]
        self.version = 4 if family == "ipv4" else 6
        self.ports = {"romeo": client_port, "juliet": server_port}
        self.segments, self.passages = [], []

    def add(self, source, after_ms, *, lost=False, unseen=False, **fields):
        """A segment from ``source``; ``lost``: it never came, ``unseen``: it never left."""
        target = "juliet" if source == "romeo" else "romeo"
        common = {
            "protocol": "tcp",
            "source": self.addresses[source],
            "destination": self.addresses[target],
            "source_host": source,
            "destination_host": target,
            "source_port": self.ports[source],
            "destination_port": self.ports[target],
            "window": 64240,
            "version": self.version,
            **fields,
        }
        indexes = {}
        for host, gone, lag in ((source, unseen, 0), (target, lost, 20_000)):
            if gone:
                continue
            indexes["sent" if host == source else "received"] = len(self.segments)
            at = T0 + round(after_ms * MS) + lag
            self.segments.append(Segment(capture=host, number=len(self.segments) + 1, at_ns=at, outgoing=host == source, **common))
        self.passages.append(Passage(**indexes))

    def tcp(self, source, after_ms, flags, start=0, length=0, *, ack=None, **fields):
        return self.add(
            source, after_ms, flags=flags, relative_seq=start, length=length, relative_ack=ack, seq=start + 7, ack=(ack or 0) + 9, **fields
        )

    def end(self, host):
        address = self.addresses[host]
        return f"[{address}]:{self.ports[host]}" if ipaddress.ip_address(address).version == 6 else f"{address}:{self.ports[host]}"

    def history(self, host, *states, peer=True):
        other = "juliet" if host == "romeo" else "romeo"
        entered = tuple(Transition(at_ns=T0 + round(ms * MS), state=state, cause="", source="wire") for ms, state in states)
        local = self.end(host) if peer else f"0.0.0.0:{self.ports[host]}"
        return History(host=host, local=local, peer=self.end(other) if peer else "", transitions=entered)

    def evidence(self, *histories, dropped=0, connections=1):
        captures = tuple(
            CaptureEvidence(host=host, file=f"{host}.pcap", frames=len(self.segments) // 2, dropped=dropped, complete=True)
            for host in ("romeo", "juliet")
        )
        pairs = tuple(
            Connection(protocol="tcp", client=self.end("romeo"), server=self.end("juliet"), client_host="romeo", server_host="juliet")
            for _ in range(connections)
        )
        return Evidence(
            captures=captures,
            segments=tuple(self.segments),
            connections=pairs,
            passages=tuple(self.passages),
            histories=histories,
        )


def record_of(plan, took_ms, steps, **more):
    """A record with ``steps`` as triples of status, begin and end in milliseconds."""
    hosts = tuple(HostRecord(name=host.name, environment=ENVIRONMENT) for host in plan.hosts)
    captures = tuple(CaptureRecord(host=host.name, file=f"{host.name}.pcap", frames=2, dropped=0, complete=True) for host in plan.hosts)
    told = tuple(
        StepRecord(number=number, status=status, start_ns=T0 + round(begin * MS), end_ns=T0 + round(end * MS))
        for number, (status, begin, end) in enumerate(steps, 1)
    )
    fields = {"status": "completed", "hosts": hosts, "captures": captures, **more}
    return RunRecord(run_id="7f3a9c", label=plan.label, start_ns=T0, end_ns=T0 + round(took_ms * MS), steps=told, **fields)


SOCKET = "sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)"
CONNECT = 'sock.connect(("juliet", 4000))'
TITLE = "TCP connection refused"


def refused_plan(family="ipv4"):
    name = "connection-refused"
    absent = SocketExpectation(
        where=where(name, 19),
        text="romeo: no socket with peer juliet:4000",
        host="romeo",
        socket=SocketPattern(),
        within_ns=1000 * MS,
        absent=True,
    )
    packets = PacketsExpectation(
        where=where(name, 22), text="packets in romeo's capture: romeo > juliet S 0:0(0), juliet > romeo R. 0:0(0) ack 1", capture="romeo"
    )
    path = PathExpectation(
        where=where(name, 25),
        text="path of romeo's sock: CLOSED, SYN_SENT, CLOSED",
        host="romeo",
        socket="sock",
        states=(State.CLOSED, State.SYN_SENT, State.CLOSED),
    )
    refusal = {"outcome": Outcome(raises="ConnectionRefusedError")}
    text = SOCKET if family == "ipv4" else SOCKET.replace("AF_INET", "AF_INET6")
    steps = (
        planned(name, 1, ("romeo", calls(text))),
        planned(name, 2, ("romeo", calls(CONNECT), refusal), name="romeo tries a port that nobody listens on", expect=(absent,)),
    )
    return plan_of(name, TITLE, steps, family, expect=(packets, path))


def refused_record(plan, **more):
    actions = (
        ActionRecord(id="1.1", host="romeo", step=1, status="done", start_ns=T0, end_ns=T0 + MS, value=encode_value(None)),
        ActionRecord(id="2.1", host="romeo", step=2, status="raised", start_ns=T0 + MS, end_ns=T0 + 3 * MS),
    )
    return record_of(plan, 47.8, [("done", 0.5, 0.61), ("done", 1.1, 3.4)], **{"actions": actions, **more})


def refused_evidence(family="ipv4", **more):
    wire = Wire(family)
    wire.tcp("romeo", 1.3, SYN)
    wire.tcp("juliet", 1.42, RST | ACK, ack=1)
    sock = wire.history("romeo", (0.6, State.CLOSED), (1.2, State.SYN_SENT), (1.44, State.CLOSED))
    return wire.evidence(sock, **more)


def passed(text, line, witness, step=None, scenario="connection-refused"):
    return Verdict(value=Value.PASSED, text=text, where=where(scenario, line), witness=witness, step=step)


PASSES = (
    passed("sock.connect raises ConnectionRefusedError", 16, "application", 2),
    passed("romeo: no socket with peer juliet:4000", 19, "kernel", 2),
    passed("packets in romeo's capture: romeo > juliet S 0:0(0), juliet > romeo R. 0:0(0) ack 1", 22, "wire"),
    passed("path of romeo's sock: CLOSED, SYN_SENT, CLOSED", 25, "inferred"),
)
DIRECTORY = "runs/connection-refused/20260714T101503Z-7f3a9c"


def passing():
    plan = refused_plan()
    return make_report(plan, refused_record(plan), refused_evidence(), Verdicts(verdicts=PASSES), DIRECTORY)


def ipv6():
    plan = refused_plan("ipv6")
    return make_report(plan, refused_record(plan), refused_evidence("ipv6"), Verdicts(verdicts=PASSES), DIRECTORY)


def failing():
    """Juliet's reset was dropped on its way, so romeo's call ran into its deadline."""
    plan = refused_plan()
    wire = Wire()
    for retry, after_ms in enumerate((1.3, 1027.0, 3075.0)):
        wire.tcp("romeo", after_ms, SYN)
        wire.tcp("juliet", after_ms + 0.12, RST | ACK, ack=1, lost=retry < 2)
    sock = wire.history("romeo", (0.6, State.CLOSED), (1.2, State.SYN_SENT), (3075.14, State.CLOSED))
    bad = (
        Verdict(
            value=Value.FAILED,
            text="sock.connect raises ConnectionRefusedError",
            where=where("connection-refused", 16),
            witness="application",
            step=2,
            saw="it was interrupted after 2.00 s and had neither returned nor raised anything",
        ),
        Verdict(
            value=Value.FAILED,
            text="packets in romeo's capture: romeo > juliet S 0:0(0), juliet > romeo R. 0:0(0) ack 1",
            where=where("connection-refused", 22),
            witness="wire",
            saw="line 2 wants juliet > romeo R. 0:0(0) ack 1; the next segment is romeo > juliet S 0:0(0)",
            excerpt=(
                "romeo.51234 > juliet.4000 S 0:0(0) win 64240 <mss 1460,sackOK,TS val 3 ecr 0,nop,wscale 7>",
                "romeo.51234 > juliet.4000 S 0:0(0) win 64240 <mss 1460,sackOK,TS val 1029 ecr 0,nop,wscale 7>   <- here",
            ),
        ),
    )
    record = refused_record(plan, status="failed", reason="step 2: sock.connect raises ConnectionRefusedError")
    return make_report(plan, record, wire.evidence(sock), Verdicts(verdicts=(*bad, *PASSES[1:2], *PASSES[3:])), DIRECTORY)


def inconclusive():
    plan = refused_plan()
    doubt = Verdict(
        value=Value.INCONCLUSIVE,
        text=PASSES[2].text,
        where=where("connection-refused", 22),
        witness="wire",
        reason="romeo's capture lost 3 frames: what it does not hold may still have been on the wire",
    )
    evidence = refused_evidence(dropped=3)
    return make_report(plan, refused_record(plan), evidence, Verdicts(verdicts=(*PASSES[:2], doubt, PASSES[3])), DIRECTORY)


def broken():
    plan = refused_plan()
    reason = "juliet: its channel ended while step 2 was under way"
    record = record_of(plan, 1210, [("done", 0.5, 0.61), ("failed", 1.1, 1205)], status="error", reason=reason)
    ours = Verdict(value=Value.ERROR, text="the run completed", reason=reason)
    return make_report(plan, record, Evidence(), Verdicts(verdicts=(ours,)), DIRECTORY)


def skipped():
    plan = refused_plan()
    reason = "romeo's kernel 6.1.0 is older than 6.5, which the scenario needs"
    record = RunRecord(run_id="7f3a9c", label=plan.label, status="skipped", reason=reason, start_ns=T0, end_ns=T0)
    return make_report(plan, record, Evidence(), Verdicts(), DIRECTORY)


LOSE = Iptables(
    tool="iptables",
    words=("-I", "INPUT", "-p", "tcp", "--sport", "5555", "--tcp-flags", "SYN,ACK", "SYN,ACK", "-j", "DROP"),
    name="lose-synack",
)


def lost_plan():
    name = "syn-ack-lost"
    steps = (
        planned(name, 1, ("romeo", LOSE, {"name": "lose-synack"})),
        planned(name, 2, ("juliet", Start(argv=("nc", "-l", "-p", "5555"), name="server", ready=Ready(listening=5555)))),
        planned(
            name,
            3,
            ("romeo", calls(SOCKET, 'sock.connect(("juliet", 5555))'), {"background": True, "name": "connecting"}),
            expect=(
                SocketExpectation(
                    where=where(name, 18),
                    text="romeo: sock is SYN_SENT",
                    host="romeo",
                    socket=SocketPattern(name="sock"),
                    within_ns=1000 * MS,
                    states=(State.SYN_SENT,),
                ),
            ),
        ),
        planned(
            name,
            4,
            ("romeo", Snapshot(tools=("ss", "netstat"))),
            ("juliet", Snapshot(tools=("ss", "netstat"))),
            timing=Timing(since="connecting", delay_ns=1500 * MS),
        ),
        planned(name, 5, ("romeo", Remove(name="lose-synack"))),
        planned(name, 6, ("romeo", Wait(on="connecting"), {"outcome": Outcome(returns=None, has_return=True)})),
        planned(name, 7, ("juliet", Type(to="server", text="bye\n", eof=True))),
        planned(name, 8, ("romeo", calls("sock.recv(100)"))),
        planned(
            name,
            9,
            ("romeo", calls("sock.shutdown(socket.SHUT_WR)")),
            ("juliet", Type(to="server", eof=True)),
            together=True,
        ),
    )
    hosts = (
        HostPlan(name="romeo", capture="", interfaces=("eth1",), sysctl={"net.ipv4.tcp_syn_linear_timeouts": "0"}),
        HostPlan(name="juliet", capture="tcp port 5555", interfaces=("eth1",), offload={"tso": False, "gro": False}),
    )
    return plan_of(name, "The server's SYN,ACK never arrives", steps, hosts=hosts)


def conversation():
    """Every SYN,ACK is dropped behind romeo's capture until the rule is gone; then text and an orderly end."""
    plan = lost_plan()
    wire = Wire(server_port=5555)
    syn_ack, data = SYN | ACK, PSH | ACK
    wire.tcp("romeo", 20.0, SYN)
    wire.tcp("juliet", 20.1, syn_ack, ack=1)
    wire.tcp("juliet", 1040.0, syn_ack, ack=1)
    wire.tcp("romeo", 1044.0, SYN)
    wire.tcp("juliet", 3060.0, syn_ack, ack=1)
    wire.tcp("romeo", 3060.1, ACK, 1, ack=1)
    wire.tcp("juliet", 3065.0, data, 1, 4, ack=1, payload=b"bye\n")
    wire.tcp("romeo", 3065.1, ACK, 1, ack=5)
    wire.tcp("juliet", 3066.0, FIN | ACK, 5, ack=1)
    wire.tcp("romeo", 3067.0, FIN | ACK, 1, ack=6)
    wire.tcp("juliet", 3067.1, ACK, 6, ack=2)
    romeo = wire.history(
        "romeo",
        (19.9, State.SYN_SENT),
        (3060.02, State.ESTABLISHED),
        (3066.01, State.CLOSE_WAIT),
        (3066.9, State.LAST_ACK),
        (3067.12, State.CLOSED),
    )
    juliet = wire.history(
        "juliet",
        (20.02, State.SYN_RECEIVED),
        (3060.12, State.ESTABLISHED),
        (3065.9, State.FIN_WAIT_1),
        (3067.02, State.TIME_WAIT),
    )
    server = wire.history("juliet", (10.0, State.LISTEN), peer=False)
    ends = ((0, 3), (4, 12), (13, 1046), (1519, 1524), (1525, 1528), (1529, 3061), (3062, 3063), (3064, 3066), (3066.9, 3067))
    record = record_of(plan, 3095, [("done", *pair) for pair in ends])
    texts = ("romeo: sock is SYN_SENT", "juliet: socket with peer romeo is SYN_RECEIVED", "rule lose-synack: packets >= 2")
    verdicts = tuple(passed(text, 18 + index, "kernel", 3, "syn-ack-lost") for index, text in enumerate(texts))
    return make_report(
        plan, record, wire.evidence(romeo, juliet, server), Verdicts(verdicts=verdicts), f"runs/{plan.scenario}/20260714T101503Z-7f3a9c"
    )


def transfer(count=250):
    """Far more segments and steps than a screen has lines."""
    name = "congestion-reno"
    steps = tuple(planned(name, number, ("romeo", calls(f"sock.send(b'{number}')"))) for number in range(1, 41))
    plan = plan_of(name, "Reno over a narrow link", steps)
    wire = Wire()
    for index in range(count):
        wire.tcp("romeo", 10 + index * 40, ACK | PSH, 1 + index * 1448, 1448, ack=1, lost=index == 3, payload=b"x" * 1448)
    record = record_of(plan, 20_040, [("failed" if number == 20 else "done", number, number + 1) for number in range(40)], status="failed")
    low = Verdict(
        value=Value.FAILED, text="romeo: cwnd of sock > 10", where=where(name, 30), witness="kernel", step=21, saw="cwnd:7 after 1.00 s"
    )
    verdicts = (passed("romeo: cwnd of sock > 1", 20, "kernel", 4, name), low)
    return make_report(plan, record, wire.evidence(), Verdicts(verdicts=verdicts), f"runs/{name}/20260714T101503Z-7f3a9c")


def datagrams():
    """UDP, and the ICMP error that answers it."""
    name = "udp-refused"
    plan = plan_of(name, "A datagram for nobody", (planned(name, 1, ("romeo", calls('sock.sendto(b"Hello juliet", ("juliet", 4000))'))),))
    wire = Wire()
    wire.add("romeo", 1.0, protocol="udp", length=12, payload=b"Hello juliet")
    quoted = Quoted(protocol="udp", source="10.10.0.100", destination="10.10.0.101", source_port=51234, destination_port=4000)
    wire.add("juliet", 1.1, protocol="icmp", source_port=0, destination_port=0, icmp_type=3, icmp_code=3, quoted=quoted)
    record = record_of(plan, 31, [("done", 0.9, 1.2)])
    return make_report(plan, record, wire.evidence(), Verdicts(verdicts=(passed("icmp", 12, "wire", None, name),)), f"runs/{name}/x")


REPORTS = {
    "pass": passing,
    "fail": failing,
    "inconclusive": inconclusive,
    "error": broken,
    "skip": skipped,
    "ipv6": ipv6,
    "states": conversation,
    "long": transfer,
    "udp": datagrams,
}


@pytest.fixture
def reports():
    """The makers of reports, by name."""
    return REPORTS


@pytest.fixture
def plans():
    """The makers of plans, by name."""
    return {"refused": refused_plan, "lost": lost_plan}


@pytest.fixture
def wire():
    """Evidence to be written segment by segment."""
    return Wire


@pytest.fixture
def make_plan():
    """A plan on the two hosts, from a name, a title and steps."""
    return plan_of


@pytest.fixture
def make_record():
    """A record of a plan."""
    return record_of


@pytest.fixture
def golden():
    """Hold a text against the file that keeps it; ``UPDATE_GOLDEN=1`` writes the file, to be read before it is committed."""

    def check(name, text):
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text + "\n", encoding="utf-8")
        assert text + "\n" == path.read_text(encoding="utf-8")

    return check
