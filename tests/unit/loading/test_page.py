"""The users' page tells the truth: its examples load, its tables name every key."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator.agent.protocol import CALLS
from orchestrator.loading import load_topology, read_scenario, schema, topology_schema
from orchestrator.loading.keys.expectations import DEFERRED, LIVE
from orchestrator.loading.keys.scenario import SCENARIO
from orchestrator.loading.keys.steps import REPEAT, STEP
from orchestrator.loading.keys.topology import TOPOLOGY
from orchestrator.loading.keys.words import TIMER
from orchestrator.loading.kinds.scalars import Pen
from orchestrator.loading.notation.segments import parse_segment
from orchestrator.loading.script.expectations import PATIENCE_NS
from orchestrator.model.scenario import Timing
from orchestrator.model.words import actions as act
from orchestrator.planning import ACTION_TIMEOUT_NS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "scenario-language.md").read_text()
BLOCKS = {re.match(r"\w+: (\S+)", text)[1]: text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)}
SCENARIOS = {name: text for name, text in BLOCKS.items() if text.startswith("scenario:")}


@pytest.mark.parametrize("name", SCENARIOS)
def test_examples_load(name, two_hosts):
    assert read_scenario(SCENARIOS[name], f"{name}.yaml", two_hosts)
    jsonschema.validate(yaml.safe_load(SCENARIOS[name]), schema(), jsonschema.Draft202012Validator)


def test_the_topology_loads(tmp_path):
    path = tmp_path / "slow-line.yaml"
    path.write_text(BLOCKS["slow-line"])
    assert load_topology(path).hosts
    jsonschema.validate(yaml.safe_load(BLOCKS["slow-line"]), topology_schema(), jsonschema.Draft202012Validator)


def test_there_are_examples():
    assert {"connection-refused", "syn-ack-lost"} < set(SCENARIOS)


def test_the_segments_are_segments():
    lines = re.search(r"```\n(romeo.*?)```", PAGE, re.DOTALL)[1].splitlines()
    assert [parse_segment(line).protocol for line in lines] == ["tcp", "udp", "icmp"]


def test_every_key_is_told():
    tables = (SCENARIO, STEP, REPEAT, TOPOLOGY, *LIVE.values(), *DEFERRED.values())
    words = set(re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))))
    assert not {key for table in tables for key in table.table} - words


def test_every_call_is_told():
    assert not {name for name in CALLS if f"`{name}`" not in PAGE and f"`{name}(" not in PAGE}


def test_the_longer_one_becomes_what_it_says(two_hosts):
    scenario = read_scenario(SCENARIOS["syn-ack-lost"], "syn-ack-lost.yaml", two_hosts)[0]
    assert [type(step.actions[0].action) for step in scenario.steps[:3]] == [act.Iptables, act.Start, act.Calls]
    assert {(wish.host, wish.value, wish.if_present) for wish in scenario.sysctl} == {("romeo", "0", True), ("juliet", "0", True)}
    assert scenario.steps[2].actions[0].background
    assert scenario.steps[3].timing == Timing(since="connecting", delay_ns=1_500_000_000)
    assert [part.host for part in scenario.steps[3].actions] == ["romeo", "juliet"]
    assert scenario.steps[5].actions[0].host == "romeo"
    assert scenario.steps[7].actions[0].outcome.returns == {"bytes": "YnllCg=="}
    assert scenario.steps[8].together


def test_the_first_one_becomes_what_it_says(two_hosts):
    scenario = read_scenario(SCENARIOS["connection-refused"], "connection-refused.yaml", two_hosts)[0]
    connect = scenario.steps[1]
    assert connect.actions[0].action.calls[0].arguments == ({"tuple": ["juliet", 4000]},)
    assert connect.actions[0].outcome.raises == "ConnectionRefusedError"
    assert connect.expect[0].expectation.absent
    packets, path = (guarded.expectation for guarded in scenario.expect)
    assert (packets.capture, [line.flags for line in packets.lines]) == ("romeo", ["S", "R."])
    assert (packets.text, path.text) == ("packets in romeo's capture: 2 lines", "romeo: path of sock is CLOSED, SYN_SENT, CLOSED")


@pytest.mark.parametrize(("key", "default_ns"), [("timeout", ACTION_TIMEOUT_NS), ("within", PATIENCE_NS)])
def test_the_page_names_the_defaults(key, default_ns):
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{key}` |")]
    assert f"{default_ns // 1_000_000_000}s if left out" in rows[-1]


def test_the_page_names_every_timer():
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| `socket` |"))
    timers = [word for word in TIMER.shape(Pen(substitutes=False, definitions={}))["enum"] if isinstance(word, str)]
    assert "off" in timers
    assert all(f"`{timer}`" in row for timer in timers)
