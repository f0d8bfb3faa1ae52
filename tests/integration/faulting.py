"""One fault at a random moment of a run on an SSH lab of its own -> an outcome: what was restored when, and what was told of it.

Everything is real: the program in a process of its own, sshd, sudo, the machines' kernels' rules. What befalls them stands in ``KINDS``.
The surprising fact: a fault may come too early or too late to matter, and then a run that passed is right; the record's times tell.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.connectors.ssh.launch import _TAKE
from tests.integration.program import HERE, Program
from tests.sshlab.lab import SSHLab
from tests.sshlab.machines import Machine, Process
from tests.sshlab.state import State

WITHIN_S = 30.0
ENDS_S = 75.0
"""So long after a fault the controller may take at the very most for its report."""
_MENDED_S = 5.0
_LEAVING_S = 1.5
"""So long before its end a controller may have no agents any more."""
_LAUNCHED = _TAKE.partition("{")[0]
"""What the words of agents and guardians begin with."""
_LOOK_S = 0.25
_SURVEY_S, _RUN_S = 1.0, 2.5
"""How long an undisturbed run takes, roughly, until it has a plan, and from then on: faults come at any moment of both."""
_STAGES = ("plan", "record", "evidence", "verdicts", "report")
_ERROR, _INTERRUPTED, _PASSED = 3, 130, 0


@dataclass(kw_only=True)
class Scene:
    """What a fault befalls."""

    lab: SSHLab
    chance: random.Random
    controller: subprocess.Popen[str]
    program: Program
    struck: list[str] = field(default_factory=list)
    """Machines that are not looked at: they have lost everything."""
    blind: tuple[str, ...] = ()
    """What went with them: interfaces at their other ends."""
    place: str = ""

    @property
    def hosts(self) -> list[Machine]:
        """The machines that are hosts."""
        return [machine for name, machine in self.lab.machines.items() if name != "bastion"]

    def one_with(self, find: Callable[[Machine], list[Process]]) -> list[Process]:
        """What is found on one of the hosts, waiting for it as long as the controller lives; nothing if it does not come."""
        hosts, began = self.chance.sample(self.hosts, len(self.hosts)), time.monotonic()
        while self.controller.poll() is None:
            for machine in hosts:
                if found := find(machine):
                    self.place = machine.name
                    return found
            time.sleep(0.002)
        assert time.monotonic() - began < _LEAVING_S, "nobody to strike was found in the midst of a run"
        return []

    def any_host(self) -> Machine:
        """One of them."""
        machine = self.chance.choice(self.hosts)
        self.place = machine.name
        return machine


def pairs(machine: Machine) -> list[tuple[Process, Process]]:
    """Each guardian on a machine with its agent."""
    found = machine.processes(_LAUNCHED)
    ours = {one.outer: one for one in found if one.argv[0].endswith("python3") and one.state != "Z"}
    return [(ours[one.parent], one) for one in ours.values() if one.parent in ours]


def agents(machine: Machine) -> list[Process]:
    """The agents there."""
    return [agent for _guardian, agent in pairs(machine)]


def guardians(machine: Machine) -> list[Process]:
    """The guardians there."""
    return [guardian for guardian, _agent in pairs(machine)]


def both(machine: Machine) -> list[Process]:
    """The agents and the guardians there."""
    return [one for pair in pairs(machine) for one in pair]


def of_session(machine: Machine) -> list[Process]:
    """All that runs in the user's sessions there, sshd's own part too: what systemd-logind(8) ends with KillUserProcesses."""
    everybody = machine.processes()
    kin = {one.outer for one in everybody if one.argv[0].startswith("sshd: ") and "listener" not in " ".join(one.argv)}
    while more := {one.outer for one in everybody if one.parent in kin} - kin:
        kin |= more
    return [one for one in everybody if one.outer in kin] if both(machine) else []


def _send(processes: list[Process], number: signal.Signals) -> bool:
    for one in processes:
        with suppress(ProcessLookupError):
            os.kill(one.outer, number)
    return bool(processes)


# -- what befalls them; each gives whether it befell anybody


def controller_killed(scene: Scene) -> bool:
    scene.controller.send_signal(signal.SIGKILL)
    return True


def controller_interrupted(scene: Scene) -> bool:
    scene.controller.send_signal(signal.SIGINT)
    return True


def agent_killed(scene: Scene) -> bool:
    return _send(scene.one_with(agents), signal.SIGKILL)


def agent_frozen(scene: Scene) -> bool:
    return _send(scene.one_with(agents), signal.SIGSTOP)


def guardian_killed(scene: Scene) -> bool:
    return _send(scene.one_with(guardians), signal.SIGKILL)


def both_killed(scene: Scene) -> bool:
    return _send(scene.one_with(both), signal.SIGKILL)


def all_killed(scene: Scene) -> bool:
    """The agent, its guardian and the controller: a person has to clean."""
    struck = scene.one_with(both)
    scene.controller.send_signal(signal.SIGKILL)
    return _send(struck, signal.SIGKILL)


def both_frozen(scene: Scene) -> bool:
    return _send(scene.one_with(both), signal.SIGSTOP)


def cut(scene: Scene) -> bool:
    """What sshd had begun before an agent ran in it nobody but sshd can end; the agent's own connection is let go by its guardian."""
    scene.blind = (r"^\d+ sshd:.*\[(priv|net|accepted)\]", r"^1000 sshd: ubuntu$")
    scene.lab.cut(scene.any_host().name)
    return True


