"""Werewolf as a conversation: the rules' schedule as stages, the prompts' words as requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError
from omar_envs.stages import Announcement, Stage
from omar_envs.types import CHOOSE, MODERATOR, SPEAK, Judge, Message, Request
from omar_envs.werewolf.mentions import Mentions
from omar_envs.werewolf.presets import with_preset
from omar_envs.werewolf.prompts import ABSTAIN, BIDS, PASS, STYLES, Player, Reveal, speech_request
from omar_envs.werewolf.roles import Learned
from omar_envs.werewolf.rules import Death, Game, Rules, Step, shuffled
from omar_envs.werewolf.table import Table

_RULES = tuple(field.name for field in fields(Rules) if field.init)
_TABLE = tuple(field.name for field in fields(Table) if field.init and field.name != "num_players")
_PENALTIES = ("invalid_penalty", "format_penalty", "length_penalty")
_SPEAKING = ("wolf_chat", "discussion", "last_words")


class WerewolfEnv(ConversationEnv):
    """The AEC environment without PettingZoo's wrappers; arguments as in ``werewolf_v0``."""

    metadata: dict[str, Any] = {
        "name": "werewolf_v0",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
    }

    def __init__(
        self,
        preset: str | None = None,
        *,
        judge: Judge | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        settings = with_preset(preset, settings)
        _refuse_unknown(settings)
        rules = {name: settings[name] for name in _RULES if name in settings}
        rules["roles"] = _checked_roles(settings.get("roles"))
        self.rules = Rules(**rules)
        self.table = Table(
            num_players=self.rules.num_players,
            **{name: settings[name] for name in _TABLE if name in settings},
        )
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ConfigError(f"render_mode must be None, 'human' or 'ansi': got {render_mode!r}")
        _check_zero_sum(self.rules, self.table, judge)
        super().__init__(
            tuple(f"player_{i}" for i in range(self.rules.num_players)),
            components=("outcome",),
            invalid_penalty=self.table.invalid_penalty,
            format_penalty=self.table.format_penalty,
            length_penalty=self.table.length_penalty,
            judge=judge,
            judge_weight=self.table.judge_weight,
            private_tags=tuple(self.table.private_tags),
            render_mode=render_mode,
        )
        self._prompts = STYLES[self.table.prompt_style]
        self._about = self._prompts.about(self.rules)
        plain = self.table.prompt_style == "plain"
        self._stars, self._says, self._whispers = (
            ("* ", ": ", " (in private): ") if plain else ("", " : ", " whisper : ")
        )
        self._follows_talk = self.rules.discussion == "bidding" or bool(self.table.speech_budget)
        self._index = {agent: i for i, agent in enumerate(self.possible_agents)}

    # --- dealing ----------------------------------------------------------

    def _begin(self) -> None:
        self._game = Game(self.rules, self.np_random)
        self._names = self._deal(self.table.name_pool)
        self._personas = self._deal(self.table.persona_pool) if self.table.persona_pool else ()
        self._by_name = {name: player for player, name in enumerate(self._names)}
        self._name_of = dict(zip(self.possible_agents, self._names, strict=True))
        self._step = Step("discussion", 0)
        self._label = ""
        self._pack: tuple[str, ...] = ()
        self._mentions = Mentions(self._names)
        self._seen: dict[int, dict[str, str]] = {}
        self._executed: dict[int, dict[str, str]] = {}
        self._revealed: dict[str, str] = {}
        self._said: dict[int, int] = {}

    def _deal(self, pool: Sequence[str]) -> tuple[str, ...]:
        order = shuffled(range(len(pool)), self.np_random)[: self.rules.num_players]
        return tuple([pool[i] for i in order])

    def _introductions(self) -> tuple[Announcement, ...]:
        return ()

    def _system_prompt(self, agent: str) -> str:
        player = self._index[agent]
        told = Player(
            self._names[player],
            self._game.roles[player],
            self._partners(player),
            self._personas[player] if self._personas else "",
        )
        return self._prompts.system(self._about, self._names, told)

    def _partners(self, player: int) -> list[str]:
        known = self._game.held[player].partners(self._game, player)
        return [self._names[other] for other in known]

    # --- stages -----------------------------------------------------------

    def _next_stage(self) -> Stage | None:
        before = self._step
        step = self._game.next_step()
        if step is None:
            return None
        self._step = step
        opening: tuple[Announcement, ...] = ()
        if before.dark != step.dark or before.day != step.day:
            opening = (Announcement(None, self._prompts.opening(step)),)
            self._label = self._prompts.phase(step).capitalize()
            self._said = {}
            self._mentions.forget()
        if step.kind == "night":
            alive = self._game.alive
            self._pack = self._agents_of([wolf for wolf in self._game.wolves if alive[wolf]])
        players = self._game.actors(step)
        if self.table.speech_budget is not None and step.kind in ("bid", "discussion"):
            players = [player for player in players if self._chars_left(player) > 0]
        agents = self._agents_of(players)
        # The wolves' talk takes place, empty, even with one wolf left: stages are
        # numbered, and a missing number would tell the others how many live.
        return Stage(
            step.kind,
            self._label,
            agents,
            "sequential" if step.kind in self.rules.in_turn else "simultaneous",
            agents if step.kind == "wolf_chat" else None,
            opening,
            self._request_for_all(step),
        )

    def _chars_left(self, player: int) -> int:
        most = self.table.max_speech_chars
        if self.table.speech_budget is None:
            return most
        return min(most, self.table.speech_budget - self._said.get(player, 0))

    # --- requests ---------------------------------------------------------

    def _request_for_all(self, step: Step) -> Request | None:
        if step.kind in _SPEAKING:
            most = self.table.max_speech_chars
            return self._speech_request(most) if self.table.speech_budget is None else None
        if step.kind == "bid":
            return Request(CHOOSE, self._prompts.ask_bid(step), BIDS)
        return None

    def _request(self, agent: str) -> Request:
        player, kind = self._index[agent], self._step.kind
        prompts, game = self._prompts, self._game
        if kind in _SPEAKING:  # each with a budget of its own
            most = self.table.max_speech_chars
            return self._speech_request(self._chars_left(player) if kind == "discussion" else most)
        choices = tuple(map(self._names.__getitem__, game.targets(player, kind)))
        if kind == "vote":
            if self.rules.allow_abstain:
                choices = (*choices, ABSTAIN)
            return Request(CHOOSE, prompts.ask_vote(self.rules, choices), choices)
        if kind == "night":
            role = game.held[player]
            if role.may_pass:
                choices = (*choices, PASS)
            told = role.told(game.night)
            name = None if told is None else self._names[told]
            return Request(CHOOSE, prompts.ask_night(role, name, choices), choices)
        return Request(CHOOSE, prompts.ask_shot(choices), choices)

    def _speech_request(self, max_chars: int) -> Request:
        table = self.table
        return speech_request(table.prompt_style, self._step, max_chars, table.allow_silence)

    def _neutral(self, agent: str, request: Request) -> str:
        if request.kind is SPEAK:
            return ""
        for way_out in (ABSTAIN, PASS):
            if way_out in request.choices:
                return way_out
        if self._step.kind == "bid":
            return BIDS[0]
        return request.choices[int(self.np_random.integers(len(request.choices)))]

    def _act_notice(self, agent: str, request: Request, text: str) -> Announcement:
        match self._step.kind:
            case "vote":
                readers = None if self.rules.show_votes else (agent,)
                return Announcement(readers, self._prompts.notice("vote", text))
            case "shot":
                return Announcement(None, self._prompts.notice("shoot", text))
            case "bid":
                return Announcement((agent,), self._prompts.notice("bid", text))
        role = self._game.held[self._index[agent]]
        seen_by = self._pack if role.is_wolf else (agent,)
        return Announcement(seen_by, self._prompts.night_notice(role, text))

    # --- what acts do -----------------------------------------------------

    def _resolve(self, stage: Stage, acts: dict[str, str]) -> None:
        step = self._step
        match step.kind:
            case "discussion":
                if self._follows_talk:
                    self._hear(acts)
            case "night":
                self._resolve_night(step, acts)
            case "vote":
                self._resolve_vote(step, acts)
            case "bid":
                bids = {self._index[agent]: int(bid) for agent, bid in acts.items()}
                self._game.resolve_bids(bids, self._mentions.latest_first())
            case "shot":
                for target in self._targets_of(acts).values():
                    assert target is not None  # a shot cannot be passed
                    death = self._game.resolve_shot(step, target)
                    self.post(self._prompts.shot(*self._obituary(death)))

    def _hear(self, acts: dict[str, str]) -> None:
        for agent, text in acts.items():
            player = self._index[agent]
            self._said[player] = self._said.get(player, 0) + len(text)
            self._mentions.hear(player, text)

    def _targets_of(self, acts: dict[str, str]) -> dict[int, int | None]:
        players = map(self._index.__getitem__, acts)
        return dict(zip(players, map(self._by_name.get, acts.values()), strict=True))

    def _resolve_night(self, step: Step, acts: dict[str, str]) -> None:
        deaths = self._game.resolve_night(step, self._targets_of(acts))
        for fact in self._game.night.learned:
            self._tell(fact, self._seen)
        self._game.night.learned.clear()
        if step.round == self.rules.night_rounds[-1]:
            for death in deaths:
                self.post(self._prompts.killed(*self._obituary(death)))
            if not deaths:
                self.post(self._prompts.killed(None, Reveal()))

    def _resolve_vote(self, step: Step, acts: dict[str, str]) -> None:
        vote = self._game.resolve_vote(step, self._targets_of(acts))
        if vote.tied:
            self.post(self._prompts.revote([self._names[player] for player in vote.tied]))
        elif vote.spared is not None:
            name, role = self._names[vote.spared], self._game.roles[vote.spared]
            self._revealed[name] = role
            self.post(self._prompts.spared(name, role))
        elif vote.out is not None:
            death = Death(vote.out, step.day, "voted_out")
            self.post(self._prompts.voted_out(*self._obituary(death)))
        else:
            self.post(self._prompts.voted_out(None, Reveal()))
        for fact in vote.learned:
            self._tell(fact, self._executed)

    def _tell(self, fact: Learned, known: dict[int, dict[str, str]]) -> None:
        name = self._names[fact.target]
        known.setdefault(fact.player, {})[name] = fact.role or fact.team
        self.post(self._prompts.seen(name, fact), (self.possible_agents[fact.player],))

    def _obituary(self, death: Death) -> tuple[str, Reveal]:
        shown = self.rules.reveal_night if self._step.dark else self.rules.reveal_day
        name = self._names[death.player]
        reveal = Reveal(
            role=self._game.roles[death.player] if shown == "role" else None,
            team=self._game.seen_as(death.player) if shown == "team" else None,
        )
        word = reveal.role or reveal.team
        if word is not None:
            self._revealed[name] = word
        return name, reveal

    def _agents_of(self, players: Iterable[int]) -> tuple[str, ...]:
        return tuple(map(self.possible_agents.__getitem__, players))

    # --- the end ----------------------------------------------------------

    def _settle(self) -> None:
        self.post(self._prompts.end(self._game.winner()))
        for agent, amount in zip(self.possible_agents, self._game.rewards(), strict=True):
            self.pay(agent, "outcome", amount)

    def _hit_limit(self) -> bool:
        return self._game.winner() is None

    def _outcome(self) -> dict[str, Any]:
        winner = self._game.winner()
        reason = {
            "village": "no_werewolves",
            "werewolf": self.rules.win_rule,
            "jester": "voted_out",
            None: "max_days",
        }
        return {
            "winner": winner,
            "reason": reason[winner],
            "days": self._game.days_begun,
            "teams": self.teams,
            "deaths": [
                {"agent": self.possible_agents[d.player], "day": d.day, "cause": d.cause}
                for d in self._game.deaths
            ],
        }

    # --- facts ------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        config = {name: getattr(self.rules, name) for name in _RULES}
        config |= {name: getattr(self.table, name) for name in _TABLE}
        reveal = self.rules.reveal_on_death
        return config | {
            "roles": dict(self.rules.roles),
            "reveal_on_death": reveal if isinstance(reveal, str) else list(reveal),
            "elimination_discount": float(self.rules.elimination_discount),
            "names": list(self.table.name_pool),
            "personas": list(self.table.persona_pool) or None,
            "private_tags": list(self.table.private_tags),
        }

    def _name(self, agent: str) -> str:
        return self._name_of[agent]

    def _role(self, agent: str) -> str | None:
        return self._game.roles[self._index[agent]]

    def _team(self, agent: str) -> str:
        return self._game.team(self._index[agent])

    def _alive_by_seat(self) -> Sequence[bool]:
        return self._game.alive

    def _facts(self, agent: str) -> dict[str, Any]:
        player = self._index[agent]
        return {
            "players": list(self._names),
            "alive": [self._names[other] for other in self._game.living()],
            "partners": self._partners(player),
            "investigations": dict(self._seen.get(player, {})),
            "executed": dict(self._executed.get(player, {})),
            "victim": self._victim_told(player),
            "revealed": dict(self._revealed),
            "phase": self._phase_seen_by(player),
            "day": self._step.day,
            "roles_in_play": {role: count for role, count in self.rules.roles.items() if count},
        }

    def _victim_told(self, player: int) -> str | None:
        if self._step.kind != "night" or player not in self._game.actors(self._step):
            return None
        told = self._game.held[player].told(self._game.night)
        return None if told is None else self._names[told]

    def _phase_seen_by(self, player: int) -> str:
        # The wolves' chat is skipped where only one is left: that it takes place is their secret.
        hidden = self._step.kind == "wolf_chat" and not self._game.held[player].is_wolf
        return "night" if hidden else self._step.kind

    # --- words ------------------------------------------------------------

    def _before_speech(self) -> dict[str, str]:
        return {agent: f"{name}{self._says}" for agent, name in self._name_of.items()}

    def _line(self, message: Message) -> str:
        if message.sender == MODERATOR:
            return self._stars + message.text
        if message.kind == "action":
            return f"{self._stars}{self._name_of[message.sender]} {message.text}"
        if message.audience is None:
            return self._speech_begins[message.sender] + message.text
        return f"{self._name_of[message.sender]}{self._whispers}{message.text}"

    def _invalid_notice(self, request: Request, text: str, error: str) -> str:
        return self._prompts.invalid(text)


def _refuse_unknown(settings: dict[str, Any]) -> None:
    known = sorted({*_RULES, *_TABLE, "preset"})
    for name in settings:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise TypeError(f"werewolf_v0 has no setting {name!r}; {hint}")


def _checked_roles(roles: object) -> dict[str, int]:
    if roles is None:
        return {}
    if not isinstance(roles, Mapping):
        raise ConfigError(f"roles must map role names to counts: got {roles!r}")
    if not roles:
        raise ConfigError("roles is empty: leave it out for the default roles")
    return dict(roles)


def _check_zero_sum(rules: Rules, table: Table, judge: Judge | None) -> None:
    if not rules.zero_sum:
        return
    paid = [name for name in _PENALTIES if getattr(table, name) > 0]
    paid += ["judge"] if judge is not None else []
    if paid:
        raise ConfigError(
            f"zero_sum=True excludes {', '.join(paid)}: "
            "what is paid beside the outcome would not sum to zero"
        )
