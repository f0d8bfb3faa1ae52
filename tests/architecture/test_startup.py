"""A plain run on namespaces imports what it needs and no more: each module here is a fraction of the milliseconds that a run may take.

The interpreter itself tells, on standard error (``-X importtime``), so nothing has to be patched into the product, and every process of
the run that is an interpreter of ours is seen. Its figures are not looked at: no time is ever asserted.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = "connection-refused.yaml"

# What a run may import of the libraries that are installed beside it. `rich` is for terminals, and this is none.
LIBRARIES = {"click", "msgspec", "yaml"}
# Heavy, or belonging to another way of running. `ssl` is not here: asyncio imports it by itself.
UNWANTED = {
    "asyncssh",
    "concurrent.futures.process",
    "cryptography",
    "distutils",
    "email",
    "fabric",
    "http",
    "importlib.metadata",
    "invoke",
    "jinja2",
    "jsonschema",
    "multiprocessing",
    "numpy",
    "orchestrator.connectors.ssh",
    "orchestrator.testbeds.static",
    "paramiko",
    "pkg_resources",
    "pydoc",
    "rich",
    "scapy",
    "setuptools",
    "sqlite3",
    "unittest",
    "urllib.request",
    "xml",
    "xmlrpc",
}


def modules_of(text):
    """The names in the last column of ``import time: self [us] | cumulative | imported package``."""
    lines = (line for line in text.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines} - {"imported package"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "-X", "importtime", "-m", "orchestrator", "run", SCENARIO, "--runs", str(runs)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + "\n".join(line for line in run.stderr.splitlines() if not line.startswith("import time:"))
    # What a system adds to every Python (Ubuntu: its crash reporter) is not ours.
    bare = subprocess.run([sys.executable, "-X", "importtime", "-c", "pass"], capture_output=True, text=True, timeout=60, check=True)
    return modules_of(run.stderr) - modules_of(bare.stderr)


@pytest.mark.namespaces
def test_the_measurement_sees_a_run(imported):
    assert {"orchestrator.cli", "orchestrator.pipeline", "orchestrator.testbeds"} <= imported


@pytest.mark.namespaces
def test_a_run_imports_these_libraries_and_no_other(imported):
    known = sys.stdlib_module_names | {"orchestrator", "__main__", "sitecustomize", "usercustomize"}
    tops = {name.partition(".")[0] for name in imported}
    foreign = {top for top in tops if top not in known and not top.startswith(("_", "__editable__"))}
    assert foreign - {"typing_extensions"} == LIBRARIES  # msgspec takes that one where it is installed


@pytest.mark.namespaces
def test_a_run_imports_nothing_heavy(imported):
    heavy = {name for name in imported if any(name == unwanted or name.startswith(unwanted + ".") for unwanted in UNWANTED)}
    assert heavy == set()
