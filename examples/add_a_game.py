"""A whole game of one's own: all but one player know a word, give one clue each, and vote.

python examples/add_a_game.py
"""

from collections import Counter
from typing import Any

from omar_envs import RandomPolicy, rollout
from omar_envs.checks import CheckedEnv
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.parallel import ConversationParallelEnv
from omar_envs.stages import Announcement, Stage
from omar_envs.types import CHOOSE, SPEAK, Request

NAMES = ("Ana", "Ben", "Cleo", "Dario", "Emre", "Fay", "Goro", "Hana")
WORDS = ("harbour", "violin", "glacier", "bakery", "lantern", "orchard")
RULES = "All but one know a secret word. All give one clue, then vote on who does not know it."
ABSTAIN = "abstain"


class OddOneOut(ConversationEnv):
    """One round of clues, all at once, then one sealed vote."""

    metadata = ConversationEnv.metadata | {"name": "odd_one_out_v0"}

    def __init__(self, num_players: int = 5, *, render_mode: str | None = None) -> None:
        if not 3 <= num_players <= len(NAMES):
            raise ConfigError(f"num_players must be from 3 to {len(NAMES)}: got {num_players}")
        agents = tuple(f"player_{seat}" for seat in range(num_players))
        super().__init__(agents, ("outcome",), render_mode=render_mode)

    def _begin(self) -> None:
        names = self.np_random.permutation(NAMES)
        self._names = {a: str(n) for a, n in zip(self.possible_agents, names, strict=False)}
        self._odd = str(self.np_random.choice(self.possible_agents))
        self._word = str(self.np_random.choice(WORDS))
        self._phases = iter(("clues", "vote"))
        self._accused: str | None = None

    def _system_prompt(self, agent: str) -> str:
        secret = f"The word is {self._word}." if agent != self._odd else "You do not know the word."
        return f"You are {self._names[agent]}. {RULES} {secret}"

    def _introductions(self) -> tuple[Announcement, ...]:
        return (Announcement(None, f"At the table: {', '.join(self._names.values())}."),)

    def _next_stage(self) -> Stage | None:
        self._phase = next(self._phases, None)
        if self._phase is None:
            return None
        agents = tuple(self.possible_agents)
        return Stage(self._phase, self._phase.capitalize(), agents, "simultaneous")

    def _request(self, agent: str) -> Request:
        if self._phase == "clues":
            return Request(SPEAK, "Give a clue in one sentence.", max_chars=200)
        others = [name for other, name in self._names.items() if other != agent]
        return Request(CHOOSE, "Who does not know the word?", (*others, ABSTAIN))

    def _neutral(self, agent: str, request: Request) -> str:
        return "" if request.kind is SPEAK else ABSTAIN

    def _act_notice(self, agent: str, request: Request, text: str) -> Announcement:
        return Announcement(None, "abstains." if text == ABSTAIN else f"votes for {text}.")

    def _resolve(self, stage: Stage, acts: dict[str, str]) -> None:
        if stage.phase == "vote":
            votes = Counter(name for name in acts.values() if name != ABSTAIN).most_common(2)
            if len(votes) == 1 or (votes and votes[0][1] > votes[1][1]):
                self._accused = votes[0][0]

    def _settle(self) -> None:
        self.post(f"{self._names[self._odd]} did not know the word: {self._word}.")
        for agent in self.possible_agents:
            self.pay(agent, "outcome", 1.0 if self._team(agent) == self._winner() else -1.0)

    def _winner(self) -> str:
        return "knowing" if self._accused == self._names[self._odd] else "odd"

    def _outcome(self) -> dict[str, Any]:
        return {"winner": self._winner(), "word": self._word, "accused": self._accused}

    def _config(self) -> dict[str, Any]:
        return {"num_players": len(self.possible_agents)}

    def _name(self, agent: str) -> str:
        return self._names[agent]

    def _role(self, agent: str) -> str:
        return "odd" if agent == self._odd else "knowing"

    def _team(self, agent: str) -> str:
        return self._role(agent)

    def _facts(self, agent: str) -> dict[str, Any]:
        return {} if agent == self._odd else {"word": self._word}

    def _hit_limit(self) -> bool:
        return False


rollout.ENVS["odd_one_out_v0"] = OddOneOut


def env(**settings: Any) -> CheckedEnv:
    """The AEC environment with PettingZoo's checks."""
    return CheckedEnv(OddOneOut(**settings))


def parallel_env(**settings: Any) -> ConversationParallelEnv:
    """The parallel environment."""
    return ConversationParallelEnv(OddOneOut(**settings))


if __name__ == "__main__":
    episodes = rollout.run(OddOneOut, RandomPolicy(seed=1), episodes=100, seed=0)
    assert rollout.replay(episodes[0]) == episodes[0]
    print(Counter(episode.outcome["winner"] for episode in episodes))
    game = OddOneOut(render_mode="ansi")
    rollout.play(game, RandomPolicy(seed=1), seed=1)
    print(game.render())
