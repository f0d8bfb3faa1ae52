"""What a real host's sockets were before the run -> its tools' words without them, so that a lab sees its own sockets alone.

A host that is a namespace has none but the lab's. A real one has the SSH server's, the control connection's, and for a minute those of an
earlier run in TIME_WAIT. Lines about them are left out: about sockets that were there before, and about any that has the address by which
the controller came. Rules and counters are not touched. The surprising fact: a fresh connection that proves that the way here is open is a
new socket in the midst of the run, so what was there before is not enough.
"""

from __future__ import annotations

from . import observe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.agent.loop import Loop
    from orchestrator.agent.tasks import Steps

_NETSTAT_COLUMN = 23
TOOLS = ("ss", "lsof", "netstat")


class Backdrop:
    """What is not the lab's. ``control`` is the host's own address of the control connection, empty where there is none."""

    def __init__(self, control: str = "") -> None:
        self._control = control
        self._before: dict[str, set[tuple[str, ...]]] = {}

    def take(self, loop: Loop, tools: Iterable[str]) -> Steps[None]:
        """Look, as a task, with those of ``tools`` that show sockets; one that is missing will be missed by who asks it."""
        for tool in TOOLS:
            if tool in tools:
                try:
                    text = yield from observe.ask(loop, tool)
                except OSError:
                    continue
                self._before[tool] = {_key(tool, line.split()) for line in text.splitlines()}

    def without(self, tool: str, text: str) -> str:
        """The words of ``tool`` without the lines that speak of what is not the lab's."""
        if tool not in TOOLS or not (self._before or self._control):
            return text
        return "".join(line for line in text.splitlines(keepends=True) if not self._is_theirs(tool, line.split()))

    def _is_theirs(self, tool: str, words: list[str]) -> bool:
        if not _is_socket(tool, words):
            return False  # a heading
        return _key(tool, words) in self._before.get(tool, ()) or (bool(self._control) and self._is_control(tool, words))

    def _is_control(self, tool: str, words: list[str]) -> bool:
        """Whether a line's local address is that of the control connection; netstat cuts an address off that its column cannot hold."""
        shown = _address(tool, words)
        cut = tool == "netstat" and len(words[3]) >= _NETSTAT_COLUMN
        return self._control.startswith(shown) if cut and ":" in shown else shown == self._control


def _is_socket(tool: str, words: list[str]) -> bool:
    if tool == "lsof":
        return len(words) >= 9 and words[1].isdigit()
    return len(words) >= 5 and words[0][:3] in ("tcp", "udp")


def _key(tool: str, words: list[str]) -> tuple[str, ...]:
    """What tells one socket from another: its cookie; process, descriptor and inode; both ends and who has it."""
    if tool == "ss":
        cookie = next((word for word in words if word.startswith("sk:")), "")
        return (cookie,) if cookie else tuple(words[:1] + words[4:6])
    if tool == "lsof":
        return (words[1], words[3], words[5]) if len(words) > 5 else tuple(words)
    return (*words[:1], *words[3:5], words[-1])


def _address(tool: str, words: list[str]) -> str:
    """The local address in a line, bare."""
    end = words[8].partition("->")[0] if tool == "lsof" else words[4 if tool == "ss" else 3]
    bare = end.rpartition(":")[0].strip("[]").partition("%")[0]
    return bare.rpartition("::ffff:")[2] if "." in bare else bare
