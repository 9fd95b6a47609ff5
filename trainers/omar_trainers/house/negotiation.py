"""A house model that negotiates: who gets how many books, hats and balls.

``python -m omar_trainers.house.negotiation --out runs/negotiation/start`` draws the
scenarios, lets scripted negotiators play them badly, learns what they wrote, and
saves the model beside the scenarios. The recipe ``sotopia_house_deal`` goes on from
there.

The prompts are those that every model gets. They are long, and all but the numbers
is the same in every game: the tokenizer has one token for each passage that never
changes, and one for each word elsewhere.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, pre_tokenizers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from omar_envs.by_name import GAME_FILE
from omar_envs.conversation import ConversationEnv
from omar_envs.policy import Policy
from omar_envs.rollout import game_seed, make, play_games
from omar_envs.sotopia import importer
from omar_envs.sotopia.acts import SPEAK, draw
from omar_envs.sotopia.bots import NegotiatorPolicy
from omar_envs.sotopia.profiles import ScenarioSet
from omar_envs.types import View
from omar_trainers.house.deal_scenarios import (
    DEAL_GAME,
    ITEMS,
    deal_scenarios,
    split_scenarios,
)
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.rows import TokenRow
from omar_trainers.sft import RecordingPolicy, SFTResult, sft_rows
from omar_trainers.tokens import ChatTokenizer

MAX_CONTEXT = 512
"""Longest row, in tokens."""

TRAIN, TEST = "train.json", "test.json"
"""Files of scenarios beside the model; the two have none in common."""

BUILD_FILE = "build.json"
"""File beside the model that says how it was built."""

_BEFORE_VALUES = "What one piece is worth to you, in points:"
_AFTER_VALUES = "Everything together would be"

_WORDS = (
    *map(str, range(21)),
    *"a and are be but do fair for good I is it me my need no not of offer on please".split(),
    *"share take than thank that think this too us want we what will with yes".split(),
    *"cannot say see your point had hoped for more That leaves all nothing at".split(),
    *"Your reply could be taken You do in turn nobody else has proposal standing make one".split(),
    *"yourself whole number from to hand out there exactly accept propose proposes gets".split(),
    *"Ana Ben Let Time To We Well What With agree am balls books deal each getting glad".split(),
    *"go hats have if let live matter matters most or rest something sure the then".split(),
    *"together top use without would yet you".split(),
    *'. , : ; ? ! * {" ": ," }'.split(),
)
"""Words of scripted negotiators, of what is told of refused acts, and for free talk."""

_SMALL_TALK = ("Well.", "Let us see.", "I am not sure.")


@dataclass(frozen=True)
class BuildSettings:
    """How the cold start is done.

    Attributes:
        train_scenarios, test_scenarios: how many of each.
        word_games: scripted games, three times, whose words the tokenizer knows.
        games: scripted games to learn from.
        noise: probability that a bot acts at random, in [0, 1]: high, so that there is
            something left to learn.
        epochs, lr, batch_size: as in :func:`~omar_trainers.sft.sft_rows`.
        hidden_size, num_layers: of the model.
    """

    train_scenarios: int = 400
    test_scenarios: int = 200
    word_games: int = 200
    games: int = 1500
    noise: float = 0.5
    epochs: float = 2.0
    lr: float = 2e-3
    batch_size: int = 16
    hidden_size: int = 96
    num_layers: int = 3


@dataclass(frozen=True)
class Negotiator:
    """A model as built, with the scenarios that it was built for."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    training: SFTResult
    train: ScenarioSet
    test: ScenarioSet
    settings: BuildSettings
    seed: int

    def report(self) -> dict[str, Any]:
        """How it was built, and what came of it."""
        return {
            "seed": self.seed,
            **asdict(self.settings),
            "parameters": self.model.num_parameters(),
            "words": len(self.tokenizer),
            "loss": round(self.training.loss, 4),
        }

    def save(self, folder: Path) -> None:
        """Write what ``from_pretrained`` reads, :data:`TRAIN`, :data:`TEST` and the report."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        for name, scenarios in ((TRAIN, self.train), (TEST, self.test)):
            (folder / name).write_bytes(importer.encode(scenarios))
        game = {"env": "sotopia_v0", "config": {**DEAL_GAME, "scenario": str(folder / TEST)}}
        for name, value in ((GAME_FILE, game), (BUILD_FILE, self.report())):
            (folder / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


class BriefNegotiatorPolicy:
    """Scripted negotiators that write every act in its shortest form.

    A proposal names its own share, every item of it; gestures and silence become
    small talk. What they decide is :class:`~omar_envs.sotopia.bots.NegotiatorPolicy`'s.
    """

    name = "scripted"

    def __init__(self, seed: int = 0, *, noise: float = 0.0) -> None:
        self._bots = NegotiatorPolicy(seed, noise=noise)

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view."""
        replies = self._bots.act(views)
        return [_brief(view, reply) for view, reply in zip(views, replies, strict=True)]


def deal_env(scenarios: ScenarioSet) -> ConversationEnv:
    """The game, with one of ``scenarios`` drawn at every ``reset``."""
    return make("sotopia_v0", {**DEAL_GAME, "scenario": scenarios})


