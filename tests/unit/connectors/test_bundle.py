"""The agent's source as it travels, and the few lines that receive it."""

import ast
import hashlib
import marshal
import sys
import types
import zlib
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from orchestrator.connectors.bundle import GUARDIAN, bootstrap, bundle

AGENT = Path(__file__).resolve().parents[3] / "orchestrator" / "agent"


def tables():
    data = bundle()
    return [marshal.loads(zlib.decompress(part)) for part in (data[: data.text_bytes], data[data.text_bytes :])]


def test_every_module_of_the_agent_and_nothing_else():
    expected = {"orchestrator": b"", "orchestrator.__init__": b""}
    for path in AGENT.rglob("*.py"):
        name = ".".join(("orchestrator", *path.relative_to(AGENT.parent).with_suffix("").parts))
        expected[name.removesuffix(".__init__")] = path.read_bytes()
        if path.stem == "__init__":
            expected[name] = b""
    assert tables()[0] == expected


def test_its_bytes_are_in_the_order_of_the_names():
    assert [list(table) for table in tables()] == [sorted(tables()[0])] * 2
    assert bundle() is bundle()


def test_the_code_is_that_of_the_source_without_its_docstrings():
    sources, code = tables()
    assert sources.keys() == code.keys()
    compiled = code["orchestrator.agent.protocol"]
    assert isinstance(compiled, types.CodeType)
    names: dict[str, object] = {"__name__": "protocol"}
    exec(compiled, names)
    assert names["VERSION"] == 1
    assert names.get("__doc__") is None
    assert not any("__future__" in one.co_names for one in code.values())


def test_the_receiver_knows_length_hash_and_whose_code_it_is():
    text = bootstrap(bundle())
    assert f"d=take({len(bundle())})\n" in text
    assert hashlib.sha256(bundle()).hexdigest() in text
    assert f'("{MAGIC_NUMBER.hex()}","{sys.implementation.cache_tag}")' in text
    assert f"d[{bundle().text_bytes}:]" in text
    assert "{" not in text


def test_the_receiver_begins_where_it_is_told():
    assert bootstrap(bundle()).endswith("from orchestrator.agent.service import main\ngc.enable()\nmain()\n")
    assert bootstrap(bundle(), GUARDIAN).endswith("from orchestrator.agent.guardian import main\ngc.enable()\nmain()\n")


def test_the_receiver_imports_the_standard_library_only():
    tree = ast.parse(bootstrap(bundle()))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    given = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named == {"gc", "os", "sys", "marshal", "zlib"}
    machinery = {"_frozen_importlib", "_frozen_importlib_external", "_sha2", "_sha256", "hashlib"}
    assert given == {*machinery, "orchestrator.agent.service"}