def bastion_killed(scene: Scene) -> bool:
    scene.lab.kill_bastion()
    return True


def sshd_killed(scene: Scene) -> bool:
    scene.blind = ("sshd",)
    return _send(scene.any_host().processes("sshd"), signal.SIGKILL)


def logged_out(scene: Scene) -> bool:
    return _send(scene.one_with(of_session), signal.SIGTERM)


def power_lost(scene: Scene) -> bool:
    machine = scene.any_host()
    scene.struck.append(machine.name)
    gone = {nic.network for nic in machine.plan.nics}
    scene.blind = tuple(rf"\b{nic.name}\b" for one in scene.hosts for nic in one.plan.nics if nic.network in gone)
    os.kill(machine.pid, signal.SIGKILL)
    return True


def disk_full(scene: Scene) -> bool:
    machine = scene.any_host()
    path = scene.chance.choice(("/run", "/run", "/run", "/tmp", "/", "all"))
    scene.place = f"{machine.name} {path}"
    for one in ("/run", "/tmp", "/", "/var/tmp", "/dev/shm") if path == "all" else (path,):
        machine.fill_disk(one)
    return True


# -- how it is mended, after everything was looked at


def _restart_bastion(scene: Scene) -> None:
    scene.lab.restart_bastion()


def _mend_cut(scene: Scene) -> None:
    scene.lab.mend(scene.place)


def _free_disk(scene: Scene) -> None:
    for path in ("/run", "/tmp", "/", "/var/tmp", "/dev/shm"):
        scene.lab.machines[scene.place.split()[0]].free_disk(path)


def _restart_sshd(scene: Scene) -> None:
    os.kill(scene.lab.machines[scene.place].pid, signal.SIGHUP)


def _clean(scene: Scene) -> None:
    done = scene.program.run("clean", "--inventory", scene.lab.inventory, "--all", timeout=100)
    assert done.code == 0, done


def _clean_and_go_on(scene: Scene) -> None:
    """Whoever was stopped before it had the machine holds nothing, and nobody knows of it: it leaves when it can go on."""
    _clean(scene)
    for machine in scene.hosts:
        _send([one for one in both(machine) if one.state == "T"], signal.SIGCONT)


def _nothing(_scene: Scene) -> None:
    """It needs nothing."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of fault. ``says``: what the verdict's reason must tell. ``helped``: only ``mend`` restores, so it comes first."""

    strike: Callable[[Scene], bool]
    says: str = ""
    mend: Callable[[Scene], None] = _nothing
    mended_after_s: float | None = None
    code: int = _ERROR
    may_pass: bool = False
    hurry: float = 1.0
    """By how much the moments are earlier: a disk that is full matters only to what still needs it."""
    helped: bool = False


