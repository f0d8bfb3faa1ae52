"""From a bare Debian to a passed lab, as root and as an ordinary user with sudo. Takes minutes: ``pytest -m demand tests/proof``."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
RESULT = re.compile(r"^(root|student) +\./bootstrap (run|test) +turn (1|2)  exit 0 ", re.MULTILINE)


@pytest.mark.demand
@pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap and pivot_root need root")
@pytest.mark.skipif(not shutil.which("debootstrap"), reason="debootstrap is not installed")
def test_a_bare_debian_runs_both_commands_twice():
    proof = subprocess.run([HERE / "debootstrap.sh"], stdout=subprocess.PIPE, text=True, check=False)
    print(proof.stdout)
    assert proof.returncode == 0
    assert len(set(RESULT.findall(proof.stdout))) == 8
