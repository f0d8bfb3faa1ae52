"""The agent's source as it travels, and the few lines that receive it."""

import ast
import hashlib
import json
from pathlib import Path

from orchestrator.connectors.bundle import bootstrap, bundle

AGENT = Path(__file__).resolve().parents[3] / "orchestrator" / "agent"


def test_every_module_of_the_agent_and_nothing_else():
    sources = json.loads(bundle())
    modules = {f"orchestrator.agent.{path.stem}": path.read_text() for path in AGENT.glob("*.py") if path.stem != "__init__"}
    assert sources == {"orchestrator": "", "orchestrator.agent": (AGENT / "__init__.py").read_text(), **modules}


def test_its_bytes_are_in_the_order_of_the_names():
    names = list(json.loads(bundle()))
    assert names == sorted(names)
    assert bundle() is bundle()
    assert bundle().isascii()


def test_the_receiver_knows_length_and_hash():
    text = bootstrap(b"1234567")
    assert "d=take(7)\n" in text
    assert hashlib.sha256(b"1234567").hexdigest() in text
    assert "is_package=name in ['orchestrator', 'orchestrator.agent']" in text
    assert "%" not in text


def test_the_receiver_imports_the_standard_library_only():
    tree = ast.parse(bootstrap(b""))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    given = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert (named, given) == ({"os", "sys", "hashlib", "json"}, {"importlib.machinery", "orchestrator.agent.service"})
