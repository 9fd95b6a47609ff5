"""Build the house model: scripted games, then supervised learning on them.

``python -m omar_trainers.house.build --seed 0 --out DIR`` plays games between
scripted bots in the terse style, learns what they wrote, and saves a model that
any program loads which loads Llama. Same seed and number of threads: the same
weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from omar_envs import werewolf_v0
from omar_envs.by_name import GAME_FILE
from omar_envs.policy import Policy, RandomPolicy, ScriptedPolicy
from omar_envs.rollout import run
from omar_envs.types import CHOOSE, Episode, View
from omar_envs.werewolf.names import DEFAULT_NAMES
from omar_trainers.generation import TransformersGenerator
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.rows import TokenRow
from omar_trainers.sft import RecordingPolicy, SFTResult, sft_rows
from omar_trainers.tokens import ChatTokenizer

MAX_CONTEXT = 512
"""Longest row of the house model that comes with the package, in tokens."""

DEMO_GAME: dict[str, Any] = {
    "num_players": 5,
    "roles": {"werewolf": 1, "seer": 1, "villager": 3},
    "first_night_kill": False,
    "discussion_rounds": 1,
    "wolf_chat_rounds": 0,
    "prompt_style": "terse",
}
"""The game that the house model of the package plays: settings of ``werewolf_v0``."""

WORD_GAMES: tuple[dict[str, Any], ...] = (
    DEMO_GAME,
    {"num_players": 9, "prompt_style": "terse", "allow_abstain": False},
    {"num_players": 7, "prompt_style": "terse", "reveal_on_death": "team"},
    {"num_players": 12, "prompt_style": "terse", "discussion": "round_robin"},
)
"""Games whose words the tokenizer knows, beside the fixed ones."""

FIXED_WORDS = (
    *DEFAULT_NAMES,
    *map(str, range(21)),
    *"abstain draw invalid nobody pass skip village wins".split(),
    *"a and are be because do does good he I innocent is it know lie lies liar me my no".split(),
    *"not nothing or our she so suspect talk that the they think trust us vote we who why".split(),
    *"will with yes you your : , . ? !".split(),
)
"""Words that scripted games may not say, but players can use to talk."""


@dataclass(frozen=True)
class BuildSettings:
    """How the cold start is done.

    Attributes:
        games: scripted games to learn from.
        noise: probability that a bot acts at random, in [0, 1].
        epochs: passes over them.
        lr: highest learning rate.
        batch_size: rows per step.
        hidden_size, num_layers: of a model that begins with nothing.
        check_games: games played afterwards to count invalid acts.
    """

    games: int = 3000
    noise: float = 0.1
    epochs: float = 2.0
    lr: float = 2e-3
    batch_size: int = 16
    hidden_size: int = 96
    num_layers: int = 3
    check_games: int = 200


@dataclass(frozen=True)
class House:
    """A house model as built.

    Attributes:
        model: on the CPU, in eval mode.
        tokenizer: its words.
        training: the course of the cold start.
        invalid_acts: share of acts that could not be read when the model plays
            ``game`` against itself, choices not masked.
        game: that it was started on, settings of ``werewolf_v0``.
    """

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    training: SFTResult
    invalid_acts: float
    game: dict[str, Any]

    def save(self, folder: str | Path) -> None:
        """Write what ``from_pretrained`` reads."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        game = {"env": "werewolf_v0", "config": self.game}
        (Path(folder) / GAME_FILE).write_text(json.dumps(game, indent=2) + "\n")


def house_words() -> set[str]:
    """Every word of the terse prompts and of the bots' talk, and :data:`FIXED_WORDS`."""
    words = set(FIXED_WORDS)
    for settings in WORD_GAMES:
        for policy in (ScriptedPolicy(0, noise=0.2, brief=True), RandomPolicy(0)):
            listener = _Listener(policy)
            run(_maker(settings), listener, 8, seed=0, batch=8)
            words |= listener.words
    return words


def scripted_rows(
    tokens: ChatTokenizer,
    games: int,
    *,
    seed: int,
    noise: float = 0.1,
    settings: Sequence[dict[str, Any]] = (DEMO_GAME,),
    max_context: int = MAX_CONTEXT,
    progress: Callable[[int], None] | None = None,
) -> list[TokenRow]:
    """Rows of scripted games, for :func:`~omar_trainers.sft.sft_rows`.

    Args:
        tokens: of the model that shall learn.
        games: how many, dealt out evenly among ``settings``.
        seed: of the games and the bots.
        noise: probability that a bot acts at random, in [0, 1].
        settings: of ``werewolf_v0``.
        max_context: longest row, in tokens; longer ones are closed.
        progress: called with the number of finished games.
    """
    bots = ScriptedPolicy(seed, noise=noise, brief=True)
    recorder = RecordingPolicy(bots, tokens, max_context=max_context)
    rows: list[TokenRow] = []
    done = 0
    for number, count in _waves(games, len(settings)):
        run(_maker(settings[number % len(settings)]), recorder, count, seed + number, batch=count)
        rows += recorder.take_rows().values()
        done += count
        if progress is not None:
            progress(done)
    return rows


