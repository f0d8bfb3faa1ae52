"""What this project costs, measured beside what its users would otherwise write. ``python -m benchmarks.run lab`` and so on; needs root.

Prints Markdown; ``docs/benchmarks.md`` is made from it. Judges nothing and asserts nothing: machines differ, ratios are the point.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import processes, steps
from benchmarks.timing import SYSTEM_PYTHON, Way, environment, interleaved, machine, seconds_of, table

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
ORCHESTRATE = str(Path(sys.executable).parent / "orchestrate")
STEPS = str(HERE / "scenarios" / "steps.yaml")
LAB = "connection-refused.yaml"


def ours(runs: str, *more: str) -> Way:
    """The product, writing its run directories to ``runs``."""
    return Way("orchestrate", (ORCHESTRATE, "run", LAB, "--runs", runs, *more))


def mininet_is_there() -> bool:
    """Whether the system's Python finds Mininet; says what to install where not."""
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import mininet.net"], capture_output=True, check=False).returncode == 0
    if not found or not shutil.which("brctl"):
        print("without Mininet: to have it measured too, `apt-get install mininet bridge-utils`", file=sys.stderr)
        return False
    return True


def peers() -> list[Way]:
    """The other ways to run the lab."""
    ways = [Way("bash, ip netns, tcpdump", (str(PEERS / "connection_refused.sh"),))]
    if mininet_is_there():
        ways.append(Way("Mininet script", (SYSTEM_PYTHON, str(PEERS / "connection_refused_mininet.py"))))
    ways.append(Way("floor: forked agents, raw netlink", (SYSTEM_PYTHON, "-I", "-S", str(PEERS / "floor.py"))))
    return ways


def lab(rounds: int, runs: str, *, only_peers: bool) -> None:
    """The connection-refused lab, whole process."""
    ways = peers() if only_peers else [ours(runs), *peers()]
    print(table("connection-refused, whole process, ms", interleaved(ways, rounds, seconds_of)))


def series(rounds: int, runs: str, times: int = 50) -> None:
    """``times`` labs in one process of ours, against as many of the bash script; per lab."""
    bash = Way("bash, ip netns, tcpdump", (str(PEERS / "connection_refused.sh"),))

    def per_lab(way: Way) -> float:
        if way is bash:
            return sum(seconds_of(way) for _ in range(times)) / times
        return seconds_of(way) / times

    print(table(f"{times} labs in a row, per lab, ms", interleaved([ours(runs, "--times", str(times)), bash], rounds, per_lab)))


def step(rounds: int, runs: str) -> None:
    """What one step costs: a thousand of one call on one host, by the times in the run's own record."""
    way = Way("steps", (ORCHESTRATE, "run", STEPS, "--runs", runs))
    figures: dict[str, list[float]] = {"median step": [], "99th percentile": [], "slowest": []}
    for _ in range(rounds):
        seconds_of(way)
        costs = steps.costs_s(Path(runs))
        for name, value in zip(figures, (costs[len(costs) // 2], costs[len(costs) * 99 // 100], costs[-1]), strict=True):
            figures[name].append(value)
    print(table("one step of one call, ms", figures, digits=3))


def up_and_down(way: Way) -> tuple[float, float]:
    """Run a topology script once; its own seconds up and down."""
    done = subprocess.run(way.words, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{way.name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return found["up_s"], found["down_s"]


def topology(rounds: int, _runs: str, sizes: Sequence[int] = (100, 500)) -> None:
    """Many hosts on one network, up and down."""
    for size in sizes:
        ways = [Way("orchestrate", (sys.executable, "-m", "benchmarks.topology_ours", str(size)))]
        if mininet_is_there():
            ways.append(Way("Mininet, Linux bridge", (SYSTEM_PYTHON, str(PEERS / "topology_mininet.py"), str(size))))
        both = interleaved(ways, rounds, up_and_down)
        for index, title in enumerate(("up", "down")):
            print(table(f"{size} hosts {title}, ms", {name: [pair[index] for pair in pairs] for name, pairs in both.items()}) + "\n")


def memory(rounds: int, runs: str) -> None:
    """What controller and agents hold at most, MB."""
    held: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, megabytes in processes.peaks_mb((ORCHESTRATE, "run", STEPS, "--runs", runs)).items():
            held.setdefault(name, []).append(megabytes)
    print(table("memory, MB", held, unit=1))


COMMANDS: dict[str, Callable[[int, str], None]] = {"series": series, "step": step, "topology": topology, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["lab", *COMMANDS, "all"])
    parser.add_argument("--rounds", type=int, default=10, help="figures of each way (default: 10)")
    parser.add_argument("--only-peers", action="store_true", help="lab: leave our own out")
    chosen = parser.parse_args()
    if os.geteuid() != 0 or importlib.util.find_spec("benchmarks") is None:
        sys.exit("the peers make network namespaces: run this as root, from the top of the checkout")
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as runs:
        if chosen.what in {"lab", "all"}:
            lab(chosen.rounds, runs, only_peers=chosen.only_peers)
        for name, command in COMMANDS.items():
            if chosen.what in {name, "all"}:
                print()
                command(chosen.rounds, runs)


if __name__ == "__main__":
    main()