KINDS = {
    "controller killed": Kind(strike=controller_killed, code=-signal.SIGKILL),
    "agent killed": Kind(strike=agent_killed, says="agent (died|was killed|vanished)|killed"),
    "cut": Kind(strike=cut, says="lost|answer|silent|report|within 10 s", mend=_mend_cut),
    "bastion killed": Kind(strike=bastion_killed, says="bastion", mend=_restart_bastion),
    "disk full": Kind(strike=disk_full, says="[Nn]o space|full", mend=_free_disk, may_pass=True, hurry=0.3),
    "agent frozen": Kind(strike=agent_frozen, says="stopped|silent|report|greet"),
    "cut for 5 s": Kind(strike=cut, says=".", mend=_mend_cut, mended_after_s=_MENDED_S, may_pass=True),
    "guardian killed": Kind(strike=guardian_killed, says="guardian|killed"),
    "both killed": Kind(strike=both_killed, says="killed|vanished|gone"),
    "all killed": Kind(strike=all_killed, code=-signal.SIGKILL, mend=_clean, helped=True),
    "both frozen": Kind(strike=both_frozen, says="report|silent|stopped|greet", mend=_clean_and_go_on, helped=True),
    "sshd killed": Kind(strike=sshd_killed, says="lost|connect", mend=_restart_sshd),
    "logged out": Kind(strike=logged_out, says="signal|lost"),
    "power lost": Kind(strike=power_lost, says="lost|no answer|report|silent"),
    "controller interrupted": Kind(strike=controller_interrupted, code=_INTERRUPTED),
}
SIX = ("controller killed", "agent killed", "cut", "bastion killed", "disk full", "agent frozen")


@dataclass(kw_only=True)
class Outcome:
    """What became of one trial. ``troubles`` are what must not be; seconds count from the fault."""

    kind: str
    seed: int
    planned: bool
    """Whether the moment counts from when the run had its plan, else from its begin."""
    moment_s: float
    place: str = ""
    befell: bool = True
    phase: str = ""
    restored_s: float = -1.0
    ended_s: float = -1.0
    code: int = 0
    value: str = ""
    reason: str = ""
    troubles: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        moment = f"{'plan + ' * self.planned}{self.moment_s:.2f} s ({self.phase})"
        head = f"{self.kind} #{self.seed} at {moment} on {self.place or '-'}: restored {self.restored_s:.1f} s"
        tail = "".join(f"\n    TROUBLE {text}" for text in self.troubles)
        return f"{head}, ended {self.ended_s:.1f} s, code {self.code}, {self.value or '-'}: {self.reason[:600]}{tail}"


def trial(name: str, seed: int, folder: Path) -> Outcome:
    """Run, strike at the moment that ``seed`` says, and look at everything; ``folder`` is made, and kept if there was trouble."""
    chance = random.Random(f"{name} {seed}")
    planned = chance.random() < 0.75  # so that a slow machine does not make all of them early
    outcome = Outcome(
        kind=name, seed=seed, planned=planned, moment_s=KINDS[name].hurry * chance.uniform(0.0, _RUN_S if planned else _SURVEY_S)
    )
    folder.mkdir(parents=True)
    program = Program(folder, HOME=str(folder))
    try:
        with SSHLab("line", at=folder / "lab", bare=True, admin_rules=True, clocks=True) as lab:
            _try(lab, program, chance, outcome)
    except AssertionError as error:
        outcome.troubles.append(str(error))
    except subprocess.TimeoutExpired as error:
        outcome.troubles.append(f"{' '.join(map(str, error.cmd))[:200]} did not end")
    finally:
        program.close()
    if not outcome.troubles:
        shutil.rmtree(folder)
    return outcome