def build(
    seed: int,
    settings: BuildSettings | None = None,
    *,
    game: dict[str, Any] = DEMO_GAME,
    lessons: Sequence[dict[str, Any]] = (),
    base: str | Path | None = None,
    max_context: int = MAX_CONTEXT,
    progress: bool = False,
) -> House:
    """Build a house model. Same arguments: same weights.

    Args:
        seed: of the games, the bots and the weights.
        settings: how the cold start is done.
        game: that it learns, settings of ``werewolf_v0`` in the terse style; words
            that :func:`house_words` does not list are unknown to it.
        lessons: further games that it learns from, as many of each: shorter ones
            show more choices in as many tokens.
        base: folder of a house model to go on from, whose size and words it keeps;
            ``None`` begins with nothing.
        max_context: longest row, in tokens.
        progress: show progress bars.
    """
    settings = settings or BuildSettings()
    tokenizer = _tokenizer(base, max_context)
    tokens = ChatTokenizer(tokenizer)
    with tqdm(total=settings.games, desc="scripted games", disable=not progress) as bar:
        rows = scripted_rows(
            tokens,
            settings.games,
            seed=seed,
            noise=settings.noise,
            settings=[game, *lessons],
            max_context=max_context,
            progress=lambda done: bar.update(done - bar.n) and None,
        )
    if base is None:
        config = house_config(
            len(tokenizer),
            pad_token_id=tokens.pad_token_id,
            end_token_id=tokens.end_token_id,
            hidden_size=settings.hidden_size,
            num_layers=settings.num_layers,
            max_context=max_context,
        )
        model = new_house_model(config, seed=seed)
    else:
        model = LlamaForCausalLM.from_pretrained(base, max_position_embeddings=max_context)
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
    policy = house_policy(
        model, tokens, seed=seed, constrain_choices=False, max_context=max_context
    )
    episodes = run(_maker(game), policy, settings.check_games, seed=seed + 1_000_000)
    return House(model, tokenizer, training, invalid_share(episodes), game)


def house_policy(
    model: LlamaForCausalLM,
    tokens: ChatTokenizer,
    *,
    seed: int,
    constrain_choices: bool = True,
    max_context: int = MAX_CONTEXT,
) -> ModelPolicy:
    """The house model as a policy, with limits that fit its short sentences."""
    generator = TransformersGenerator(
        model,
        end_token_id=tokens.end_token_id,
        pad_token_id=tokens.pad_token_id,
        seed=seed,
        max_context=max_context,
    )
    return ModelPolicy(
        generator,
        tokens,
        max_new_tokens_speak=12,
        max_new_tokens_choose=4,
        constrain_choices=constrain_choices,
        name="house",
    )


def invalid_share(episodes: Sequence[Episode]) -> float:
    """Share of the choices in these games that could not be read."""
    choices = [
        turn for episode in episodes for turn in episode.turns if turn.request.kind == CHOOSE
    ]
    return sum(not turn.valid for turn in choices) / max(1, len(choices))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the house model.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--games", type=int, default=BuildSettings.games)
    parser.add_argument("--epochs", type=float, default=BuildSettings.epochs)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    settings = BuildSettings(games=options.games, epochs=options.epochs)
    house = build(options.seed, settings, progress=not options.quiet)
    house.save(options.out)
    report = {
        "seed": options.seed,
        **asdict(settings),
        "parameters": house.model.num_parameters(),
        "words": len(house.tokenizer),
        "steps": house.training.steps,
        "last_loss": house.training.losses[-1][1] if house.training.losses else None,
        "invalid_acts": house.invalid_acts,
    }
    (options.out / "build.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps({**report, "seconds": round(time.perf_counter() - start, 1)}))


class _Listener:
    """Lets another policy play, and notes every word that is read or said."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.words: set[str] = set()

    @property
    def name(self) -> str:
        return self._policy.name

    def act(self, views: Sequence[View]) -> list[str]:
        replies = list(self._policy.act(views))
        for view in views:
            # Whatever stood before these has been noted at an earlier act.
            for message in (view.messages[0], view.messages[-1]):
                self.words.update(message["content"].split())
        for reply in replies:
            self.words.update(reply.split())
        return replies


def _tokenizer(base: str | Path | None, max_context: int) -> PreTrainedTokenizerFast:
    if base is None:
        return house_tokenizer(house_words(), max_context=max_context)
    return PreTrainedTokenizerFast.from_pretrained(base, model_max_length=max_context)


def _maker(settings: dict[str, Any]) -> Callable[[], Any]:
    return lambda: werewolf_v0.raw_env(**settings)


def _waves(games: int, kinds: int, size: int = 250) -> Iterator[tuple[int, int]]:
    """(number, games) of waves played at once; a multiple of ``kinds`` waves."""
    waves = kinds * -(-games // (size * kinds))
    for number in range(waves):
        count = games * (number + 1) // waves - games * number // waves
        if count:
            yield number, count


if __name__ == "__main__":
    sys.exit(main())