def negotiation_tokenizer(scenarios: ScenarioSet, *, games: int = 200) -> PreTrainedTokenizerFast:
    """A tokenizer for what is read and said in these scenarios.

    Args:
        scenarios: whose prompts it shall know.
        games: scripted games whose words it shall know.
    """
    listener = _Listener()
    envs = [deal_env(scenarios) for _ in range(32)]
    for noise in (0.0, 0.3, 0.6):
        listener.policy = BriefNegotiatorPolicy(0, noise=noise)
        _play(envs, listener, games, seed=0)
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), "isolated"),
        ]
    )
    words = set(_WORDS)
    for text in listener.texts:
        for passage in listener.passages:
            text = text.replace(passage, " ")
        words |= {word for word, _ in splitter.pre_tokenize_str(text)}
    tokenizer = house_tokenizer(words, max_context=MAX_CONTEXT)
    tokenizer.backend_tokenizer.pre_tokenizer = splitter
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in sorted(listener.passages)])
    return tokenizer


def scripted_deals(
    tokens: ChatTokenizer,
    scenarios: ScenarioSet,
    games: int,
    *,
    seed: int,
    noise: float,
    batch: int = 100,
) -> list[TokenRow]:
    """Rows of scripted negotiations, for :func:`~omar_trainers.sft.sft_rows`."""
    policy = BriefNegotiatorPolicy(seed, noise=noise)
    recorder = RecordingPolicy(policy, tokens, max_context=MAX_CONTEXT)
    envs = [deal_env(scenarios) for _ in range(min(batch, games))]
    rows: list[TokenRow] = []
    # One game per environment at a time: the recorder keeps the latest row of each.
    for start in range(0, games, batch):
        _play(envs[: games - start], recorder, min(batch, games - start), seed=seed + start)
        rows += recorder.take_rows().values()
    return rows


def build(
    seed: int, settings: BuildSettings | None = None, *, progress: bool = False
) -> Negotiator:
    """Build a negotiator from nothing. Same seed and settings: same weights."""
    settings = settings or BuildSettings()
    number = settings.train_scenarios + settings.test_scenarios
    scenarios = deal_scenarios(number, seed)
    train, test = split_scenarios(scenarios, settings.train_scenarios)
    tokenizer = negotiation_tokenizer(scenarios, games=settings.word_games)
    tokens = ChatTokenizer(tokenizer)
    rows = scripted_deals(tokens, train, settings.games, seed=seed, noise=settings.noise)
    config = house_config(
        len(tokenizer),
        pad_token_id=tokens.pad_token_id,
        end_token_id=tokens.end_token_id,
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
        max_context=MAX_CONTEXT,
    )
    model = new_house_model(config, seed=seed)
    training = sft_rows(
        model,
        rows,
        pad_token_id=tokens.pad_token_id,
        epochs=settings.epochs,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seed=seed,
        progress=progress,
    )
    return Negotiator(model, tokenizer, training, train, test, settings, seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the house model that negotiates.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--games", type=int, default=BuildSettings.games)
    parser.add_argument("--noise", type=float, default=BuildSettings.noise)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    settings = BuildSettings(games=options.games, noise=options.noise)
    built = build(options.seed, settings, progress=not options.quiet)
    built.save(options.out)
    seconds = round(time.perf_counter() - start, 1)
    print(json.dumps({**built.report(), "seconds": seconds}))


def _play(envs: Sequence[ConversationEnv], policy: Policy, games: int, *, seed: int) -> None:
    seeds = [game_seed(seed, number) for number in range(games)]
    play_games(envs, seeds, lambda game, agent: policy)


class _Listener:
    """Lets a policy play, and keeps what is read and said.

    Attributes:
        policy: plays.
        texts: what was read and said.
        passages: the parts of the prompts that are the same in other games.
    """

    name = "listener"

    def __init__(self) -> None:
        self.policy: Policy = NegotiatorPolicy()
        self.texts: set[str] = set()
        self.passages: set[str] = set()

    def act(self, views: Sequence[View]) -> list[str]:
        replies = list(self.policy.act(views))
        self.texts.update(replies)
        for view in views:
            assert view.request is not None  # only who may act is asked
            system, *_, last = (message["content"] for message in view.messages)
            self.texts.update((system, last))
            self.passages |= {*_around_values(system), view.request.instruction}
        return replies


def _around_values(system: str) -> Iterable[str]:
    before, values, after = system.partition(_BEFORE_VALUES)
    _, total, rules = after.partition(_AFTER_VALUES)
    return (before + values).strip(), (total + rules).strip()


def _brief(view: View, reply: str) -> str:
    act = draw(reply, (), view.facts["action_types"])
    match act.action_type:
        case "propose":
            mine = act.argument[view.name]
            share = {item: mine.get(item, 0) for item in ITEMS}
            return f"propose {json.dumps(share, separators=(',', ':'))}"
        case "accept":
            return "accept"
        case kind if kind == SPEAK:
            return str(act.argument)
    return _SMALL_TALK[view.num_acts % len(_SMALL_TALK)]


if __name__ == "__main__":
    main()
