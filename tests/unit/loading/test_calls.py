"""Typed Python."""

from __future__ import annotations

import pytest

from orchestrator.agent.protocol import CALLS, CONSTANTS, decode_value
from orchestrator.loading.notation.calls import parse_call
from orchestrator.loading.notation.literals import wire_value
from orchestrator.loading.notation.misread import Misread


@pytest.mark.parametrize(
    ("text", "method", "receiver", "names"),
    [
        ("sock = socket.socket()", "socket.socket", "", ("sock",)),
        ("sock[3] = socket.socket()", "socket.socket", "", ("sock[3]",)),
        ("sock[3].close()", "close", "sock[3]", ()),
        ("conn, addr = server.accept()", "accept", "server", ("conn", "addr")),
        ("conn, _ = server.accept()", "accept", "server", ("conn", "_")),
        ("server.accept()", "accept", "server", ()),
        ("  data = sock.recv(100)  ", "recv", "sock", ("data",)),
    ],
)
def test_who_does_what(text, method, receiver, names):
    call = parse_call(text)
    assert (call.method, call.receiver, call.names, call.text) == (method, receiver, names, text.strip())


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ("64 * 1024", 65536),
        ("2 + 3 - 1", 4),
        ("None", None),
        ("True", True),
        ("'a' 'b'", "ab"),
        ("b'x' * 3", b"xxx"),
        ("3 * b'x'", b"xxx"),
        ("b'a' + b'b'", b"ab"),
        ("'é'.encode()", "é".encode()),
        ("'a'.encode()", b"a"),
        ("struct.pack('!HH', 1, 2)", b"\0\1\0\2"),
        ("socket.SHUT_WR", 1),
        ("socket.MSG_PEEK | socket.MSG_DONTWAIT", 66),
        ("socket.MSG_PEEK | socket.MSG_DONTWAIT | 4", 70),
        ("1 | 2", 3),
        ("(1, 'a')", (1, "a")),
        ("[1, (2,)]", [1, (2,)]),
        ("(1,) + (2,)", (1, 2)),
    ],
)
def test_arguments_mean_what_python_means(argument, value):
    call = parse_call(f"sock.settimeout({argument})")
    assert decode_value(call.arguments[0]) == value
    assert type(decode_value(call.arguments[0])) is type(value)


def test_constants_travel_by_name():
    assert parse_call("sock.shutdown(socket.SHUT_WR)").arguments == ({"constant": "SHUT_WR"},)
    flags = parse_call("sock.recv(1, socket.MSG_PEEK | socket.MSG_OOB)").arguments[1]
    assert flags == {"or": [{"constant": "MSG_PEEK"}, {"constant": "MSG_OOB"}]}
    assert all(decode_value(wire_value(f"socket.{name}")) == number for name, number in CONSTANTS.items())


@pytest.mark.parametrize("method", sorted(name for name, rule in CALLS.items() if rule.of == "socket" and rule.address is None))
def test_the_agents_table_says_how_many_arguments(method):
    rule = CALLS[method]
    for count in range(6):
        text = f"sock.{method}({', '.join(['1'] * count)})"
        if rule.least <= count <= rule.most:
            assert len(parse_call(text).arguments) == count
        else:
            with pytest.raises(Misread, match="takes"):
                parse_call(text)


def test_addresses():
    assert parse_call('sock.bind(("", 0))').arguments == ({"tuple": ["", 0]},)
    assert parse_call('sock.connect(("fd00::1", 80, 0, 0))').arguments == ({"tuple": ["fd00::1", 80, 0, 0]},)
    assert parse_call('sock.sendto(b"x", ("juliet", 80))').arguments[1] == {"tuple": ["juliet", 80]}
    for text in (
        'connect(("juliet", 0))',
        'connect(("juliet", 65536))',
        'bind(("", -1))',
        'connect("juliet")',
        'connect(("juliet", "80"))',
        "connect((1, 2))",
    ):
        with pytest.raises(Misread):
            parse_call(f"sock.{text}")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "sock.send(__import__('os'))",
        "sock.send(socket.gethostname())",
        "sock.send((lambda: b'x')())",
        "sock.send([x for x in (1,)])",
        "sock.send(f'{1}')",
        "sock.send(b'x' ** 2)",
        "sock.send(1 if 1 else 2)",
        "sock.send(*[1])",
        "sock.__class__()",
        "sock.listen.__call__()",
        "sock.makefile()",
        "socket.socket().connect(('juliet', 1))",
        "a = b = socket.socket()",
        "a: int = socket.socket()",
        "sock[i].close()",
        "sock[-1].close()",
        "sock['a'].close()",
        "sock[1.0].close()",
        "sock[0][0].close()",
        "None.close()",
        "socket = socket.socket()",
        "struct.close()",
        "conn = server.accept()",
        "a, b = sock.recv(1)",
        "sock.send(b'x' * 1048577)",
        "sock.send(b'x' * 1000 * 1000 * 1000)",
        "sock.send('x' * 9999 + 'y' * 9999999)",
        "sock.send(9999999999 * 99999999999)",
        "sock.send(1e999)",
        "sock.send(1j)",
        "sock.send(...)",
        "sock.send('\\ud800')",
        "sock.send(struct.pack('2147483647s', b''))",
        "sock.send(struct.pack('é'))",
        "sock.send(struct.pack('i', 'x'))",
        "sock.send(socket.AF_INET * 1000)",
        "sock.send(-socket.AF_INET)",
        "sock.send(socket.AF_INET + 'x')",
        "sock.send(" + "(" * 500 + ")" * 500 + ")",
        "sock.send(" + "-" * 5000 + "1)",
        "sock.send(" + "1+" * 50000 + "1)",
        "sock.send(" + "9" * 5000 + ")",
        "sock.send(\0)",
        "",
        "#",
    ],
)
def test_nothing_outside_the_table_is_read(text):
    with pytest.raises(Misread):
        parse_call(text)


def test_a_literal_for_returns():
    assert wire_value('b"bye\\n"') == {"bytes": "YnllCg=="}
    assert wire_value("('10.0.0.1', 4000)") == {"tuple": ["10.0.0.1", 4000]}
    with pytest.raises(Misread, match="no Python literal"):
        wire_value("hello world")
