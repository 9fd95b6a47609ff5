"""Werewolf with random actors in several ways, for ``werewolf_speed.py``.

Prints one JSON line. The game is TextArena's: 8 players, 2 wolves, doctor, seer,
3 rounds of talk in turn, no wolf chat, open votes, nothing revealed.
"""

from __future__ import annotations

import cProfile
import gc
import json
import pstats
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pettingzoo import AECEnv

from omar_envs import werewolf_v0
from omar_envs.types import SPEAK
from omar_envs.werewolf.rules import Game, Rules

SPEECH = "I have nothing to say"
RULES: dict[str, Any] = {
    "num_players": 8,
    "roles": {"werewolf": 2, "doctor": 1, "seer": 1},
    "discussion": "round_robin",
    "discussion_rounds": 3,
    "wolf_chat_rounds": 0,
    "voting": "sequential",
    "allow_abstain": False,
    "reveal_on_death": "none",
    "doctor_self_save": False,
    "max_days": 100,
}


def aec(games: int) -> dict[str, float]:
    """The AEC environment in PettingZoo's wrappers, the observation read at every step."""
    env = werewolf_v0.env(**RULES)
    start = time.process_time()
    steps, characters = play(env, games)
    seconds = time.process_time() - start
    return {
        "steps_per_second": steps / seconds,
        "steps_per_game": steps / games,
        "characters": characters / steps,
    }


def play(env: AECEnv[str, Any, Any], games: int) -> tuple[int, int]:
    """PettingZoo's loop with random actors; returns steps, and characters read."""
    rng = random.Random(0)
    steps = characters = 0
    for game in range(games):
        env.reset(seed=game)
        for _ in env.agent_iter():
            observation, _, terminated, truncated, info = env.last()
            if terminated or truncated:
                env.step(None)
                continue
            characters += len(observation["text"])
            choices = info["request"].choices
            env.step(choices[int(rng.random() * len(choices))] if choices else SPEECH)
            steps += 1
    return steps, characters


def rules(games: int) -> dict[str, float]:
    """The rules engine by itself: who acts, whom they may name, what comes of it."""
    settings = Rules(**RULES)
    generator = np.random.default_rng(0)
    draw = random.Random(0).random
    steps = 0
    start = time.process_time()
    for _ in range(games):
        game = Game(settings, generator)
        while (step := game.next_step()) is not None:
            actors = game.actors(step)
            steps += len(actors)
            if step.kind == "discussion":
                continue
            named = {}
            for player in actors:
                targets = game.targets(player, step.kind)
                named[player] = targets[int(draw() * len(targets))]
            if step.kind == "night":
                game.resolve_night(step, named)
            else:
                game.resolve_vote(step, named)
    seconds = time.process_time() - start
    return {"steps_per_second": steps / seconds, "steps_per_game": steps / games, "characters": 0}


def memory(games: int) -> dict[str, float]:
    """Many live games at mid-game: half of a game's acts made, every observation read."""
    half = int(aec(50)["steps_per_game"]) // 2
    gc.collect()
    before = resident_bytes()
    rng = random.Random(0)
    envs = []
    for game in range(games):
        env = werewolf_v0.env(**RULES)
        env.reset(seed=game)
        for _ in range(half):
            _, _, terminated, truncated, info = env.last()
            if terminated or truncated:
                break
            choices = info["request"].choices
            env.step(choices[int(rng.random() * len(choices))] if choices else SPEECH)
        envs.append(env)
    gc.collect()
    used = resident_bytes() - before
    return {"games": len(envs), "gigabytes": used / 1e9, "kilobytes_per_game": used / 1e3 / games}


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmRSS: the memory measure needs Linux")


