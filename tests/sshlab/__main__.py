"""``python -m tests.sshlab up | down | run HOST -- COMMAND | list``: an SSH lab for a person."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.sshlab import lab
from tests.sshlab.machine import PATH


def main() -> int:
    """The status is that of the command that was run; 1: it could not be done."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sshlab", description="Real sshd on machines that are namespaces, behind a bastion."
    )
    words = parser.add_subparsers(dest="word", required=True)
    up = words.add_parser("up", help="bring a lab up, and say where its inventory is")
    up.add_argument("--topology", default="line", help="a name of topologies/, or a file (default: line)")
    up.add_argument("--hosts", type=int, default=0, metavar="N", help="a segment of h1 to hN instead")
    up.add_argument("--at", metavar="DIR", help="the lab's folder; it goes with the lab (default: a new one in the temporary folder)")
    up.add_argument("--bare", action="store_true", help="no addresses, routes or forwarding on the experiment networks")
    up.add_argument("--admin-rules", action="store_true", help="each machine has iptables rules of its administrator")
    up.add_argument("--gateway", action="store_true", help="each machine's default route is by the management network")
    up.add_argument("--clocks", action="store_true", help="each machine has a monotonic clock of its own")
    up.add_argument("--disk-mb", type=int, default=64, help="size of each of a machine's file systems (default: 64)")
    down = words.add_parser("down", help="end labs, and leave nothing of them")
    down.add_argument("--at", metavar="DIR", help="which lab (default: the only one)")
    down.add_argument("--all", action="store_true", help="every lab of this machine, whoever began it")
    run = words.add_parser("run", help="run a command on a machine, as root, without SSH")
    run.add_argument("--at", metavar="DIR", help="which lab (default: the only one)")
    run.add_argument("host")
    run.add_argument("command", nargs=argparse.REMAINDER)
    words.add_parser("list", help="the labs of this machine")
    asked = parser.parse_args()
    try:
        return {"up": _up, "down": _down, "run": _run, "list": _list}[asked.word](asked)
    except lab.LabError as error:
        print(error, file=sys.stderr)
        return 1


def _up(asked: argparse.Namespace) -> int:
    began = time.monotonic()
    made = lab.SSHLab(
        asked.topology,
        at=asked.at,
        hosts=asked.hosts,
        bare=asked.bare,
        admin_rules=asked.admin_rules,
        gateway=asked.gateway,
        clocks=asked.clocks,
        disk_mb=asked.disk_mb,
        detached=True,
    )
    made.up()
    inventory = made.inventory.read_text()
    made.inventory.write_text(inventory.replace("    ansible_python_interpreter", "    configure: true\n    ansible_python_interpreter", 1))
    first = made.blueprints.machines[0].name
    said = [
        f"{len(made.blueprints.machines)} machines and their bastion are up after {time.monotonic() - began:.2f} s.",
        f"  ssh -F {made.ssh_config} {first}",
        f"  orchestrate run connection-refused.yaml --inventory {made.inventory}",
        f"  python -m tests.sshlab down --at {made.folder}",
    ]
    print("\n".join(said))
    return 0


def _down(asked: argparse.Namespace) -> int:
    everyone = [folder for _pid, folder in lab.found()]
    for folder in everyone if asked.all or not everyone else [_meant(asked)]:
        lab.take_down(folder)
    return 0


def _meant(asked: argparse.Namespace) -> Path:
    folders = [Path(asked.at)] if asked.at else [folder for _pid, folder in lab.found()]
    if len(folders) != 1:
        raise lab.LabError(
            f"{len(folders)} SSH labs are up: say which one with --at" if folders else "no SSH lab is up: python -m tests.sshlab up"
        )
    return folders[0]


def _run(asked: argparse.Namespace) -> int:
    folder = _meant(asked)
    if not (folder / "lab.json").exists():
        raise lab.LabError(f"{folder} is not the folder of an SSH lab: python -m tests.sshlab list")
    pids = json.loads((folder / "lab.json").read_text())["pids"]
    if asked.host not in pids:
        raise lab.LabError(f"the lab has no machine {asked.host}, only {', '.join(pids)}")
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    spaces = ["--mount", "--net", "--uts", "--ipc", "--pid", "--wdns=/root"]
    argv = ["nsenter", "--target", str(pids[asked.host]), *spaces, "--", *(command or ["bash"])]
    return subprocess.run(argv, env={"PATH": PATH, "HOME": "/root", "TERM": "xterm", "LANG": "C.UTF-8"}, check=False).returncode


def _list(_asked: argparse.Namespace) -> int:
    for pid, folder in lab.found():
        known = json.loads((folder / "lab.json").read_text()) if (folder / "lab.json").exists() else {}
        print(f"{folder}  {known.get('topology', 'coming up')}  keeper {pid}  machines {' '.join(known.get('pids', {}))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
