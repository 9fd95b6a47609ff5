"""Random and hostile replies to random configurations of Werewolf, checked after every act.

::

    python benchmarks/fuzz.py --acts 1000000 --seed 0 --processes 2
    python benchmarks/fuzz.py --seed 0 --game 1234

The second form plays one game again, as the message of a failure asks for. Games go
through ``env``, ``parallel_env`` and ``raw_env``, with and without a judge. The laws:

- no exception, whatever is replied;
- while a game lives somebody may act (in ``parallel_env`` after some empty steps), and
  all who may are alive and asked something that can be answered;
- every game ends, within :func:`act_bound` acts;
- rewards are finite, are the sum of their components, and arrive once;
- all agents end together, terminated or truncated;
- a sample of the episodes survives JSON and replays to the same bytes.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from omar_envs import rollout, werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.types import CHOOSE, Episode, JudgeResult, Request
from tests.envs.werewolf_configs import HOSTILE, NOT_TEXT, Config, config, noise, reply

BATCH = 10
"""Games that a process plays before it reports."""

REPLAYED = 10
"""One game in so many is replayed."""

HOSTILITY = (0.0, 0.0, 0.0, 0.02, 0.02, 0.3, 1.0)
"""Share of replies that are not even meant to be read, by game."""


class BrokenLaw(AssertionError):
    """A law does not hold; says in which game and how to play it again."""


@dataclass
class Report:
    """What was played.

    Attributes:
        acts, games, replays: how many.
        ends: games by winner, or the reason why nobody won.
    """

    acts: int = 0
    games: int = 0
    replays: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, other: Report) -> None:
        self.acts += other.acts
        self.games += other.games
        self.replays += other.replays
        self.ends += other.ends

    def line(self, seconds: float) -> str:
        """One line for people."""
        ends = ", ".join(f"{end} {n / self.games:.1%}" for end, n in self.ends.most_common())
        return (
            f"{self.acts:,} acts in {self.games:,} games, {self.acts / seconds:,.0f} acts/s, "
            f"{self.replays:,} replayed, no law broken; ends: {ends}"
        )


def fuzz(
    acts: int,
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[int], None] = lambda acts: None,
) -> Report:
    """Play games 0, 1, 2, … of a seed until they come to ``acts`` acts.

    Args:
        processes: with one, everything runs in this process.
        progress: called with the number of acts so far, again and again.

    Raises:
        BrokenLaw: names the game.
    """
    report = Report()
    for part in _batches(seed, processes):
        report.add(part)
        progress(report.acts)
        if report.acts >= acts:
            break
    return report


def _batches(seed: int, processes: int) -> Iterator[Report]:
    starts = itertools.count(0, BATCH)
    if processes == 1:
        for start in starts:
            yield play_games(seed, start)
    with ProcessPoolExecutor(processes) as pool:
        running: set[Future[Report]] = set()
        try:
            while True:
                while len(running) < 2 * processes:
                    running.add(pool.submit(play_games, seed, next(starts)))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


def play_games(seed: int, start: int) -> Report:
    """Play a batch of games, from number ``start``."""
    report = Report()
    for number in range(start, start + BATCH):
        report.add(play_game(seed, number))
    return report


def play_game(seed: int, number: int) -> Report:
    """Play one game.

    Raises:
        BrokenLaw: a law does not hold in it, or something else was raised.
    """
    rng = Random(f"{seed} {number}")
    settings = config(rng.randrange)
    try:
        return _play(settings, rng, replays=number % REPLAYED == 0)
    except Exception as error:
        raise BrokenLaw(
            f"{type(error).__name__}: {error}\nin game {number}: {settings}\n"
            f"again: python benchmarks/fuzz.py --seed {seed} --game {number}"
        ) from error


def _play(settings: Config, rng: Random, replays: bool) -> Report:
    judged = {} if settings.get("zero_sum") or rng.random() < 0.8 else {"judge": MoodyJudge()}
    way = rng.choice([_through_env, _through_env, _through_parallel_env, _through_raw_env])
    episode, acts = way({**settings, **judged}, rng)
    if replays:
        encoded = msgspec.json.encode(episode)
        require(msgspec.json.decode(encoded, type=Episode) == episode, "JSON changes the episode")
        again = msgspec.json.encode(rollout.replay(episode))
        require(again == encoded, "a replay differs from its episode")
    end = episode.outcome["winner"] or episode.outcome["reason"]
    return Report(acts, games=1, replays=replays, ends=Counter([end]))


class MoodyJudge:
    """Scores by the words of the episode, or fails, or refuses."""

    def judge(self, episode: Episode) -> JudgeResult:
        mood = zlib.crc32(msgspec.json.encode(episode.outcome))
        if mood % 3 == 0:
            return JudgeResult("failed", error="in no mood")
        if mood % 7 == 0:
            return JudgeResult("refused", error="in no mood at all")
        scores = {seat.agent: {"tone": mood % 11, "wit": 1.5} for seat in episode.seats}
        return JudgeResult("ok", scores=scores)


# --- three ways to play ---------------------------------------------------------


def _through_env(settings: Config, rng: Random) -> tuple[Episode, int]:
    env = werewolf_v0.env(**settings)
    env.reset(seed=rng.randrange(2**32))
    game = env.unwrapped
    assert isinstance(game, ConversationEnv)
    watch = Watch(game)
    answer = Answers(game, rng)
    paid = dict.fromkeys(env.possible_agents, 0.0)
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, info = env.last()
        paid[agent] += reward
        require(is_sum(reward, info["reward_components"]), "a reward is not its components' sum")
        if terminated or truncated:
            env.step(None)
            continue
        watch.asked(agent, observation["text"], info)
        env.step(answer(info["request"]))
        watch.stepped()
    require(env.agents == [], "agents are left when the game is over")
    return watch.ended(paid), watch.acts


def _through_raw_env(settings: Config, rng: Random) -> tuple[Episode, int]:
    env = werewolf_v0.raw_env(**settings)
    env.reset(seed=rng.randrange(2**32))
    watch = Watch(env)
    answer = Answers(env, rng)
    paid = dict.fromkeys(env.possible_agents, 0.0)
    while not env.over:
        observation, _, _, _, info = env.last()
        watch.asked(env.agent_selection, observation["text"], info)
        text = not rng.random() < 0.1
        env.step(answer(info["request"]) if text else rng.choice(NOT_TEXT))
        watch.stepped()
        for agent, reward in env.rewards.items():
            paid[agent] += reward
    return watch.ended(paid), watch.acts


def _through_parallel_env(settings: Config, rng: Random) -> tuple[Episode, int]:
    env = werewolf_v0.parallel_env(**settings)
    observations, infos = env.reset(seed=rng.randrange(2**32))
    watch = Watch(env.aec, pauses=stages_in_a_row(env.aec.config))
    answer = Answers(env.aec, rng)
    paid = dict.fromkeys(env.possible_agents, 0.0)
    while env.agents:
        acts = dict.fromkeys([*rng.sample(env.agents, 2), "nobody"], HOSTILE[0])
        for agent in env.acting:
            watch.asked(agent, observations[agent]["text"], infos[agent], among=env.acting)
            acts[agent] = answer(infos[agent]["request"])
        if env.acting and rng.random() < 0.1:
            acts.pop(rng.choice(env.acting))
        observations, rewards, terminations, truncations, infos = env.step(acts)
        watch.stepped()
        for part in (observations, rewards, terminations, truncations, infos):
            require(list(part) == env.possible_agents, "a step leaves out agents")
        for agent, reward in rewards.items():
            paid[agent] += reward
            require(is_sum(reward, infos[agent]["reward_components"]), "parallel rewards are odd")
        require((terminations, truncations) == (env.aec.terminations, env.aec.truncations), "ends")
    return watch.ended(paid), watch.acts


class Answers:
    """Replies to requests, in the mood of the game."""

    def __init__(self, game: ConversationEnv, rng: Random) -> None:
        self._names = list(game.view(game.possible_agents[0]).names.values())
        self._rng = rng
        self._hostility = rng.choice(HOSTILITY)

    def __call__(self, request: Request) -> str:
        rng = self._rng
        if rng.random() >= self._hostility:
            return reply(request, self._names, rng.randrange)
        return rng.choice(HOSTILE) if rng.random() < 0.8 else noise(rng.randrange)


# --- the laws -------------------------------------------------------------------


def require(law: bool, otherwise: str) -> None:
    """Raise :class:`BrokenLaw` unless the law holds."""
    if not law:
        raise BrokenLaw(otherwise)


def is_sum(reward: float, parts: Mapping[str, float | None]) -> bool:
    """Whether a reward is finite, and the sum of its known components."""
    known = math.fsum(part for part in parts.values() if part is not None)
    return math.isclose(reward, known, rel_tol=1e-9, abs_tol=1e-9)


def act_bound(settings: Mapping[str, Any]) -> int:
    """More acts than any game can have.

    Args:
        settings: as in ``Episode.config``, complete.
    """
    players, roles = settings["num_players"], settings["roles"]
    night = sum(roles[role] for role in ("werewolf", "seer", "doctor", "witch"))
    whispers = settings["wolf_chat_rounds"] * roles["werewolf"]
    # A bid asks everybody for one speech.
    speeches = players + (settings["discussion"] == "bidding")
    ballots = players * (2 if settings["vote_tie"] == "revote" else 1)
    a_day = whispers + night + settings["discussion_rounds"] * speeches + ballots
    return int(settings["max_days"] * a_day + players + roles["hunter"])


def stages_in_a_row(settings: Mapping[str, Any]) -> int:
    """At least as many stages as a night and the talk of a day have."""
    return 3 + int(settings["wolf_chat_rounds"] + 2 * settings["discussion_rounds"])


class Watch:
    """Holds the laws against one game, act by act.

    Args:
        game: just reset.
        pauses: how many steps in a row may take no act.

    Attributes:
        acts: how many there were.
    """

    def __init__(self, game: ConversationEnv, pauses: int = 0) -> None:
        self.acts = 0
        self._steps = 0
        self._empty_steps = 0
        self._pauses = pauses
        self._game = game
        self._bound = act_bound(game.config)
        self._dead: set[str] = set()
        require(not game.over, "the game is over before anybody has acted")

    def asked(
        self, agent: str, text: str, info: Mapping[str, Any], among: tuple[str, ...] = ()
    ) -> None:
        """``agent`` is to act, and is shown this."""
        acting = self._game.acting
        require(agent in among or agent == acting[0], f"{agent} is selected, {acting} may act")
        require(len(set(acting)) == len(acting), f"{acting} may act")
        require(info["alive"] and agent not in self._dead, f"{agent} is selected and dead")
        request = info["request"]
        require(request is not None, f"{agent} is asked nothing")
        require(text.endswith(request.instruction), "an observation does not end with its question")
        if request.kind is CHOOSE:
            distinct = len(set(request.choices)) == len(request.choices) > 0
            require(distinct, f"choices are {request.choices}")
        else:
            require(request.max_chars > 0, f"{agent} may say nothing")
        self.acts += 1
        require(self.acts <= self._bound, f"more than {self._bound} acts")

    def stepped(self) -> None:
        """An act was made, or those of all who might act."""
        game = self._game
        parts = game.step_components()
        for agent, reward in game.rewards.items():
            require(math.isfinite(reward), f"{agent} is paid {reward}")
            require(is_sum(reward, parts[agent]), f"{agent} is paid {reward} for {parts[agent]}")
        ends = [(game.terminations[a], game.truncations[a]) for a in game.possible_agents]
        if game.over:
            require(game.acting == (), "somebody may act when the game is over")
            together = len(set(ends)) == 1 and sum(ends[0]) == 1
            require(together, f"terminated and truncated are {ends}")
        else:
            self._empty_steps = 0 if game.acting else self._empty_steps + 1
            require(self._empty_steps <= self._pauses, "nobody may act")
            require(set(ends) == {(False, False)}, f"terminated and truncated are {ends}")
        self._steps += 1
        if game.over or self._steps % 16 == 0:
            self._look_at_all()

    def _look_at_all(self) -> None:
        infos = self._game.infos
        dead = {agent for agent, info in infos.items() if not info["alive"]}
        require(self._dead <= dead, "the dead have come back")
        self._dead = dead
        acting = set(self._game.acting)
        require(not acting & dead, f"{acting & dead} may act, dead")
        asked = {agent for agent, info in infos.items() if info["request"] is not None}
        require(asked == acting, f"{asked} are asked, {acting} may act")

    def ended(self, paid: Mapping[str, float]) -> Episode:
        """The game is over, and everybody was paid this."""
        episode = self._game.episode()
        outcome = episode.outcome
        require(episode.terminated != episode.truncated, "not one of terminated and truncated")
        require((outcome["winner"] is None) == episode.truncated, f"outcome is {outcome}")
        require(outcome["days"] <= episode.config["max_days"], f"outcome is {outcome}")
        dead = [death["agent"] for death in outcome["deaths"]]
        require(len(dead) == len(set(dead)), f"somebody died twice: {dead}")
        require(set(dead) == self._dead, f"{dead} have died, {self._dead} are dead")
        require(len(episode.turns) == self.acts, "acts are missing from the episode")
        totals = {agent: episode.total_reward(agent) for agent in episode.rewards}
        for agent, total in totals.items():
            require(math.isclose(total, paid[agent], abs_tol=1e-9), f"{agent} was paid {paid}")
            turns = [turn.reward_components.values() for turn in episode.turns_of(agent)]
            by_turn = sum(part for parts in turns for part in parts if part is not None)
            unasked = not turns
            require(unasked or math.isclose(total, by_turn, abs_tol=1e-9), f"turns of {agent}")
        if episode.config["zero_sum"]:
            require(abs(sum(totals.values())) < 1e-9, f"the sum of {totals} is not zero")
        return episode


def main() -> None:
    """Play from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--acts", type=int, default=1_000_000, help="play at least this many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--game", type=int, help="play only the game of this number")
    options = parser.parse_args()
    start = time.perf_counter()
    if options.game is not None:
        print(play_game(options.seed, options.game).line(time.perf_counter() - start))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("acts"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns) as bar:
        task = bar.add_task("acts", total=options.acts)
        report = fuzz(
            options.acts,
            options.seed,
            options.processes,
            lambda acts: bar.update(task, completed=min(acts, options.acts)),
        )
    print(report.line(time.perf_counter() - start))


if __name__ == "__main__":
    main()
