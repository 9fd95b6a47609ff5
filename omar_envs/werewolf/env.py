"""Werewolf as a conversation: the rules' schedule as stages, the prompts' words as requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.parsing import DEFAULT_PRIVATE_TAGS, single_line
from omar_envs.stages import Announcement, Stage
from omar_envs.types import CHOOSE, MODERATOR, SPEAK, Message, Request
from omar_envs.werewolf.prompts import ABSTAIN, DEFAULT_NAMES, STYLES, Player, Reveal
from omar_envs.werewolf.rules import Game, Rules, Step, check_number

_VERBS: dict[str, str] = {"werewolf": "kill", "doctor": "protect", "seer": "investigate"}


class WerewolfEnv(ConversationEnv):
    """The AEC environment without PettingZoo's wrappers; arguments as in ``werewolf_v0``."""

    metadata: dict[str, Any] = {
        "name": "werewolf_v0",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
    }

    def __init__(
        self,
        num_players: int = 7,
        roles: Mapping[str, int] | None = None,
        discussion: str = "simultaneous",
        discussion_rounds: int = 2,
        wolf_chat_rounds: int = 1,
        first_phase: str = "night",
        first_night_kill: bool = True,
        vote_tie: str = "random",
        vote_rule: str = "plurality",
        allow_abstain: bool = True,
        reveal_on_death: str = "role",
        doctor_self_save: bool = True,
        win_rule: str = "parity",
        max_days: int = 10,
        max_speech_chars: int = 500,
        elimination_discount: float = 0.9,
        invalid_penalty: float = 0.0,
        prompt_style: str = "plain",
        names: Sequence[str] | None = None,
        private_tags: Sequence[str] = DEFAULT_PRIVATE_TAGS,
        render_mode: str | None = None,
    ) -> None:
        self.rules = Rules(
            num_players=num_players,
            roles=_checked_roles(roles),
            discussion=discussion,
            discussion_rounds=discussion_rounds,
            wolf_chat_rounds=wolf_chat_rounds,
            first_phase=first_phase,
            first_night_kill=first_night_kill,
            vote_tie=vote_tie,
            vote_rule=vote_rule,
            allow_abstain=allow_abstain,
            reveal_on_death=reveal_on_death,
            doctor_self_save=doctor_self_save,
            win_rule=win_rule,
            max_days=max_days,
            elimination_discount=elimination_discount,
        )
        if isinstance(max_speech_chars, bool) or not isinstance(max_speech_chars, int):
            raise ConfigError(f"max_speech_chars must be an integer: got {max_speech_chars!r}")
        if not 1 <= max_speech_chars <= 100_000:
            raise ConfigError(f"max_speech_chars must be from 1 to 100000: got {max_speech_chars}")
        check_number("invalid_penalty", invalid_penalty)
        if invalid_penalty < 0:
            raise ConfigError(f"invalid_penalty must be at least 0: got {invalid_penalty}")
        if prompt_style not in STYLES:
            known = ", ".join(repr(style) for style in STYLES)
            raise ConfigError(f"prompt_style must be one of {known}: got {prompt_style!r}")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ConfigError(f"render_mode must be None, 'human' or 'ansi': got {render_mode!r}")
        super().__init__(
            tuple(f"player_{i}" for i in range(num_players)),
            components=("outcome",),
            invalid_penalty=float(invalid_penalty),
            private_tags=_checked_tags(private_tags),
            render_mode=render_mode,
        )
        self._max_speech_chars = max_speech_chars
        self._prompt_style = prompt_style
        self._prompts = STYLES[prompt_style]
        self._name_pool = _checked_names(names, num_players)
        self._index = {agent: i for i, agent in enumerate(self.possible_agents)}

    # --- dealing ----------------------------------------------------------

    def _begin(self) -> None:
        self._game = Game(self.rules, self.np_random)
        order = self.np_random.permutation(len(self._name_pool))[: self.rules.num_players]
        self._names: list[str] = [self._name_pool[i] for i in order]
        self._by_name = {name: player for player, name in enumerate(self._names)}
        self._step = Step("discussion", 0)
        self._seen: dict[int, dict[str, str]] = {}
        self._revealed: dict[str, str] = {}

    def _introductions(self) -> tuple[Announcement, ...]:
        return ()

    def _system_prompt(self, agent: str) -> str:
        player = self._index[agent]
        told = Player(self._names[player], self._game.roles[player], self._partners(player))
        return self._prompts.system(self.rules, self._names, told)

    def _partners(self, player: int) -> list[str]:
        if self._game.roles[player] != "werewolf":
            return []
        return [
            self._names[other]
            for other, role in enumerate(self._game.roles)
            if role == "werewolf" and other != player
        ]

    # --- stages -----------------------------------------------------------

    def _next_stage(self) -> Stage | None:
        before = self._step
        step = self._game.next_step()
        if step is None:
            return None
        self._step = step
        players = self._players_of(step)
        agents = tuple(self.possible_agents[player] for player in players)
        night = step.kind in ("wolf_chat", "night")
        new_phase = (before.kind in ("wolf_chat", "night")) != night or before.day != step.day
        opening = Announcement(None, self._prompts.opening(step))
        sequential = step.kind == "discussion" and self.rules.discussion == "round_robin"
        return Stage(
            phase=step.kind,
            label=self._prompts.phase(step).capitalize(),
            agents=agents,
            mode="sequential" if sequential else "simultaneous",
            audience=agents if step.kind == "wolf_chat" else None,
            opening=(opening,) if new_phase else (),
        )

    def _players_of(self, step: Step) -> list[int]:
        if step.kind == "night":
            return self._game.night_actors(step)
        if step.kind == "wolf_chat":
            # The stage takes place, empty, even with one wolf left: stages are
            # numbered, and a missing number would tell the others how many live.
            wolves = self._game.living("werewolf")
            return wolves if len(wolves) > 1 else []
        return self._game.living()

    def _request(self, agent: str) -> Request:
        step = self._step
        if step.kind == "discussion":
            text = self._prompts.ask_talk(step, self._max_speech_chars)
            return Request(SPEAK, text, max_chars=self._max_speech_chars)
        if step.kind == "wolf_chat":
            text = self._prompts.ask_wolf_chat(step, self._max_speech_chars)
            return Request(SPEAK, text, max_chars=self._max_speech_chars)
        player = self._index[agent]
        choices = [self._names[target] for target in self._game.targets(player, step.kind)]
        if step.kind == "vote" and self.rules.allow_abstain:
            choices.append(ABSTAIN)
        return Request(
            CHOOSE, self._prompts.ask_choice(self._verb(player), choices), tuple(choices)
        )

    def _verb(self, player: int) -> str:
        return "vote" if self._step.kind == "vote" else _VERBS[self._game.roles[player]]

    def _neutral(self, agent: str, request: Request) -> str:
        if request.kind is SPEAK:
            return ""
        if ABSTAIN in request.choices:
            return ABSTAIN
        return request.choices[int(self.np_random.integers(len(request.choices)))]

    def _act_notice(self, agent: str, request: Request, text: str) -> Announcement:
        player = self._index[agent]
        verb = self._verb(player)
        if verb == "vote":
            audience: tuple[str, ...] | None = None
        elif verb == "kill":
            audience = tuple(self.possible_agents[w] for w in self._game.living("werewolf"))
        else:
            audience = (agent,)
        return Announcement(audience, self._prompts.chose(verb, text))

    def _resolve(self, stage: Stage, acts: dict[str, str]) -> None:
        named = {self._index[agent]: self._by_name.get(text) for agent, text in acts.items()}
        if self._step.kind == "night":
            targets = {player: target for player, target in named.items() if target is not None}
            result = self._game.resolve_night(self._step, targets)
            for seer, (target, team) in result.seen.items():
                name = self._names[target]
                self._seen.setdefault(seer, {})[name] = team
                self.post(self._prompts.seen(name, team), (self.possible_agents[seer],))
            self.post(self._prompts.killed(*self._obituary(result.killed)))
        elif self._step.kind == "vote":
            out = self._game.resolve_vote(self._step, named)
            self.post(self._prompts.voted_out(*self._obituary(out)))

    def _obituary(self, player: int | None) -> tuple[str | None, Reveal]:
        if player is None:
            return None, Reveal()
        shown = self.rules.reveal_on_death
        reveal = Reveal(
            role=self._game.roles[player] if shown == "role" else None,
            team=self._game.team(player) if shown == "team" else None,
        )
        word = reveal.role or reveal.team
        if word is not None:
            self._revealed[self._names[player]] = word
        return self._names[player], reveal

    # --- the end ----------------------------------------------------------

    def _settle(self) -> None:
        self.post(self._prompts.end(self._game.winner()))
        for agent, player in self._index.items():
            self.pay(agent, "outcome", self._game.reward(player))

    def _hit_limit(self) -> bool:
        return self._game.winner() is None

    def _outcome(self) -> dict[str, Any]:
        winner = self._game.winner()
        reason = {"village": "no_werewolves", "werewolf": self.rules.win_rule, None: "max_days"}
        return {
            "winner": winner,
            "reason": reason[winner],
            "days": self._game.days_begun,
            "teams": {agent: self._game.team(p) for agent, p in self._index.items()},
            "deaths": [
                {"agent": self.possible_agents[d.player], "day": d.day, "cause": d.cause}
                for d in self._game.deaths
            ],
        }

    # --- facts ------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        rules = self.rules
        return {
            "num_players": rules.num_players,
            "roles": dict(rules.roles),
            "discussion": rules.discussion,
            "discussion_rounds": rules.discussion_rounds,
            "wolf_chat_rounds": rules.wolf_chat_rounds,
            "first_phase": rules.first_phase,
            "first_night_kill": rules.first_night_kill,
            "vote_tie": rules.vote_tie,
            "vote_rule": rules.vote_rule,
            "allow_abstain": rules.allow_abstain,
            "reveal_on_death": rules.reveal_on_death,
            "doctor_self_save": rules.doctor_self_save,
            "win_rule": rules.win_rule,
            "max_days": rules.max_days,
            "max_speech_chars": self._max_speech_chars,
            "elimination_discount": float(rules.elimination_discount),
            "invalid_penalty": self._invalid_penalty,
            "prompt_style": self._prompt_style,
            "names": list(self._name_pool),
            "private_tags": list(self._private_tags),
        }

    def _name(self, agent: str) -> str:
        return self._names[self._index[agent]]

    def _role(self, agent: str) -> str | None:
        return self._game.roles[self._index[agent]]

    def _alive(self, agent: str) -> bool:
        return self._game.alive[self._index[agent]]

    def _facts(self, agent: str) -> dict[str, Any]:
        player = self._index[agent]
        return {
            "players": list(self._names),
            "alive": [self._names[other] for other in self._game.living()],
            "partners": self._partners(player),
            "investigations": dict(self._seen.get(player, {})),
            "revealed": dict(self._revealed),
            "phase": self._phase_seen_by(player),
            "day": self._step.day,
            "roles_in_play": {role: count for role, count in self.rules.roles.items() if count},
        }

    def _line(self, message: Message, reader: str) -> str:
        if self._prompt_style == "plain":
            return super()._line(message, reader)
        if message.sender == MODERATOR:
            return message.text
        name = self._name(message.sender)
        if message.kind == "action":
            return f"{name} {message.text}"
        return f"{name} {'' if message.audience is None else 'whisper '}: {message.text}"

    def _invalid_notice(self, agent: str, request: Request, text: str) -> str:
        return self._prompts.invalid(text)

    def _phase_seen_by(self, player: int) -> str:
        # The wolves' chat is skipped where only one is left: that it takes place is their secret.
        hidden = self._step.kind == "wolf_chat" and self._game.roles[player] != "werewolf"
        return "night" if hidden else self._step.kind


