"""``omar-envs rollout``: games with one policy in every seat, kept as episodes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from omar_envs.cli_help import About
from omar_envs.cli_options import (
    POLICIES,
    SETTINGS,
    Batch,
    EnvName,
    Json,
    Out,
    Overwrite,
    Preset,
    Seed,
    Settings,
    Temperature,
    TemperatureChoose,
    game,
    new_file,
    policy_option,
    positive,
)
from omar_envs.terminal import progress, show, show_json

ABOUT = About(
    "Play games with one policy in every seat, and keep them.",
    "omar-envs rollout --policy scripted --episodes 20 --out episodes.jsonl",
    POLICIES + "\n" + SETTINGS,
)


def command(
    out: Out,
    policy: Annotated[str, policy_option("--policy", help="who plays, in every seat")] = "scripted",
    episodes: Annotated[
        int, typer.Option("--episodes", metavar="N", parser=positive, help="how many games")
    ] = 10,
    seed: Seed = 0,
    batch: Batch = 256,
    env: EnvName = None,
    preset: Preset = None,
    settings: Settings = None,
    temperature: Temperature = None,
    temperature_choose: TemperatureChoose = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Play, and write the episodes."""
    from omar_envs.by_name import Sampling, policy_by_name
    from omar_envs.rollout import run
    from omar_envs.transcript import write_episodes

    new_file(out, overwrite)
    played = game([policy], env, settings, preset)
    player = policy_by_name(policy, seed, played, Sampling(temperature, temperature_choose))
    with progress("games", episodes) as update:
        games = run(played.make, player, episodes, seed, batch=batch, progress=update)
    write_episodes(out, games)
    if json:
        summary: dict[str, Any] = {
            "episodes": len(games),
            "file": str(out),
            "env": played.env,
            "settings": played.settings,
            "policy": policy,
            "seed": seed,
            "turns": sum(len(each.turns) for each in games),
            "invalid_acts": sum(not turn.valid for each in games for turn in each.turns),
        }
        show_json(summary)
    else:
        show(f"{len(games)} episodes in {out}")