def _try(lab: SSHLab, program: Program, chance: random.Random, outcome: Outcome) -> None:
    kind = KINDS[outcome.kind]
    family = chance.choice(("ipv4", "ipv6"))
    text = (HERE / "everything-altered.yaml").read_text().replace("family: [ipv4]", f"family: [{family}]")
    path = program.folder / "everything-altered.yaml"
    path.write_text(text)
    before = {name: machine.state() for name, machine in lab.machines.items() if name != "bastion"}
    with (program.folder / "out").open("w") as out, (program.folder / "err").open("w") as err:
        controller = program.start("run", path, "--inventory", lab.inventory, "--json", stdout=out, stderr=err)
    scene = Scene(lab=lab, chance=chance, controller=controller, program=program)
    while outcome.planned and controller.poll() is None and not program.has("plan.json"):
        time.sleep(0.005)
    with suppress(subprocess.TimeoutExpired):
        controller.wait(outcome.moment_s)
    outcome.befell = controller.poll() is None and kind.strike(scene)
    struck, struck_unix_ns = time.monotonic(), time.time_ns()
    outcome.place = scene.place
    left = {name: state for name, state in before.items() if name not in scene.struck}
    _wait(kind, scene, left, outcome, struck)
    kind.mend(scene)
    if kind.helped:
        _all_restored(scene, left, outcome, WITHIN_S)
    _look_at_run(kind, scene, outcome, struck_unix_ns)
    if not scene.struck:
        _look_at_next(scene, before, outcome)


def _wait(kind: Kind, scene: Scene, left: dict[str, State], outcome: Outcome, struck: float) -> None:
    """Until all is restored and the controller has ended."""
    waiting, mended, told = dict(left), kind.mended_after_s is None, ""
    while waiting or scene.controller.poll() is None:
        now_s = time.monotonic() - struck
        if not mended and now_s > (kind.mended_after_s or 0):
            mended = True
            kind.mend(scene)
        if outcome.ended_s < 0 and scene.controller.poll() is not None:
            outcome.ended_s = now_s
        for name in list(waiting):
            if not (told := _difference(scene, name, waiting[name])):
                outcome.restored_s = time.monotonic() - struck
                del waiting[name]
        if kind.helped and scene.controller.poll() is not None:
            return
        if now_s > WITHIN_S and waiting and not kind.helped:
            outcome.troubles.append(f"not restored within {WITHIN_S:g} s:\n{told}")
            waiting.clear()
        assert now_s < ENDS_S, f"the controller has not ended {ENDS_S:g} s after the fault; {told}"
        time.sleep(_LOOK_S)
    if outcome.ended_s < 0:
        outcome.ended_s = time.monotonic() - struck
    _all_restored(scene, left, outcome, 10)


def _all_restored(scene: Scene, left: dict[str, State], outcome: Outcome, within_s: float) -> None:
    end = time.monotonic() + within_s
    for name, state in left.items():
        while told := _difference(scene, name, state):
            if time.monotonic() > end:
                outcome.troubles.append(f"not restored at the end:\n{told}")
                break
            time.sleep(_LOOK_S)


def _difference(scene: Scene, name: str, before: State) -> str:
    machine = scene.lab.machines[name]
    if ours := both(machine):
        return f"{name}: agents {[one.pid for one in ours]}"
    gone = re.compile("|".join((*scene.blind, "ballast")))
    states = [
        State(name, {part: tuple(line for line in lines if not gone.search(line)) for part, lines in state.parts.items()})
        for state in (before, machine.state(patience_s=0.1))
    ]
    told = states[0].difference(states[1])
    journals = [path.read_text() for path in machine.files.glob("run/orchestrate/*.journal")] if told else []
    return "\n".join([told, *journals]) if told else ""


# -- what was told


def _look_at_run(kind: Kind, scene: Scene, outcome: Outcome, struck_unix_ns: int) -> None:
    program, out = scene.program, (scene.program.folder / "out").read_text()
    err = (program.folder / "err").read_text()
    outcome.code = scene.controller.returncode
    check = _Checks(outcome)
    check.that("Traceback" not in err + out, f"a traceback: {err[-1500:]}")
    kept = program.directories()
    told = json.loads(out)["runs"] if out.strip() else []
    outcome.value, outcome.reason = (told[0]["value"], told[0]["reason"]) if told else ("", err.strip())
    outcome.phase = _phase(program, struck_unix_ns)
    if outcome.code == _PASSED:
        late = not outcome.befell or kind.may_pass or outcome.phase == "finishing"
        check.that(late, "it passed in spite of the fault")
    elif kind.code != -signal.SIGKILL:
        check.that(outcome.code == kind.code, f"the status is {outcome.code}")
        check.that(re.search(kind.says, outcome.reason) is not None, f"the reason does not tell {kind.says!r}")
        wanted = "error" if kind.code == _ERROR else ("inconclusive", "error", "")
        check.that(outcome.value in (wanted if isinstance(wanted, tuple) else (wanted, "")), f"the verdict is {outcome.value}")
    if kept and kind.code != -signal.SIGKILL:
        check.that(all(program.has(f"{stage}.json") for stage in _STAGES), f"not all stages were kept: {sorted(os.listdir(kept[-1]))}")
    if kept:
        _look_at_kept(program, kept[-1], check, whole=program.has("report.json"))