def _checked_roles(roles: Mapping[str, int] | None) -> dict[str, int]:
    if roles is None:
        return {}
    if not isinstance(roles, Mapping):
        raise ConfigError(f"roles must map role names to counts: got {roles!r}")
    if not roles:
        raise ConfigError("roles is empty: leave it out for the default roles")
    return dict(roles)


def _checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    if not _is_list_of_str(tags) or not all(tag.isidentifier() for tag in tags):
        raise ConfigError(f"private_tags must be a list of tag names, like ['think']: got {tags!r}")
    return tuple(tags)


def _is_list_of_str(value: object) -> bool:
    # No set: its order, and so the game, would change with PYTHONHASHSEED.
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(isinstance(item, str) for item in value)


def _checked_names(names: Sequence[str] | None, num_players: int) -> tuple[str, ...]:
    if names is None:
        return DEFAULT_NAMES[:num_players]
    if not _is_list_of_str(names):
        raise ConfigError(f"names must be a list of display names: got {names!r}")
    for name in names:
        if not name or name != single_line(name) or not name.replace(" ", "").isalnum():
            raise ConfigError(f"a name must be letters, digits and single spaces: got {name!r}")
        if name.casefold() in (ABSTAIN, MODERATOR, "nobody"):
            raise ConfigError(f"{name!r} means something else in this game; take another name")
    if len({name.casefold() for name in names}) < len(names):
        raise ConfigError("names must differ in more than case")
    for name, other in permutations((*names, ABSTAIN), 2):
        if f" {name} ".casefold() in f" {other} ".casefold():
            raise ConfigError(f"{other!r} contains {name!r}: a reply could mean either")
    if len(names) < num_players:
        raise ConfigError(f"{num_players} players need as many names: got {len(names)}")
    return tuple(names)
