"""What is installed beside an interpreter, and what an import costs; runs in any venv.

::

    PYTHON benchmarks/footprint.py MODULE

Prints one JSON line: the number of distributions (pip and setuptools, which came with the venv,
left out), the megabytes of their files, and the seconds of CPU time that the import takes.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module


def import_seconds(module: str) -> float:
    """CPU time of a first import."""
    start = time.process_time()
    import_module(module)
    return time.process_time() - start


def installed() -> tuple[int, float]:
    """How many distributions there are, and the megabytes of their files."""
    from importlib.metadata import distributions  # not before the import that is timed

    found = [each for each in distributions() if each.name not in ("pip", "setuptools")]
    paths = {file.locate().resolve() for each in found for file in each.files or ()}
    return len(found), sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


if __name__ == "__main__":
    seconds = import_seconds(sys.argv[1])
    packages, megabytes = installed()
    print(
        json.dumps({"packages": packages, "megabytes": megabytes, "import_seconds": seconds}),
    )
