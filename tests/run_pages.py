"""Runs the code of pages, each in a process and a folder of its own; prints what went wrong.

``python tests/run_pages.py PAGE ...`` prints a JSON object: page to what it wrote to standard
error, or to ``null`` where it ran through. A page may register a role, say, or write
files; the processes are forked from one that has the package loaded, which saves seconds.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import omar_envs.judge
import omar_envs.rollout
import omar_envs.transcript
import omar_envs.werewolf.measures  # noqa: F401

BLOCK = re.compile(r"^(?:<!-- not run: (.+) -->\n)?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> str:
    """What runs of a page, its lines where they stand in the page."""
    text = page.read_text("utf-8")
    lines = [""] * len(text.split("\n"))
    for block in BLOCK.finditer(text):
        if block[1] is None:
            first = text.count("\n", 0, block.start(2))
            body = block[2].rstrip("\n").split("\n")
            lines[first : first + len(body)] = body
    return "\n".join(lines)


def run(page: Path, told: Path) -> int:
    """Run a page in a fork; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        warnings.simplefilter("error")
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
            os.chdir(folder)
            sys.stdout = nowhere
            exec(compile(code_of(page), page.name, "exec"), {"__name__": "page"})
    except BaseException:
        told.write_text(traceback.format_exc(), encoding="utf-8")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch, "told")
        wrong: dict[str, str | None] = {}
        for name in sys.argv[1:]:
            code = run(Path(name).resolve(), told)
            wrong[name] = told.read_text("utf-8") if code else None
    json.dump(wrong, sys.stdout)
