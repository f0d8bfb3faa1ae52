"""The table of an inventory's variables, and the form of Ansible's groups around them.

The surprising fact: this table is open where all others are closed. A variable that neither Ansible nor we know belongs to somebody's
playbooks and is left alone; what begins with ``ansible_`` and is not here would change how Ansible reaches a machine, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from orchestrator.loading.keys import words
from orchestrator.loading.kinds.scalars import Pen, Shape, Word, surprise
from orchestrator.loading.kinds.shapes import FreeKeys, MapOf, OneOrMany, OrNothing, Reference
from orchestrator.loading.kinds.tables import Key, Keys
from orchestrator.loading.notation import ssh
from orchestrator.loading.notation.macs import mac_of
from orchestrator.loading.notation.misread import Misread
from orchestrator.loading.source.documents import Scalar
from orchestrator.loading.source.problems import nearest
from orchestrator.loading.source.reader import Reader

MACHINE_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}"
GROUP_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_OTHER_NAMES = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_port": "ansible_port",
    "ansible_ssh_user": "ansible_user",
    "ansible_private_key_file": "ansible_ssh_private_key_file",
    "ansible_ssh_args": "ansible_ssh_common_args",
    "ansible_sudo": "ansible_become",
}
_AS_NEAR = 0.85
"""A slip of one letter is this near; another word, as ``config`` is to ``configure``, is farther off. So are two letters of four that
changed places, which are looked for as such: ``jmup`` is a slip, and ``dump`` somebody's own."""


