"""An agent's command line and program text, and what it means when it did not come up.

The account's login shell, whatever it is, gets a line in double quotes that holds no quote, backslash, newline, dollar or ``!``, or with
sudo ``exec sh -c '...'`` with no single quote inside: csh and fish read these as sh does. The rest travels behind it on standard input, so
that no list of processes shows it and no shell's limit counts.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from orchestrator.connectors import bundle
from orchestrator.connectors.ssh.process import AgentProcess
from orchestrator.connectors.ssh.refusals import Refused, readable
from orchestrator.model.inventory import Machine

_PROLOGUE = """\
import os,sys
if sys.version_info<(3,8): sys.exit("older than 3.8: "+sys.version.split()[0])
os.write(1,b"\\n%s\\n")
"""
_TAKE = (
    "import os,_signal;_signal.alarm({seconds});b=bytearray();"
    "[b.extend(os.read(0,{size}-len(b)))for i in range({size})if len(b)<{size}];exec(bytes(b))"
)
"""Takes the program, not a byte more, and as many times as it comes in pieces. ``signal`` itself would bring all of enum along."""
_SAFE = re.compile(r"[A-Za-z0-9_./~+][A-Za-z0-9_./+-]*")
_ROOT = "root"
_PUSHED_S = 20
"""How long the program may take to come; where the connection is cut meanwhile, nobody would tell what waits for it."""
ASKED = b"password is required"
"""What sudo -n says, to those who have no right at all too."""
_INSTALL = "install python3 (3.8 or newer), or name another with ansible_python_interpreter"


class Launch(NamedTuple):
    """How one agent is started: a ``command`` for the login shell, what is then ``pushed``, and the line by which it says that it runs."""

    command: str
    pushed: bytes
    marker: bytes


def launch(machine: Machine, user: str, *, root: bool) -> Launch:
    """How to start an agent on this machine for this user.

    :raises Refused: the inventory forbids what is needed.
    """
    python = machine.python
    if not _SAFE.fullmatch(python):
        raise Refused(f"ansible_python_interpreter is {python!r}: it has to be the path of one program, without spaces or quotes")
    if root and user != _ROOT and machine.become is False:
        raise Refused(f"the lab needs root there, the user is {user}, and ansible_become is false: allow it, or connect as root")
    data = bundle.bundle()
    marker = f"agent-{secrets.token_hex(8)}".encode("ascii")
    text = (_PROLOGUE % marker.decode("ascii")).encode() + bundle.bootstrap(data, bundle.GUARDIAN).encode()
    run = f'{python} -I -S -c "{_TAKE.format(seconds=_PUSHED_S, size=len(text))}"'
    if not root or user == _ROOT:
        return Launch(f"exec {run}", text + data, marker)
    inner = f'if test "$(id -u)" = 0; then exec {run}; else exec sudo -n -- {run}; fi'
    return Launch(f"exec sh -c '{inner}'", text + data, marker)


def why_not(machine: Machine, user: str, process: AgentProcess, more: str) -> str:
    """Why the agent did not come up, and what to do about it; ``more`` is what sudo said when it was asked again."""
    said = (process.words.decode(errors="replace") + "\n" + process.last_words() + more).lower()
    if "sudo" in said or process.last_words().startswith("sudo:"):
        found = _sudo(user, said)
        if found:
            return found
    if "older than 3.8" in said or "unknown option: -i" in said:
        version = said.rpartition("older than 3.8: ")[2].split("\n")[0] if "older than 3.8: " in said else "too old"
        return f"its {machine.python} is {version}, and the agent needs Python 3.8 or newer: {_INSTALL}"
    if process.status in {126, 127} or "command not found" in said:
        return f"{machine.python} cannot be run there: {_INSTALL} (the shell said: {process.last_words() or 'nothing'})"
    if not process.begun and not process.words and process.status is not None:
        return _instead(user, process)
    how = process.ending() or "its agent left before it greeted"
    return f"the agent did not start: {how}"


def _sudo(user: str, said: str) -> str:
    """What sudo(8) refused, and the line of sudoers(5) that allows it."""
    line = f"`{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/lab (visudo -f)"
    if "not in the sudoers" in said or "may not run sudo" in said or "not allowed to" in said:
        return f"{user} may not use sudo there: write {line}, or connect as root"
    if ASKED.decode() in said:
        return f"sudo asks {user} for a password there, and nobody can type one: write {line}, or connect as root"
    if "must have a tty" in said:
        return f"sudo wants a terminal there (requiretty): write `Defaults:{user} !requiretty` in /etc/sudoers.d/lab (visudo -f)"
    if "sudo: not found" in said or "sudo: command not found" in said or "exec: sudo" in said:
        return f"the lab needs root there, the user is {user}, and sudo is not installed: install it, or connect as root"
    return ""


def _instead(user: str, process: AgentProcess) -> str:
    """Something else ran in the place of our command (authorized_keys: ``command=``; a login shell that is none)."""
    said = readable(process.noise.decode(errors="replace"))
    return (
        f"the account {user} does not run the commands it is given: its key is bound to one command (command= in authorized_keys, "
        f"ForceCommand), or its login shell is none; it answered: {said or 'nothing'}"
    )
