"""The process that a lab lives by: ``python -m tests.sshlab.keeper FOLDER`` makes what the folder's ``blueprints.json`` says.

::

    starter -- keeper -- hub (process 1 of a PID namespace, holds the bridges) -- machine (process 1 of its own), machine, ..., bastion

It knows nothing of topologies and inventories, and imports the standard library and the system calls only. When the keeper ends, however it
ends, the hub sees it and ends, and with a process 1 the kernel kills all below it and takes links, mounts and rules back. Whichever of the
two is left removes the folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from typing import Any, NoReturn

from orchestrator.testbeds import namespaces as kernel
from tests.sshlab import machine

UP_S = 60.0
_MNT_DETACH = 2
_CLONE_NEWTIME = 0x80
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """Why the lab cannot be; a sentence."""


def main(folder: str) -> None:
    """Make the lab, say so in a line of JSON on standard output, and hold it until standard input ends, or SIGTERM, or the hub's end."""
    with open(f"{folder}/blueprints.json", encoding="utf-8") as file:
        wanted = json.load(file)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    hub, line = _fork_hub(folder, wanted)
    try:
        line.settimeout(UP_S)
        answer = _connect(line, hub, wanted)
        print(json.dumps(answer), flush=True)
        if "error" not in answer:
            _hold(hub, wanted["detached"])
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        with contextlib.suppress(ProcessLookupError):
            os.kill(hub, signal.SIGKILL)
        os.waitpid(hub, 0)
        shutil.rmtree(folder, ignore_errors=True)


def _hold(hub: int, detached: bool) -> None:  # noqa: FBT001
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    poll = select.poll()
    poll.register(os.pidfd_open(hub), select.POLLIN)
    if not detached:
        poll.register(0, select.POLLIN | select.POLLHUP)
    poll.poll()


def _connect(line: socket.socket, hub: int, wanted: dict[str, Any]) -> dict[str, Any]:
    """Give the hub its way out: the one interface of the lab that this network namespace sees. Then wait for all to be up."""
    name = f"lab-{wanted['number']}"
    try:
        _heard(line)
        _ip([f"link add {name} type veth peer name uplink netns {hub}", f"address add 198.19.{wanted['number']}.1/30 dev {name}"])
        _ip([f"link set {name} up"])
        line.sendall(b"linked\n")
        pids = json.loads(_heard(line))
        return {"keeper": os.getpid(), "hub": hub, "pids": _outer(hub, pids)}
    except (Failed, OSError) as error:
        return {"error": str(error)}


def _heard(line: socket.socket) -> str:
    """The next line; one that begins with ``!`` tells a failure."""
    said = b""
    try:
        while not said.endswith(b"\n"):
            more = line.recv(1) if len(said) < 100_000 else b""
            if not more:
                raise Failed(f"a part of the lab ended before it was up, after {said!r}")
            said += more
    except TimeoutError:
        raise Failed(f"the lab was not up within {UP_S:g} s") from None
    text = said.decode().rstrip("\n")
    if text.startswith("!"):
        raise Failed(text[1:])
    return text


def _outer(hub: int, inner: dict[str, int]) -> dict[str, int]:
    """The machines' process ids here, from those that the hub knows (proc(5), NSpid)."""
    known = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{entry}/status", encoding="utf-8", errors="replace") as file:
            fields = dict(text.split(":", 1) for text in file.read().splitlines() if ":" in text)
            if int(fields["PPid"]) == hub:
                known[int(fields["NSpid"].split()[-2])] = int(entry)
    return {name: known[pid] for name, pid in inner.items()}


def _ip(lines: list[str]) -> None:
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"ip: {done.stderr.strip().splitlines()[:3]}")


def _fork_hub(folder: str, wanted: dict[str, Any]) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    pid = _fork_first()
    if pid == 0:
        ours.close()
        _be_hub(folder, wanted, theirs)
    theirs.close()
    return pid, ours


def _fork_first() -> int:
    """Fork process 1 of a new PID namespace. Only one child can be that; ``setns`` back to the own one makes ready for the next."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    kernel.unshare(kernel.CLONE_NEWPID, "PID namespace")
    pid = os.fork()
    if pid != 0:
        kernel.setns(own, kernel.CLONE_NEWPID, "PID namespace")
    os.close(own)
    return pid


def _be_hub(folder: str, wanted: dict[str, Any], line: socket.socket) -> NoReturn:
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _make(folder, wanted, line)
        line.recv(1)  # nothing more is said: this is the keeper's end
    except Exception as error:  # noqa: BLE001  whatever it was, the starter is told
        with contextlib.suppress(OSError):
            line.sendall(b"!" + f"{type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
            line.recv(1)
    finally:
        for one in wanted["machines"]:
            _libc.umount2(f"{folder}/disks/{one['name']}".encode(), _MNT_DETACH)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def _make(folder: str, wanted: dict[str, Any], line: socket.socket) -> None:
    os.setsid()
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC, "the hub's namespaces")
    kernel.mount("none", "/", "", machine.MS_REC | machine.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", 0)
    with contextlib.suppress(OSError), open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    line.sendall(b"here\n")
    pids, lines = {}, {}
    for one in wanted["machines"]:
        pids[one["name"]], lines[one["name"]] = _fork_machine(folder, one, wanted)
    for mine in lines.values():
        _heard(mine)
    _heard(line)
    _ip(["link set lo up", f"link set uplink name ens4 netns {pids['bastion']}", *(text.format_map(pids) for text in wanted["lines"])])
    for mine in lines.values():
        mine.sendall(b"go\n")
    for mine in lines.values():
        _heard(mine)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    line.sendall(json.dumps(pids).encode() + b"\n")


def _fork_machine(folder: str, one: dict[str, Any], wanted: dict[str, Any]) -> tuple[int, socket.socket]:
    disk = f"{folder}/disks/{one['name']}"
    os.makedirs(disk)
    kernel.mount("sshlab", disk, "tmpfs", 0, f"mode=755,size={wanted['disk_mb']}m")
    if one["ahead_s"]:
        kernel.unshare(_CLONE_NEWTIME, "time namespace")
        with open("/proc/self/timens_offsets", "w", encoding="ascii") as file:
            file.write(f"monotonic {one['ahead_s']} 0\nboottime {one['ahead_s']} 0\n")
    ours, theirs = socket.socketpair()
    pid = _fork_first()
    if pid == 0:
        ours.close()
        machine.be(folder, one, wanted, theirs)
    theirs.close()
    ours.settimeout(UP_S)
    return pid, ours


if __name__ == "__main__":
    main(sys.argv[1])
