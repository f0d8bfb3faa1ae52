"""What a run must put back on a machine -> one normalised record, so that before == after can be asserted, with a readable difference.

Left out is what changes by itself: counters, lifetimes, empty tables, numbers of processes, and what sshd and sudo write down of each login
(wtmp, lastlog, sudo's time stamps). The surprising fact: of the root file system only the overlay's upper layer is looked at, which is all
that was ever written, wherever; so a file under /usr or /var is seen as one under /etc.
"""

from __future__ import annotations

import json
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sshlab.machine import PYTHONS

if TYPE_CHECKING:
    from tests.sshlab.machines import Machine

_MEMORY = ("run", "tmp", "var/tmp", "home", "root", "dev/shm")
_LOGINS = {"var/log/wtmp", "var/log/btmp", "var/log/lastlog", "var/log/faillog", "var/lib/sudo", "run/sudo", "run/utmp"}
_PYTHONS = PYTHONS.strip("/")
_LIVELY = re.compile(r"net\.netfilter\.nf_conntrack_(count|expect_count)$|net\.ipv4\.tcp_fastopen_key$")
_HASHED_BYTES = 65_536
_COLLECTOR = r"""
import glob, json, os, subprocess
def said(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""
links = sorted(os.listdir("/sys/class/net"))
found = {
    "iptables": said("iptables-save"),
    "ip6tables": said("ip6tables-save"),
    "nftables": said("nft", "-n", "list", "ruleset"),
    "addresses": said("ip", "-o", "address"),
    "routes": said("ip", "-4", "route", "show", "table", "all") + said("ip", "-6", "route", "show", "table", "all"),
    "rules": said("ip", "-4", "rule") + said("ip", "-6", "rule"),
    "links": said("ip", "-o", "-d", "link"),
    "qdiscs": said("tc", "qdisc", "show") + "".join(said("tc", "filter", "show", "dev", link) for link in links),
    "offloads": "".join(f"{link} {line}\n" for link in links for line in said("ethtool", "-k", link).splitlines()[1:]),
    "name": said("uname", "-n"),
}
settings = []
for folder, _, names in os.walk("/proc/sys/net"):
    for path in (os.path.join(folder, name) for name in names):
        name = path[len("/proc/sys/"):].replace(".", "\0").replace("/", ".").replace("\0", "/")
        try:
            settings.append(name + " = " + open(path).read().strip())
        except OSError:
            pass
found["sysctls"] = "\n".join(line.replace("\n", " ") for line in settings)
print(json.dumps(found))
"""


@dataclass(frozen=True)
class State:
    """``parts`` are lines by what they tell of: ``iptables``, ``sysctls``, ``files``, ..."""

    machine: str
    parts: dict[str, tuple[str, ...]]

    def difference(self, later: State) -> str:
        """What is not as it was, part by part, in the form of diff(1); empty: nothing."""
        told = []
        for part in sorted(self.parts | later.parts):
            lines = list(unified_diff(self.parts.get(part, ()), later.parts.get(part, ()), lineterm="", n=0))[2:]
            told += [f"{self.machine}: {part}", *(f"  {line}" for line in lines if not line.startswith("@@"))] if lines else []
        return "\n".join(told)


def collect(machine: Machine) -> State:
    """The state now. It starts one process on the machine, which is not in it."""
    done = machine.run(["/usr/bin/python3", "-I", "-S", "-c", _COLLECTOR])
    assert done.returncode == 0, f"{machine.name} tells no state: {done.stderr}"
    told: dict[str, str] = json.loads(done.stdout)
    parts = {part: tuple(sorted(_plain(line) for line in text.splitlines())) for part, text in told.items()}
    parts["sysctls"] = tuple(line for line in parts["sysctls"] if not _LIVELY.match(line.split(" = ")[0]))
    parts["qdiscs"] = tuple(line for line in parts["qdiscs"] if not line.startswith("qdisc noqueue 0:"))
    for part in ("iptables", "ip6tables"):
        parts[part] = tuple(_tables(told[part]))
    parts["nftables"] = tuple(_nft_tables(told["nftables"]))
    parts["mounts"] = tuple(sorted(Path(f"/proc/{machine.pid}/mounts").read_text().splitlines()))
    parts["processes"] = tuple(sorted(f"{one.user} {_title(one.argv)}" for one in machine.processes() if one.state != "Z"))
    parts["files"] = tuple(sorted({*_written(machine.written), *(line for name in _MEMORY for line in _tree(machine.files, name))}))
    return State(machine.name, parts)