def turns(repeats: int) -> dict[str, list[float]]:
    """Microseconds per step at every turn of one long game in which nobody dies."""
    settings = RULES | {"discussion": "simultaneous", "discussion_rounds": 100, "max_days": 3}
    settings |= {"allow_abstain": True, "first_phase": "day", "doctor_self_save": True}
    spent: dict[int, list[float]] = {}
    for _ in range(repeats):
        env = werewolf_v0.env(**settings)
        env.reset(seed=0)
        raw = env.unwrapped
        victim = raw.view("player_0").name
        while not raw.over:
            turn, acting = raw.view("player_0").log[-1].turn, len(raw.acting)
            start = time.process_time()
            for _ in range(acting):
                _, _, _, _, info = env.last()
                request = info["request"]
                if request.kind is SPEAK:
                    env.step(SPEECH)
                elif "abstain" in request.choices:
                    env.step("abstain")
                else:  # all wolves name whom the doctor protects
                    env.step(victim if victim in request.choices else request.choices[0])
            spent.setdefault(turn, []).append((time.process_time() - start) / acting * 1e6)
    return {str(turn): times for turn, times in sorted(spent.items())}


def layers(games: int) -> dict[str, float]:
    """Microseconds per step of each part of ``aec``: what the loop takes less without it."""
    wrapped, bare = werewolf_v0.env(**RULES), werewolf_v0.raw_env(**RULES)
    steps, _ = play(bare, games)
    replies = [acts_of(bare, game) for game in range(games)]
    settings, generator = Rules(**RULES), np.random.default_rng(0)
    loops: dict[str, Callable[[], object]] = {
        "whole": lambda: play(wrapped, games),
        "bare": lambda: play(bare, games),
        "blind": lambda: [replay(bare, game, acts) for game, acts in enumerate(replies)],
        "begun": lambda: [bare.reset(seed=game) for game in range(games)],
        "ruled": lambda: rules(games),
        "dealt": lambda: [Game(settings, generator) for _ in range(games)],
    }
    took = dict.fromkeys(loops, float("inf"))
    for _ in range(9):
        for name, loop in loops.items():
            start = time.process_time()
            loop()
            # The least of nine: what else runs on the machine only adds, and these are subtracted.
            took[name] = min(took[name], (time.process_time() - start) / steps * 1e6)
    ruled = took["ruled"] - took["dealt"]
    return {
        "PettingZoo's wrappers": took["whole"] - took["bare"],
        "reading: text and infos, and choosing an act": took["bare"] - took["blind"],
        "a new game: generator, dealing, prompts, first requests": took["begun"],
        "rules": ruled,
        "parsing, log, requests, stages, rewards": took["blind"] - took["begun"] - ruled,
    }


def acts_of(env: AECEnv[str, Any, Any], game: int) -> list[str | None]:
    """What is acted in a game with random actors, the steps of the dead at its end included."""
    rng = random.Random(game)
    env.reset(seed=game)
    acts: list[str | None] = []
    for _ in env.agent_iter():
        _, _, terminated, truncated, info = env.last()
        choices = info["request"].choices if info["request"] else ()
        act = choices[int(rng.random() * len(choices))] if choices else SPEECH
        acts.append(None if terminated or truncated else act)
        env.step(acts[-1])
    return acts


def replay(env: AECEnv[str, Any, Any], game: int, acts: list[str | None]) -> None:
    """The game again, without looking."""
    env.reset(seed=game)
    for act in acts:
        env.step(act)


def profile(games: int) -> dict[str, Any]:
    """Where the time of ``aec`` goes: own seconds by function, most first."""
    aec(50)
    profiler = cProfile.Profile()
    profiler.runcall(aec, games)
    stats = pstats.Stats(profiler)
    own = sorted(
        ((values[2], place) for place, values in stats.stats.items()),  # type: ignore[attr-defined]
        reverse=True,
    )
    total = sum(seconds for seconds, _ in own)
    return {
        f"{Path(file).name}:{name}" if line else name: seconds / total
        for seconds, (file, line, name) in own[:16]
    }


WAYS = {
    "aec": aec,
    "rules": rules,
    "memory": memory,
    "turns": turns,
    "layers": layers,
    "profile": profile,
}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](int(sys.argv[2]))))