def _literal(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """``parse`` for what is written out: of Jinja nobody here knows what would stand there."""

    def literally(text: str) -> Any:
        if "{{" in text or "{%" in text:
            raise Misread("Jinja ({{ }}) is not filled in here: write the value itself, in the variables of a host or of a group")
        return parse(text)

    return literally


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise Misread(f"true or false is wanted here, not '{text}'")
    return _TRUTH[text.lower()]


def _only(*allowed: str, instead: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise Misread(instead.format(text))
        return text

    return parse


def _address(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]{1,253}", text) or text.startswith("-"):
        raise Misread(f"an address is a name or an IP address, without user or port, not '{text}'")
    return text


def _user(text: str) -> str:
    if text.startswith("-") or re.search(r"\s", text):
        raise Misread(f"'{text}' is no name of a user")
    return text


def _python(text: str) -> str:
    """A path, or a name to be looked for; Ansible's words for finding one by itself mean the usual one."""
    if text.startswith("auto"):
        return "python3"
    if not re.fullmatch(r"[A-Za-z0-9_./+-]{1,255}", text):
        raise Misread(f"an interpreter is one path, like /usr/bin/python3, not '{text}'")
    return text


def _word(what: str, parse: Callable[[str], Any], *also: str) -> Word:
    return Word(what, parse=_literal(parse), accepts=("str", *also))


_FLAG = _word("true or false", _truth, "bool")
_SSH = _word("arguments of ssh", ssh.arguments)


class Variables(Keys):
    """Variables of a host or a group: those of the table are read, somebody's own are passed over."""

    def _unknown(self, label: str, key: Scalar, reader: Reader) -> None:
        del label
        wrong = _unknown_variable(key.text, self.table) if key.tag == "str" else surprise(key, "a variable's name")
        if wrong:
            reader.complain(key, wrong)

    def shape(self, pen: Pen) -> Shape:
        """An object that is open, but for what begins with ``ansible_``."""
        known = [name for name in self.table if name.startswith("ansible_")]
        names = {"anyOf": [{"enum": known}, {"not": {"pattern": "^ansible_"}}]}
        return {**super().shape(pen), "additionalProperties": True, "propertyNames": names}


def _unknown_variable(name: str, known: Any) -> str:
    """What is wrong with a variable that is not in the table; nothing where it is somebody's own."""
    near = _OTHER_NAMES.get(name) or nearest(name, known, _AS_NEAR) or next((own for own in known if sorted(own) == sorted(name)), "")
    if name.startswith("ansible_") and "pass" in name:
        return (
            f"'{name}': no password stands in a file: log in by a key (ansible_ssh_private_key_file) or an agent, "
            "and let sudo ask for none (NOPASSWD)"
        )
    if near:
        return f"unknown variable '{name}', did you mean '{near}'?"
    if name.startswith("ansible_"):
        return f"the variable '{name}' is not supported here: leave it out, or set what it does in ansible.cfg"
    return ""


VARIABLES = Variables(
    "this set of variables",
    {
        "ansible_host": Key(_word("an address", _address), "The SSH server's name or address; the host's own name if left out."),
        "ansible_port": Key(_word("a port", ssh.port_number, "int"), "The SSH server's port."),
        "ansible_user": Key(_word("a user", _user), "Who logs in."),
        "ansible_ssh_private_key_file": Key(_word("the path of a key", ssh.path_of), "The private key; relative to the working directory."),
        "ansible_become": Key(_FLAG, "Whether sudo may be used."),
        "ansible_become_method": Key(
            _word("a method", _only("sudo", instead="only sudo is used to become root, not '{}': leave it out")), "sudo."
        ),
        "ansible_become_user": Key(
            _word("a user", _only("root", instead="labs want root's rights, not those of '{}': leave it out")), "root."
        ),
        "ansible_connection": Key(
            _word("a connection", _only("ssh", "smart", instead="machines are reached by ssh, not by '{}': leave it out")), "ssh."
        ),
        "ansible_python_interpreter": Key(_word("the path of an interpreter", _python), "The Python on that machine (python3)."),
        "ansible_ssh_common_args": Key(_SSH, "Arguments of ssh, like -o ProxyJump=user@bastion."),
        "ansible_ssh_extra_args": Key(_SSH, "More arguments of ssh."),
        "jump": Key(
            OneOrMany(_word("a bastion", ssh.hops), "a list of bastions", least=0),
            "The bastions on the way, the first one first: [user@]host[:port], or names of machines of this inventory.",
        ),
        "configure": Key(_FLAG, "Whether addresses, routes and forwarding that are missing may be set."),
        "macs": Key(
            MapOf(
                _word("a MAC", mac_of),
                "a mapping of networks to MACs",
                FreeKeys(pattern=words.LABEL_PATTERN, check=words.label_problem, text=True),
            ),
            "Its interfaces: the MAC on each network of the topology.",
        ),
    },
    null=True,
)


def _machine_problem(name: str) -> str:
    if re.fullmatch(MACHINE_PATTERN, name):
        return ""
    if "[" in name:
        return f"the range '{name}' is not taken apart here: write each host out"
    if ":" in name:
        return f"'{name}' is no name for a host: its address belongs into ansible_host, its port into ansible_port"
    return f"'{name}' is no name for a host: letters, digits, '.', '_' and '-'"


def _group_problem(name: str) -> str:
    if re.fullmatch(GROUP_PATTERN, name):
        return ""
    return f"'{name}' is no name for a group: letters, digits, '.', '_' and '-'"


def _groups(what: str, least: int) -> MapOf:
    return MapOf(Reference("group", lambda: GROUP), what, FreeKeys(pattern=GROUP_PATTERN, check=_group_problem, text=True), least=least)


GROUP = Keys(
    "this group",
    {
        "hosts": Key(
            OrNothing(
                MapOf(VARIABLES, "a mapping of hosts", FreeKeys(pattern=MACHINE_PATTERN, check=_machine_problem, text=True), least=0)
            ),
            "Its hosts, each with its variables or nothing.",
        ),
        "children": Key(OrNothing(_groups("a mapping of groups", 0)), "The groups in it."),
        "vars": Key(VARIABLES, "Variables of all its hosts; a child's and a host's own win."),
    },
    null=True,
)
INVENTORY = _groups("a mapping of groups, like all: {hosts: ...}", 1)