def _plain(line: str) -> str:
    """Without what changes by itself."""
    line = line.replace(" qdisc noop ", " qdisc noqueue ")  # until a link is up for the first time; the kernel has no way back
    line = re.sub(r" (valid_lft|preferred_lft|expires|refcnt) \S+", "", line.replace("\\", " "))
    return re.sub(r"\s+", " ", line).strip()


def _title(argv: tuple[str, ...]) -> str:
    """The listener's title counts those who are logging in."""
    return re.sub(r" \d+ of [\d-]+ startups$", "", " ".join(argv))


def _tables(text: str) -> Iterator[str]:
    """The tables of iptables-save(8) that say anything: a rule, a chain of somebody's own, a policy."""
    for table in re.split(r"^(?=\*)", text, flags=re.MULTILINE):
        lines = [re.sub(r"\[\d+:\d+\]", "[]", line) for line in table.splitlines() if line and not line.startswith("#")]
        if any(line.startswith("-") or (line.startswith(":") and " ACCEPT " not in line) for line in lines):
            yield from lines


def _nft_tables(text: str) -> Iterator[str]:
    """The tables of nft(8) that say anything: more than base chains without a rule that accept."""
    for table in re.split(r"^(?=table )", text, flags=re.MULTILINE):
        bare = re.sub(
            r"^#.*$", "", re.sub(r"counter packets \d+ bytes \d+", "counter", re.sub(r" expires \S+", "", table)), flags=re.MULTILINE
        )
        rest = re.sub(r"\tchain \S+ \{\n\t\ttype [^\n]*policy accept;\n\t\}\n*", "", bare)
        if re.fullmatch(r"\s*(table [^\n]* \{\n\s*\}\s*)?", rest) is None:
            yield from (line for line in bare.splitlines() if line.strip())


def _written(upper: Path) -> Iterator[str]:
    for line, path, name in _walk(upper, ""):
        beneath = Path("/") / name
        if not _is_copy(path, beneath):
            yield line


def _is_copy(path: Path, beneath: Path) -> bool:
    """Whether the upper layer has only what the lower one has, as after a change that was taken back."""
    with suppress(OSError):
        one, two = path.lstat(), beneath.lstat()
        same = (one.st_mode, one.st_uid, one.st_gid) == (two.st_mode, two.st_uid, two.st_gid)
        return same and (stat.S_ISDIR(one.st_mode) or (one.st_size, one.st_mtime_ns) == (two.st_size, two.st_mtime_ns))
    return False


def _tree(root: Path, name: str) -> Iterator[str]:
    yield from (line for line, _path, _name in _walk(root, name))


def _walk(root: Path, name: str) -> Iterator[tuple[str, Path, str]]:
    """Everything below ``root/name``: its line, its path as we see it, its path on the machine."""
    with suppress(FileNotFoundError), os.scandir(root / name) as entries:
        for entry in entries:
            inner = f"{name}/{entry.name}".lstrip("/")
            if inner in _LOGINS or inner == _PYTHONS:
                continue
            with suppress(FileNotFoundError):
                yield _line(Path(entry.path), inner), Path(entry.path), inner
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, inner)


def _line(path: Path, name: str) -> str:
    told = path.lstat()
    text = f"/{name} {stat.filemode(told.st_mode)} {told.st_uid}:{told.st_gid}"
    if stat.S_ISLNK(told.st_mode):
        return f"{text} -> {path.readlink()}"
    if stat.S_ISREG(told.st_mode):
        content = f" {zlib.crc32(path.read_bytes()):08x}" if told.st_size <= _HASHED_BYTES else ""
        return f"{text} {told.st_size} bytes{content}"
    return f"{text} deleted" if stat.S_ISCHR(told.st_mode) and told.st_rdev == 0 else text