def _phase(program: Program, struck_unix_ns: int) -> str:
    if not program.directories():
        return "surveying"
    if not program.has("record.json"):
        return "under way"
    steps = [step for step in program.stage("record").get("steps", ()) if step.get("start_ns")]
    begun = [step for step in steps if step["start_ns"] <= struck_unix_ns]
    if not begun:
        return "preparing"
    finished = len(steps) == len(program.stage("plan")["steps"]) and steps[-1]["status"] == "done"
    return "finishing" if finished and struck_unix_ns > steps[-1]["end_ns"] else f"step {begun[-1]['number']}"


class _Checks:
    """Collects what must not be."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def that(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001
        if not holds:
            self.outcome.troubles.append(otherwise)


def _look_at_kept(program: Program, directory: Path, check: _Checks, *, whole: bool) -> None:
    for pcap in directory.glob("*.pcap"):
        if pcap.stat().st_size:
            read = subprocess.run(
                ["tshark", "-r", str(pcap), "-T", "fields", "-e", "frame.number"], capture_output=True, text=True, check=False
            )
            check.that(read.returncode == 0, f"{pcap.name} cannot be read: {read.stderr[-300:]}")
    listed = program.run("ls")
    check.that(listed.code == 0 and directory.name.rpartition("-")[2] in listed.out, f"ls: {listed}")
    shown = program.run("show", directory)
    if whole:
        again = program.run("recheck", directory)
        code = {"passed": 0, "failed": 1, "error": 3}.get(program.stage("report")["value"], 2)
        check.that((shown.code, again.code) == (0, code), f"show and recheck: {shown.code}, {again.code}, not {code}: {again.err}")
    else:
        check.that(bool(shown.err + shown.out), "show says nothing")


def _look_at_next(scene: Scene, before: dict[str, State], outcome: Outcome) -> None:
    """The machines are free, and a run on them passes at once."""
    done = scene.program.run("run", HERE / "after-a-fault.yaml", "--inventory", scene.lab.inventory, "--json")
    if done.code != _PASSED:
        outcome.troubles.append(f"the next run: {done.code}, {done.err.strip() or [run['reason'] for run in json.loads(done.out)['runs']]}")
    _all_restored(scene, before, outcome, 10)


# -- many of them


def trials(wanted: Sequence[tuple[str, int]], folder: Path, at_once: int) -> list[Outcome]:
    """The outcomes of these kinds and seeds, so many at a time on labs of their own: most of a trial is waiting."""

    def one(asked: tuple[str, int]) -> Outcome:
        name, seed = asked
        outcome = trial(name, seed, folder / f"{name.replace(' ', '-')}-{seed}")
        print(outcome, flush=True)
        return outcome

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, wanted))


def table(outcomes: Sequence[Outcome]) -> str:
    """Figures for each kind, in Markdown."""
    lines = [
        "| fault | trials | too early or late | restored | median, slowest | report after | verdicts |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(outcome.kind for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.kind == name]
        well = [outcome for outcome in mine if not outcome.troubles]
        apart = sum(not outcome.befell or outcome.phase in ("surveying", "finishing") for outcome in mine)
        took = sorted(outcome.restored_s for outcome in mine)
        ended = max(outcome.ended_s for outcome in mine)
        values = Counter(outcome.value or ("none" if outcome.code == -signal.SIGKILL else "refused") for outcome in mine)
        told = ", ".join(f"{count} {value}" for value, count in sorted(values.items()))
        times = f"{took[len(took) // 2]:.1f} s, {took[-1]:.1f} s"
        lines.append(f"| {name} | {len(mine)} | {apart} | {len(well)} | {times} | {ended:.0f} s | {told} |")
    return "\n".join(lines)
