"""Games of a run as text, to read what the models say.

Everything is shown that any agent or the game wrote, private messages marked with
who could read them. No text of a player can pass for a line of its own, or for
anything else of the file: line breaks and control characters in it are replaced.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

from omar_envs.parsing import DEFAULT_PRIVATE_TAGS, single_line, strip_private
from omar_envs.terminal import printable
from omar_envs.types import MODERATOR, SPEAK, Episode, Message, Turn
from omar_trainers.resuming.files import atomic_write

GAMES_FOLDER = "games"


def games_path(output_dir: str | Path, iteration: int) -> Path:
    """The file of an iteration's games, counted from 1 as in ``metrics.jsonl``."""
    return Path(output_dir) / GAMES_FOLDER / f"iteration-{iteration:06d}.txt"


def write_games(path: Path, episodes: Sequence[Episode]) -> str:
    """Write games as text, one below the other, in the place of what was there. -> the text

    Raises:
        OSError: the disk does not take it.
    """
    texts = [f"Game {i} of {len(episodes)}\n{game_text(e)}" for i, e in enumerate(episodes, 1)]
    text = "\n\n".join(texts)
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))
    return text


def game_text(episode: Episode) -> str:
    """A whole game: who played, what was said and done, and what it paid."""
    names = {seat.agent: _one_line(seat.name) for seat in episode.seats}
    tags = tuple(episode.config.get("private_tags", DEFAULT_PRIVATE_TAGS))
    lines = [f"{_one_line(episode.env)}, seed {episode.seed}", "", *_seat_lines(episode)]
    for stage in episode.stages:
        said = [message for message in episode.messages if message.turn == stage.turn]
        acts = [turn for turn in episode.turns if turn.turn == stage.turn]
        shown = [_message_line(message, names) for message in said]
        speakers = {message.sender for message in said}
        shown += [line for act in acts for line in _act_lines(act, names, speakers, tags)]
        if shown:
            lines += ["", f"--- {_one_line(stage.label)} ({_one_line(stage.phase)})", *shown]
    ended = "truncated" if episode.truncated else "ended"
    lines += ["", f"--- {ended}"]
    lines += [f"{_one_line(key)}: {_one_line(str(v))}" for key, v in episode.outcome.items()]
    return "\n".join(lines) + "\n"


def _seat_lines(episode: Episode) -> Iterator[str]:
    teams = episode.outcome.get("teams", {})
    for seat in episode.seats:
        about = [seat.role, teams.get(seat.agent), seat.policy]
        kind = ", ".join(_one_line(part) for part in about if part)
        total = episode.total_reward(seat.agent)
        parts = _amounts(episode.rewards[seat.agent])
        yield f"{seat.agent} {_one_line(seat.name)} ({kind}): return {total:+.3g} ({parts})"


def _message_line(message: Message, names: Mapping[str, str]) -> str:
    text = _one_line(message.text)
    private = ""
    if message.audience is not None:
        private = f"[only {', '.join(names[agent] for agent in message.audience)}] "
    if message.sender == MODERATOR:
        return f"{private}* {text}"
    name = names[message.sender]
    return f"{private}{name}: {text}" if message.kind == "speech" else f"{private}* {name} {text}"


def _act_lines(
    act: Turn, names: Mapping[str, str], speakers: Container[str], tags: Sequence[str]
) -> Iterator[str]:
    """What the messages of the stage do not tell of an act."""
    name = names[act.agent]
    if not act.valid:
        yield f"  ! {name} could not be read ({_one_line(act.error)}): {_one_line(act.reply)}"
    elif strip_private(act.reply, tags) != act.reply:
        yield f"  ~ {name} wrote in full: {_one_line(act.reply)}"
    if act.agent not in speakers:
        verb = "said" if act.request.kind == SPEAK else "chose"
        yield f"  > {name} {verb} {_one_line(act.text) or 'nothing'}"
    paid = {key: amount for key, amount in act.reward_components.items() if amount != 0.0}
    if paid:
        yield f"  $ {name}: {_amounts(paid)}"


def _amounts(parts: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{_one_line(name)} {'unknown' if amount is None else f'{amount:+.3g}'}"
        for name, amount in parts.items()
    )


def _one_line(text: str) -> str:
    return printable(single_line(text)).replace("\t", " ")
