"""What the engine relies on, on every way to a host: one body, each connector and testbed, each Python that is on this machine."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest

from orchestrator.agent import protocol
from orchestrator.agent.protocol import encode_value
from orchestrator.connectors.session import Session
from orchestrator.errors import AgentError, AgentLost
from tests.conftest import interpreters
from tests.contract.ways import SECOND, Way, act, fire, guarded, in_namespace, over_pipes, over_ssh, prepare

if TYPE_CHECKING:
    from tests.sshlab.fixture import Labs

LOOPBACK = "127.0.0.1"  # ports below 32768: no connection of another test gets one by chance
WAYS: dict[str, Way] = {f"pipes-{version}": partial(over_pipes, path) for version, path in interpreters().items()}
WAYS |= {f"guarded-{version}": partial(guarded, path) for version, path in interpreters().items()}
WAYS["namespace"] = in_namespace


@pytest.fixture(params=[*WAYS, pytest.param("ssh", marks=pytest.mark.namespaces)])
def way(request: pytest.FixtureRequest) -> Way:
    if request.param == "ssh":
        return partial(over_ssh, request.getfixturevalue("sshlab")("two-hosts", clocks=True))
    return WAYS[request.param]


def live(way: Way, body: Callable[[Session], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30), way() as session:
            await body(session)

    asyncio.run(whole())


def call(text: str, method: str, receiver: str = "", names: tuple[str, ...] = (), *arguments: object) -> dict:
    encoded = [argument if isinstance(argument, dict) else encode_value(argument) for argument in arguments]
    return {"text": text, "method": method, "receiver": receiver, "names": names, "arguments": encoded}


def calls(key: str, *made: dict, timeout_ns: int = 2 * SECOND, **more: object) -> dict:
    return {"id": key, "timeout_ns": timeout_ns, "action": {"do": "calls", "calls": list(made)}, **more}


NEW = partial(call, "sock = socket.socket()", "socket.socket", "", ("sock",))
LISTENER = (
    call("server = socket.socket()", "socket.socket", "", ("server",)),
    call("server.bind", "bind", "server", (), (LOOPBACK, 0)),
    call("server.listen()", "listen", "server"),
    call("server.getsockname()", "getsockname", "server"),
)


def test_greets_with_its_version_and_clocks(way: Way) -> None:
    async def body(session: Session) -> None:
        assert session.hello["version"] == protocol.VERSION
        monotonic, unix = session.hello["clock"]
        assert abs(unix - time.time_ns()) < 5 * SECOND
        later, _unix = await session.ask(protocol.BEAT)  # a machine's monotonic clock is its own
        assert 0 <= later - monotonic < 5 * SECOND

    live(way, body)


@pytest.mark.namespaces
@pytest.mark.parametrize("version", interpreters())
def test_greets_over_ssh_on_every_python(version: str, sshlab: Labs) -> None:
    path = os.path.realpath(interpreters()[version])
    lab = sshlab("two-hosts", clocks=True)
    if lab.machines["romeo"].run([path, "-V"]).returncode != 0:
        pytest.skip(f"{path} is not on the machines of a lab")

    async def body(session: Session) -> None:
        assert session.hello["version"] == protocol.VERSION
        await prepare(session, calls("1", NEW(), call("sock.connect", "connect", "sock", (), (LOOPBACK, 9))))
        (result,) = await fire(session, "1")
        assert result["errno"] == "ECONNREFUSED"

    live(partial(over_ssh, lab, path), body)


def test_refused_connection_is_an_outcome_with_times(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(session, calls("1", NEW(), call("sock.connect", "connect", "sock", (), (LOOPBACK, 9))))
        (result,) = await fire(session, "1")
        assert result["status"] == "raised"
        assert result["errno"] == "ECONNREFUSED"
        assert result["exceptions"][0] == "ConnectionRefusedError"
        assert "OSError" in result["exceptions"]
        first, second = result["calls"]
        assert result["start_ns"] <= first["start_ns"] <= first["end_ns"] <= second["start_ns"] <= second["end_ns"] <= result["end_ns"]

    live(way, body)


def test_sockets_outlive_the_step_that_made_them(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(session, calls("1", *LISTENER))
        (result,) = await fire(session, "1")
        port = result["value"]["tuple"][1]
        await prepare_more(session, port)

    async def prepare_more(session: Session, port: int) -> None:
        # A new program on the same host forgets nothing of the kernel's: the listener of the first is closed with it.
        await prepare(session, calls("2", NEW(), call("connect_ex", "connect_ex", "sock", (), (LOOPBACK, port))))
        (result,) = await fire(session, "2")
        assert result["status"] == "done"
        assert result["value"] in (0, 111)

    live(way, body)


def test_conversation_between_two_sockets(way: Way) -> None:
    async def body(session: Session) -> None:
        probe = [*LISTENER[:1], call("bind", "bind", "server", (), (LOOPBACK, 25123)), LISTENER[2]]
        await prepare(
            session,
            calls("1", *probe),
            calls("2", NEW(), call("connect", "connect", "sock", (), (LOOPBACK, 25123)), call("sendall", "sendall", "sock", (), b"hello")),
            calls("3", call("conn, addr = server.accept()", "accept", "server", ("conn", "addr"))),
            calls("4", call("conn.recv(100)", "recv", "conn", (), 100)),
            calls("5", call("sock.shutdown", "shutdown", "sock", (), {"constant": "SHUT_WR"})),
            calls("6", call("conn.recv(100)", "recv", "conn", (), 100), call("conn.close()", "close", "conn")),
        )
        results = [(await fire(session, key))[0] for key in "123456"]
        assert [result["status"] for result in results] == ["done"] * 6
        assert results[2]["value"]["tuple"][0] == {"socket": "conn"}
        assert base64.b64decode(results[3]["value"]["bytes"]) == b"hello"
        assert base64.b64decode(results[5]["calls"][0]["value"]["bytes"]) == b""
        ends = {facts["name"]: facts for result in results for made in result["calls"] for facts in made["sockets"]}
        assert ends["conn"]["peer"] == ends["sock"]["local"]
        assert ends["conn"]["closed"] is True
        assert ends["conn"]["local"] == f"{LOOPBACK}:25123"

    live(way, body)


def test_deadline_interrupts_a_blocking_call_and_leaves_its_socket_open(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(
            session,
            calls("1", *LISTENER),
            calls("2", call("server.accept()", "accept", "server"), timeout_ns=SECOND // 20),
            calls("3", call("server.getsockname()", "getsockname", "server")),
        )
        await fire(session, "1")
        (result,) = await fire(session, "2")
        assert result["status"] == "timeout"
        assert result["calls"][0]["status"] == "timeout"
        assert SECOND // 20 <= result["end_ns"] - result["start_ns"] < SECOND
        (still,) = await fire(session, "3")
        assert still["status"] == "done"

    live(way, body)


def test_settimeout_and_setblocking_mean_what_python_means(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(
            session,
            calls("1", *LISTENER, call("settimeout", "settimeout", "server", (), 0.02), call("accept", "accept", "server")),
            calls("2", call("setblocking", "setblocking", "server", (), False), call("accept", "accept", "server")),
        )
        (late,) = await fire(session, "1")
        assert late["exceptions"][0] == "TimeoutError"
        (now,) = await fire(session, "2")
        assert now["exceptions"][0] == "BlockingIOError"

    live(way, body)


def test_background_call_tells_its_end_and_can_be_waited_for(way: Way) -> None:
    async def body(session: Session) -> None:
        told: list[dict] = []
        session.on_tell = told.append
        await prepare(
            session,
            calls("1", *LISTENER[:1], call("bind", "bind", "server", (), (LOOPBACK, 25124)), LISTENER[2]),
            calls("2", call("conn, _ = server.accept()", "accept", "server", ("conn", "_")), name="accepting", background=True),
            calls("3", NEW(), call("connect", "connect", "sock", (), (LOOPBACK, 25124))),
            act("4", "wait", on="accepting"),
        )
        await fire(session, "1")
        (begun,) = await fire(session, "2")
        assert begun["status"] == "running"
        await fire(session, "3")
        (awaited,) = await fire(session, "4")
        assert awaited["status"] == "done"
        assert [frame["result"]["id"] for frame in told if frame["tell"] == protocol.ENDED] == ["2"]

    live(way, body)


def test_what_still_blocks_at_the_end_is_recorded_as_blocked(way: Way) -> None:
    async def body(session: Session) -> None:
        told: list[dict] = []
        session.on_tell = told.append
        await prepare(
            session, calls("1", *LISTENER), calls("2", call("accept", "accept", "server"), background=True, timeout_ns=60 * SECOND)
        )
        await fire(session, "1")
        await fire(session, "2")
        await session.ask(protocol.FINISH)
        assert [frame["result"]["status"] for frame in told] == ["blocked"]

    live(way, body)


def test_armed_fire_is_not_early_and_says_how_late(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(session, calls("1", NEW()))
        at = session.hello["clock"][0] + time.time_ns() - session.hello["clock"][1] + 20_000_000
        (result,) = await fire(session, "1", at=at)
        assert result["planned_ns"] == at
        assert result["start_ns"] >= at

    live(way, body)


def test_program_is_typed_to_and_its_end_awaited(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(
            session,
            act("1", "start", argv=["cat"], name="cat"),
            act("2", "type", to="cat", text="one\ntwo\n"),
            act("3", "type", to="cat", eof=True),
            act("4", "wait", on="cat"),
            act("5", "type", to="cat", text="three"),
            act("6", "signal", to="cat", signal="INT"),
        )
        results = [(await fire(session, key))[0] for key in "123456"]
        assert results[3]["stdout"] == "one\ntwo\n"
        assert results[3]["value"] == 0
        assert results[4]["exceptions"][0] == "ProcessLookupError"
        assert results[5]["exceptions"][0] == "ProcessLookupError"

    live(way, body)


def test_program_is_ready_when_the_kernel_shows_its_listener(way: Way) -> None:
    async def body(session: Session) -> None:
        text = "import socket,time; time.sleep(.05); s=socket.create_server(('127.0.0.1',25125)); time.sleep(60)"
        await prepare(
            session,
            act("1", "start", argv=["python3", "-I", "-S", "-c", text], name="web", ready={"listening": 25125}),
            calls("2", NEW(), call("connect", "connect", "sock", (), (LOOPBACK, 25125))),
            act("3", "signal", to="web", signal="INT"),
            act("4", "wait", on="web"),
        )
        results = [(await fire(session, key))[0] for key in "1234"]
        assert [result["status"] for result in results] == ["done"] * 4
        assert results[3]["value"] != 0

    live(way, body)


def test_program_that_ends_before_it_is_ready_says_so(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(session, act("1", "start", argv=["sh", "-c", "echo no such luck >&2; exit 3"], name="p", ready={"listening": 25126}))
        (result,) = await fire(session, "1")
        assert "status 3" in result["message"]
        assert "no such luck" in result["message"]

    live(way, body)


def test_missing_program_is_an_outcome(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(session, act("1", "run", argv=["no-such-program-here"]))
        (result,) = await fire(session, "1")
        assert result["exceptions"][0] == "FileNotFoundError"

    live(way, body)


def test_flood_of_output_is_bounded_and_told(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(session, act("1", "run", argv=["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"]))
        (result,) = await fire(session, "1")
        assert result["clipped"] is True
        assert len(result["stdout"]) == 1 << 20

    live(way, body)


def test_files_live_in_a_private_folder_and_go_with_the_run(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(
            session,
            act("1", "file", name="x.txt", text="hi\n"),
            act("2", "run", argv=["cat", "x.txt"]),
            act("3", "run", argv=["pwd"]),
            private=True,
        )
        await fire(session, "1")
        (shown,) = await fire(session, "2")
        assert shown["stdout"] == "hi\n"
        (where,) = await fire(session, "3")
        answer = await session.ask(protocol.FINISH)
        assert any(text.startswith("rm ") for text in answer["undone"])
        assert answer["not_undone"] == []
        assert not os.path.exists(where["stdout"].strip())  # noqa: ASYNC240  nothing else runs on this loop

    live(way, body)


def test_unknown_ask_and_unknown_action_are_refused_not_fatal(way: Way) -> None:
    async def body(session: Session) -> None:
        with pytest.raises(AgentError):
            await session.ask("no-such-ask")
        await prepare(session, calls("1", NEW()))
        with pytest.raises(AgentError, match="nothing was prepared as 7"):
            await fire(session, "7")
        assert (await fire(session, "1"))[0]["status"] == "done"

    live(way, body)


def test_overlong_and_garbled_frames_do_not_kill_it_unheard(way: Way) -> None:
    async def body(session: Session) -> None:
        session._channel.send(b"this is no json\n")
        await prepare(session, calls("1", NEW()))
        assert (await fire(session, "1"))[0]["status"] == "done"

    live(way, body)


def test_closing_the_conversation_fails_what_waits(way: Way) -> None:
    async def body(session: Session) -> None:
        await prepare(session, calls("1", *LISTENER), calls("2", call("accept", "accept", "server")))
        await fire(session, "1")
        waiting = asyncio.ensure_future(fire(session, "2"))
        await asyncio.sleep(0.01)
        session.close()
        with pytest.raises(AgentLost):
            await waiting

    live(way, body)
