"""Self-play's generators on the real vLLM, checked inside its own environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from checks.vllm.conftest import PYTHON, ROOT

INSIDE = Path(__file__).parent / "inside"


@pytest.mark.parametrize("part", ["engine", "server"])
def test_generators(part: str, report: list[str]) -> None:
    if not PYTHON.exists():
        pytest.fail("there is no vLLM to check against: run make test-vllm")
    paths = [str(ROOT), str(ROOT / "trainers")]
    settings = {
        "PYTHONPATH": os.pathsep.join(paths),
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    # vLLM and TRL warn of much that is not ours.
    command = [str(PYTHON), "-m", "pytest", "-q", "-o", "filterwarnings=ignore", "-p", "no:logging"]
    ran = subprocess.run(
        [*command, str(INSIDE / f"{part}_checks.py")],
        cwd=ROOT,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    report.append(f"generation, {part}: {ran.stdout.strip().splitlines()[-1]}")
