"""The course of a person's game: who is asked when, and what is on disk at every moment.

The person is asked first, then all others who may act, in one batch; so it is at most the
running act that a stop loses. What the others are and see does not depend on who is asked
first: the game is the one that :func:`omar_envs.rollout.play` would play.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import EpisodeError, OmarError
from omar_envs.parsing import clean
from omar_envs.playing import ask_all
from omar_envs.policy import HumanPolicy, Policy
from omar_envs.rollout import make
from omar_envs.terminal_play.commands import HELP, LOG, ME, QUIT, Command, Mistake, meaning
from omar_envs.terminal_play.ending import ending
from omar_envs.terminal_play.saved import GivenReply, SavedGame, write_saved
from omar_envs.terminal_play.screens import Screen
from omar_envs.transcript import write_episodes
from omar_envs.types import Episode, View


class Stopped(OmarError):
    """The game was left before its end, and is on disk.

    Attributes:
        ended: whether it was the input that ended, not the person who left.
    """

    def __init__(self, message: str, *, ended: bool = False) -> None:
        super().__init__(message)
        self.ended = ended


def play_on(
    game: SavedGame,
    file: Path,
    opponents: Callable[[], Policy],
    screen: Screen,
    *,
    asks_again: bool = True,
) -> Episode:
    """Play a game, new or saved, to its end, and write its episode to ``game.out``.

    Args:
        game: where it stands.
        file: is kept up to date after each act, and goes once the episode is written.
        opponents: makes the policy in all other seats, as it was before its first act.
        screen: shows the person what its seat may know.
        asks_again: whether a saved game's replies are asked of ``opponents`` once more,
            which brings a policy that depends on nothing but its seed and its views to
            where it was: the game then goes on as if nothing had happened. Else they
            are taken as recorded, and the policy begins with what comes next.

    Raises:
        Stopped: the person left, or the input ended.
        EpisodeError: the saved replies do not fit the game, or a file cannot be written.
        PolicyError: as the policy's; the game is on disk.
    """
    try:
        return _Course(game, file, screen).play(opponents, asks_again)
    finally:
        screen.close()


class _Course:
    def __init__(self, game: SavedGame, file: Path, screen: Screen) -> None:
        self._game = game
        self._file = file
        self._screen = screen
        self._env = make(game.env, game.config)
        self._env.reset(seed=game.seed)

    def play(self, opponents: Callable[[], Policy], asks_again: bool) -> Episode:
        policy = opponents()
        write_saved(self._file, self._game)
        if self._game.replies:
            if asks_again:
                self._screen.wait()
            if not self._catch_up(policy if asks_again else None):
                policy = opponents()
                self._screen.note(
                    f"{policy.name} does not give the same replies as before this game was "
                    "saved: it goes on from what was said, but not as it would have."
                )
        self._screen.begin(self._view())
        while not self._env.over:
            self._take_turn(policy)
        return self._finish(policy)

    def _view(self) -> View:
        return self._env.view(self._game.agent)

    def _keep(self, game: SavedGame) -> None:
        self._game = game
        write_saved(self._file, game)

    def _catch_up(self, policy: Policy | None) -> bool:
        """Take the saved replies. -> whether the policy gives them again"""
        env, replies = self._env, self._game.replies
        same, taken = True, 0
        while taken < len(replies):
            acting = env.acting
            given = replies[taken : taken + len(acting)]
            if not acting or tuple(reply.agent for reply in given) != acting:
                raise EpisodeError(
                    f"{self._file} does not fit its game after {taken} acts: it was edited, or "
                    "saved by another version of omar-envs, whose rules were others"
                )
            others = [agent for agent in acting if agent != self._game.agent]
            if policy is not None and same and others:
                again = self._asked(policy, others)
                same = all(again.get(reply.agent, reply.text) == reply.text for reply in given)
            for reply in given:
                env.step(reply.text)
            taken += len(given)
        return same

    def _asked(self, policy: Policy, agents: Sequence[str]) -> dict[str, str]:
        views = [self._env.view(agent) for agent in agents]
        replies = ask_all(views, [policy] * len(views))
        return {agent: clean(text) for agent, text in zip(agents, replies, strict=True)}

    def _take_turn(self, policy: Policy) -> None:
        env, you = self._env, self._game.agent
        acting = env.acting
        replies: dict[str, str] = {}
        if you in acting:
            if self._game.answer is None:
                self._keep(msgspec.structs.replace(self._game, answer=self._answer()))
            replies[you] = self._game.answer or ""
        others = [agent for agent in acting if agent != you]
        if others:
            self._screen.wait()
            replies |= self._asked(policy, others)
        was_in = self._view().alive
        for agent in acting:
            env.step(replies[agent])
        given = tuple(GivenReply(agent, replies[agent]) for agent in acting)
        game = self._game
        self._keep(msgspec.structs.replace(game, replies=game.replies + given, answer=None))
        if you not in env.acting:
            self._screen.follow(self._view())
        if was_in and not self._view().alive and not env.over:
            self._screen.note("You are out of the game. It goes on without you.")

    def _answer(self) -> str:
        """The person's reply, one that the game can read."""
        screen, view = self._screen, self._view()
        screen.request(view)
        while True:
            try:
                meant = meaning(view, screen.line(view))
            except EOFError:
                raise Stopped("the input ended before the game did", ended=True) from None
            match meant:
                case Mistake(why):
                    screen.note(why)
                case Command(name) if name == QUIT:
                    raise Stopped("you have left the game")
                case Command(name):
                    {HELP: screen.help, LOG: screen.log, ME: screen.me}[name](view)
                    screen.request(view)
                case _:
                    text = clean(meant.text)
                    parsed = self._env.read(view.agent, text)
                    if parsed.valid:
                        return text
                    screen.note(f"{parsed.error}; try again")

    def _finish(self, policy: Policy) -> Episode:
        game, env = self._game, self._env
        episode = _named(env, policy, game.agent)
        out = Path(game.out)
        if out.exists() and not game.overwrite:
            raise EpisodeError(f"{out} has come to exist meanwhile: take another file, by --out")
        write_episodes(out, [episode])
        self._file.unlink(missing_ok=True)
        self._screen.follow(self._view())
        self._screen.end(ending(episode, game.agent, out, game.again))
        return episode


def _named(env: ConversationEnv, policy: Policy, you: str) -> Episode:
    episode = env.episode()
    seats = tuple(
        msgspec.structs.replace(seat, policy=HumanPolicy.name if seat.agent == you else policy.name)
        for seat in episode.seats
    )
    return msgspec.structs.replace(episode, seats=seats)
