"""What the agent needs of ``heapq``, ``json``, ``signal``, ``socket`` and ``struct``, from the C modules below them.

The public ones bring enums and regular expressions along: half of the time that an agent takes to start, and fifty of them start at once.
The names are the same, and so are the types to a checker. What is missing: ``socket.accept`` (here :func:`accept`) and sockets as context
managers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import heapq
    import signal
    import socket
    import struct
    from functools import partial
    from typing import Any
else:
    import _heapq as heapq
    import _signal as signal
    import _socket as socket
    import _struct as struct
    from _functools import partial

__all__ = ["accept", "decode", "encode", "heapq", "name_of_signal", "partial", "signal", "socket", "struct"]


def accept(sock: socket.socket) -> tuple[socket.socket, Any]:
    """As ``socket.accept``: a blocking socket, and the address of its other end."""
    fd, address = sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001  what the public one calls
    return socket.socket(sock.family, sock.type, sock.proto, fileno=fd), address


def name_of_signal(number: int) -> str:
    """``SIGKILL`` of 9; the number where it has no name."""
    names = [name for name in dir(signal) if name.startswith("SIG") and "_" not in name and getattr(signal, name) == number]
    return names[0] if names else str(number)


def _refuse(value: object) -> object:
    raise TypeError("a " + type(value).__name__ + " is no JSON")


class _Reading:
    """What the scanner of ``_json`` asks its decoder for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


def _machinery() -> tuple[Any, Any]:
    """The encoder and the scanner; where this Python lacks the C ones, those of ``json``."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner

        return make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, True), make_scanner(_Reading)  # type: ignore[arg-type]
    except ImportError:
        import json

        encoder, decoder = json.JSONEncoder(separators=(",", ":")), json.JSONDecoder()
        return lambda value, _level: encoder.iterencode(value), decoder.raw_decode


_encode, _scan = _machinery()


def encode(value: object) -> str:
    """JSON without white space, in ASCII.

    :raises TypeError: it holds what JSON cannot.
    """
    return "".join(_encode(value, 0))


def decode(data: bytes) -> Any:
    """The value in a line.

    :raises ValueError: it is not JSON, not in UTF-8, or more than one value.
    """
    text = data.decode().strip()
    try:
        value, end = _scan(text, 0)
    except (StopIteration, SystemError):  # Python 3.10 and 3.11 miss the exception that they would raise, where json is not imported
        raise ValueError("no JSON: " + ascii(text[:80])) from None
    if end != len(text):
        raise ValueError("more than one value: " + ascii(text[end : end + 80]))
    return value
