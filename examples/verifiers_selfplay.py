"""Werewolf in verifiers: vf-eval with one model in every seat, and what each seat was paid.

pip install 'omar-envs[verifiers]'
python examples/verifiers_selfplay.py MODEL http://localhost:8000/v1
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

if len(sys.argv) != 3 or not sys.argv[2].startswith("http"):
    sys.exit("usage: python examples/verifiers_selfplay.py MODEL http://localhost:8000/v1")
model, url = sys.argv[1:]
folder = tempfile.mkdtemp(prefix="vf_")
settings = {"num_players": 3, "roles": {"werewolf": 1}, "discussion_rounds": 1}
subprocess.run(
    [
        *("vf-eval", "omar-selfplay", "-m", model, "-n", "1", "--client.base-url", url),
        *("--no-push", "--no-rich", "-o", folder),
        *("--env.taskset.game", "werewolf", "--env.taskset.settings", json.dumps(settings)),
    ],
    check=True,
    stdout=subprocess.DEVNULL,
)
for file in Path(folder).rglob("traces.jsonl"):
    for line in file.read_text("utf-8").splitlines():
        for trace in json.loads(line)["traces"]:
            rewards = {name: reward["score"] for name, reward in trace["rewards"].items()}
            print(trace["info"]["omar"]["seat"], trace["info"]["omar"]["role"], rewards)
