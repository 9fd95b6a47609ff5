"""Other people's Werewolf and Mafia set-ups as settings of this one, and how far they agree.

``werewolf_v0.env(preset="arena8", discussion_rounds=4)`` plays Werewolf Arena's
game with shorter days: a preset is a set of defaults, and every one of them can
be overridden. What a preset cannot reproduce is listed beside what it can;
``python -m omar_envs.werewolf.presets`` prints it all as the page
``docs/presets.md``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from omar_envs.errors import ConfigError


class Aspect(NamedTuple):
    """One rule, there and here; ``differs`` says why they are not equal, "" if they are."""

    name: str
    theirs: str
    ours: str
    differs: str = ""


@dataclass(frozen=True)
class Preset:
    """A named set-up.

    Attributes:
        name: what ``preset=`` takes.
        what: one line on what it is.
        source: the paper or repository, and what of it was read.
        settings: settings of ``werewolf_v0.env`` to values. ``roles`` leaves the
            villagers out: they fill what ``num_players`` leaves.
        aspects: what is equal and what differs.
    """

    name: str
    what: str
    source: str
    settings: Mapping[str, Any]
    aspects: tuple[Aspect, ...]

    @property
    def deck(self) -> dict[str, int]:
        """Role to number of players dealt it, villagers included."""
        special: dict[str, int] = dict(self.settings["roles"])
        return {**special, "villager": self.settings["num_players"] - sum(special.values())}


def with_preset(preset: str | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a preset with ``overrides`` in place of its own.

    Each override replaces one setting as a whole. The presets name their special
    roles only, so ``num_players`` alone keeps those and changes the number of
    villagers, and ``roles`` alone keeps the number of players. A count that does
    not fit is refused by the environment, which says what to change.

    Args:
        preset: a name in :data:`PRESETS`; ``None`` gives the overrides alone.
        overrides: settings of ``werewolf_v0.env``; they are not checked here.

    Raises:
        ConfigError: there is no such preset; names the nearest one and all of them.
    """
    if preset is None:
        return dict(overrides)
    if not isinstance(preset, str) or preset not in PRESETS:
        near = difflib.get_close_matches(str(preset), PRESETS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown preset {preset!r}; {hint}Known: {', '.join(PRESETS)}")
    settings = {**PRESETS[preset].settings, **overrides}
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }


# Every preset fixes all of these, so that a change of the environment's defaults changes none.
_COMMON: dict[str, Any] = {
    "discussion": "round_robin",
    "discussion_rounds": 2,
    "wolf_chat_rounds": 1,
    "max_speech_chars": 1000,
    "speech_budget": None,
    "allow_silence": False,
    "last_words": "none",
    "first_phase": "night",
    "first_night_kill": True,
    "doctor_self_save": True,
    "doctor_repeat_save": True,
    "voting": "sealed",
    "vote_rule": "plurality",
    "vote_tie": "random",
    "allow_abstain": False,
    "reveal_on_death": "none",
    "win_rule": "parity",
    "max_days": 100,
    "elimination_discount": 1.0,
    "outcome_reward": "win_only",
}


def _settings(num_players: int, roles: dict[str, int], **changes: Any) -> Mapping[str, Any]:
    fixed = {"num_players": num_players, "roles": MappingProxyType(roles), **_COMMON, **changes}
    return MappingProxyType(fixed)


_NAME_ONLY = Aspect("What a death shows", "the name only", "the name only")
_WIN_RATE = Aspect(
    "Reward",
    "none; win rates are reported",
    "1 for a win, 0 for a loss",
    "needed for learning; its mean is the win rate",
)
_NO_LIMIT = Aspect(
    "Day limit",
    "none",
    "100 days, then the game is truncated as a draw",
    "an environment needs an end; it is not met in ordinary play",
)
_NEVER_MET = "a limit that cannot be met: every day somebody is voted out"
_SPEECH = Aspect(
    "Length of a speech", "no limit", "1000 characters", "prompts and memory need a bound"
)
_SEER_SEES_ROLE = Aspect(
    "Seer learns", "the role", "the team", "there is no setting for what the seer learns"
)
_PARITY = Aspect(
    "Wolves win", "once they are half of the living", "once they are half of the living"
)

_AIWOLF_SOURCE = (
    "AIWolf contest, natural-language division: the game server aiwolfdial/aiwolf-nlp-server "
    "(read: doc/en/logic.md and config.md, logic/*.go, util/game_util.go, config/default_en_{}.yml)"
)
_AIWOLF = (
    Aspect(
        "Possessed",
        "wins with the wolves, is human to the seer and in the count, knows no wolf",
        "the same",
    ),
    Aspect(
        "Beginning",
        "day 0: talk without a vote, then a night with the divination only",
        "a first night in which only the seer acts",
        "there is no setting for a day of talk without a vote",
    ),
    Aspect(
        "A day and its night",
        "talk, vote, divination, wolves' talk, guard, attack; acts of the night's victim count",
        "the same, the night's acts at once",
    ),
    Aspect(
        "Speeches",
        "up to 4 a day and player, in rounds; the order is drawn once a day",
        "4 rounds; the order is drawn anew each round",
        "there is no setting for one order per day",
    ),
    Aspect(
        "Silence",
        "allowed, and then the player is not asked again that day",
        "allowed, for that round",
        "there is no setting for having finished",
    ),
    Aspect(
        "Length of a speech",
        "125 characters without spaces, 125 more after addressing a player",
        "250 characters, spaces included",
        "ours knows no addressing",
    ),
    Aspect(
        "Vote",
        "sealed, one ballot, the most votes, ties at random, votes shown afterwards",
        "the same",
    ),
    Aspect(
        "Whom a vote may name",
        "any living player, oneself too",
        "any other living player",
        "there is no setting for votes against oneself",
    ),
    Aspect("Attack", "whom most wolves name, ties at random; not a wolf", "the same"),
    _NAME_ONLY,
    Aspect(
        "Wolves win",
        "once they are half of the living, the possessed counting as human",
        "the same",
    ),
    Aspect("Day limit", "none", _NEVER_MET),
    Aspect(
        "Characters",
        "each player is given a name, an age and a personality to act",
        "names only",
        'add `personas="default"` or your own',
    ),
    Aspect(
        "Unreadable answers",
        "count as no vote or no words; a game with many errors is aborted",
        "a random legal choice, or no words",
        "a vote is compulsory here, and no typo ends a game",
    ),
    _WIN_RATE,
)

_ALL = (
    Preset(
        name="classic",
        what="The party game for seven round a table: talk in turn, sealed votes, cards shown.",
        source=(
            "no single one: the game that D. Davidoff devised in 1986, as commonly dealt; "
            "house rules vary, and where they do the table says which is taken"
        ),
        settings=_settings(
            7,
            {"werewolf": 2, "seer": 1, "doctor": 1},
            max_speech_chars=500,
            vote_tie="none",
            allow_abstain=True,
            reveal_on_death="role",
            max_days=10,
            outcome_reward="plus_minus",
        ),
        aspects=(
            Aspect("Deck", "2 wolves, seer, doctor, 3 villagers", "the same"),
            Aspect(
                "Night",
                "the moderator calls the roles one after another; wolves agree by signs",
                "one round of talk among the wolves, then all act at once",
                "nobody could tell the order anyway; signs become words",
            ),
            Aspect(
                "Talk",
                "whoever likes, as long as time allows",
                "two rounds in seat order",
                "language models take turns",
            ),
            Aspect(
                "Vote",
                "hands are raised in the open",
                "sealed, shown at once",
                'raised together; `voting="sequential"` lets later voters see earlier ones',
            ),
            Aspect("Tied vote", "nobody, or a second ballot (house rule)", "nobody"),
            Aspect("Doctor", "may protect itself and the same player again (house rule)", "may"),
            Aspect("What a death shows", "the card", "the role"),
            _PARITY,
            Aspect("Reward", "winning together", "+1 and −1 by team, dead or alive"),
        ),
    ),
    Preset(
        name="omar",
        what="All living players speak at the same time, as in OMAR's self-play.",
        source=(
            "Jiang et al., One Model, All Roles, arXiv 2602.03109 (read: the abstract and readers' "
            "summaries; the paper's account of its Werewolf rules was not at hand)"
        ),
        settings=_settings(
            7,
            {"werewolf": 2, "seer": 1, "doctor": 1},
            discussion="simultaneous",
            max_speech_chars=500,
            allow_abstain=True,
            reveal_on_death="role",
            max_days=10,
            elimination_discount=0.9,
            outcome_reward="plus_minus",
        ),
        aspects=(
            Aspect(
                "Turns",
                "every active role speaks in parallel; all words are heard from the next turn on",
                "the same, for wolves at night too",
            ),
            Aspect(
                "Players",
                "one model plays all roles",
                "any policies; one policy given to a roll-out plays every seat",
            ),
            Aspect(
                "Reward",
                "win or loss at the end, discounted for those eliminated early",
                "a win pays 0.9 for each day missed, a loss −1",
                "their factor, and whether it touches losses, is not known here",
            ),
            Aspect(
                "Deck and number of players",
                "not known here",
                "2 wolves, seer, doctor, 3 villagers",
                "our choice",
            ),
            Aspect(
                "Rounds, ties, what a death shows, protection",
                "not known here",
                "the defaults of this environment",
                "our choice: compare win rates with care",
            ),
        ),
    ),
    Preset(
        name="arena8",
        what="Google's Werewolf Arena: eight players who bid for the right to speak.",
        source=(
            "Bailis et al., Werewolf Arena, arXiv 2407.13943, and google/werewolf_arena "
            "(read: werewolf/game.py, model.py, prompts.py, config.py)"
        ),
        settings=_settings(
            8,
            {"werewolf": 2, "seer": 1, "doctor": 1},
            discussion="bidding",
            discussion_rounds=8,
            wolf_chat_rounds=0,
            vote_rule="majority",
            vote_tie="none",
        ),
        aspects=(
            Aspect("Deck", "2 wolves, seer, doctor, 4 villagers", "the same"),
            Aspect(
                "Kill",
                "one living wolf, drawn at random, decides without talk; the other is told",
                "both wolves name somebody without talk; most named, ties at random",
                "the victim has the same distribution, but both wolves are asked",
            ),
            Aspect("First night", "a kill", "a kill"),
            Aspect("Doctor", "may protect itself, and the same player again", "the same"),
            _SEER_SEES_ROLE,
            Aspect(
                "Whom the seer may ask about",
                "nobody twice",
                "any other living player",
                "there is no setting that forbids asking again",
            ),
            Aspect(
                "Talk",
                "8 speeches a day; before each, bids of 0 to 4, and the highest bidder speaks",
                "the same",
            ),
            Aspect(
                "Who bids",
                "all but the player who has just spoken",
                "all",
                "there is no setting that bars the last speaker",
            ),
            Aspect(
                "Tied bids",
                "at random, players named in the last speech twice as likely",
                "at random",
                "ours does not look for names in a speech",
            ),
            Aspect(
                "Vote",
                "sealed and compulsory; more than half of the living, else nobody",
                "the same",
            ),
            Aspect(
                "Votes afterwards",
                "never shown, only the result is",
                "shown once all have voted",
                "there is no setting for secret ballots",
            ),
            Aspect(
                "Trial votes",
                "after every speech, without effect",
                "none",
                "a measurement, not a rule",
            ),
            _NAME_ONLY,
            _PARITY,
            Aspect(
                "Memory",
                "each day's debate is dropped and each player's own summary kept",
                "the whole log",
                "what to keep is the policy's business",
            ),
            _NO_LIMIT,
            _SPEECH,
            Aspect(
                "Unreadable answers",
                "asked again up to three times, then the game is aborted",
                "no words, bid 0, or a random legal choice",
                "no typo ends a game",
            ),
            _WIN_RATE,
        ),
    ),
    Preset(
        name="mindgames6",
        what="Secret Mafia of the MindGames challenge (NeurIPS 2025): TextArena's, six players.",
        source=(
            "TextArena 0.7.4 (read: envs/SecretMafia/env.py, state.py), the challenge's starter "
            "kit, and the abstract of arXiv 2605.29512"
        ),
        settings=_settings(
            6,
            {"werewolf": 2, "seer": 1, "doctor": 1},
            discussion="random_order",
            discussion_rounds=3,
            doctor_self_save=False,
            voting="sequential",
            max_days=6,
            outcome_reward="plus_minus",
        ),
        aspects=(
            Aspect(
                "Deck", "2 mafia, detective, doctor, 2 villagers", "the same: wolves and a seer"
            ),
            Aspect(
                "Kill",
                "the mafia write one after another, words and vote in one; ties at random",
                "a round of talk, then sealed votes; ties at random",
                "words and choices are separate requests here",
            ),
            Aspect(
                "Whom the mafia may kill",
                "any living player by the code, others than mafia by the prompt",
                "any living player who is no wolf",
                "the prompt's rule is taken",
            ),
            Aspect(
                "Kill when doctor and detective are dead",
                "does not happen, by an error",
                "happens",
                "the error is not reproduced; mafia win less often there",
            ),
            Aspect(
                "Doctor",
                "another player by the prompt, itself too by the code; the same one again",
                "another player; the same one again",
                "the prompt's rule is taken",
            ),
            Aspect("Detective learns", "whether the player is mafia", "the team"),
            Aspect(
                "Talk",
                "3 rounds; the order is drawn once a day",
                "3 rounds; the order is drawn anew each round",
                "there is no setting for one order per day",
            ),
            Aspect(
                "Vote",
                "one after another, each seeing the earlier ones; compulsory; ties at random",
                "the same",
            ),
            Aspect(
                "Order of voting",
                "drawn anew for each vote",
                "seat order",
                "names are dealt anew for each game, but the order stays within it",
            ),
            Aspect(
                "Whom a vote may name",
                "any living player, oneself too",
                "any other living player",
                "there is no setting for votes against oneself",
            ),
            _NAME_ONLY,
            _PARITY,
            Aspect("Day limit", "none", _NEVER_MET),
            _SPEECH,
            Aspect(
                "Unreadable answers",
                "asked again once, then the player is eliminated",
                "no words, or a random legal choice",
                "nobody dies of a typo",
            ),
            Aspect("Reward", "+1 and −1 by team, dead or alive", "the same"),
        ),
    ),
    Preset(
        name="kaggle8",
        what="Kaggle Game Arena's Werewolf, by its balanced official rules: eight players.",
        source=(
            "Kaggle/kaggle-environments, envs/werewolf (read: game/engine.py, roles.py, "
            "night_elimination_manager.py, protocols/*.py, werewolf.json, the configuration "
            "rule_experiment/balanced.yaml and the draft of the Game Arena paper, all there)"
        ),
        settings=_settings(
            8,
            {"werewolf": 2, "seer": 1, "doctor": 1},
            wolf_chat_rounds=0,
            doctor_self_save=False,
            doctor_repeat_save=False,
            voting="sequential",
            vote_tie="none",
            allow_abstain=True,
            reveal_on_death="role",
            max_days=40,
        ),
        aspects=(
            Aspect("Deck", "2 wolves, seer, doctor, 4 villagers", "the same"),
            Aspect(
                "Kill",
                "wolves vote one after another without talk, each seeing the vote before",
                "wolves vote at once without talk",
                "there is no setting for wolves choosing in turn",
            ),
            Aspect(
                "Wolves disagree",
                "nobody dies",
                "one of the tied dies, at random",
                "there is no setting for ties of the kill",
            ),
            Aspect("First night", "a kill", "a kill"),
            Aspect("Doctor", "not itself, not the same player two nights running", "the same"),
            Aspect(
                "Doctor hears of a save", "yes", "no", "there is no setting; the village hears less"
            ),
            _SEER_SEES_ROLE,
            Aspect("Talk", "2 rounds, one after another", "the same"),
            Aspect(
                "Who begins",
                "the first speaker and the first voter move on by one seat each day",
                "seat order every day",
                "there is no setting for rotation",
            ),
            Aspect(
                "Vote",
                "one after another in the open; the most votes; a tie or no vote: nobody",
                "the same",
            ),
            Aspect("Abstaining", "allowed", "allowed"),
            Aspect(
                "Whom a vote may name",
                "any living player, oneself too",
                "any other living player",
                "there is no setting for votes against oneself",
            ),
            Aspect("What a death shows", "the role, by night and by day", "the same"),
            _PARITY,
            Aspect(
                "Limit",
                "1000 steps of the environment",
                "40 days",
                "about as many: a day of eight takes some 26 steps",
            ),
            _SPEECH,
            Aspect(
                "Unreadable answers",
                "count as no act; a time-out or an exception ends the game for all",
                "an abstention, no words, or a random legal choice at night",
                "no typo ends a game",
            ),
            Aspect("Reward", "1 for a win, 0 for a loss, dead or alive", "the same"),
        ),
    ),
    Preset(
        name="aiwolf5",
        what="AIWolf's village of five: one wolf, one possessed, one seer, two villagers.",
        source=_AIWOLF_SOURCE.format(5),
        settings=_settings(
            5,
            {"werewolf": 1, "possessed": 1, "seer": 1},
            discussion="random_order",
            discussion_rounds=4,
            wolf_chat_rounds=0,
            max_speech_chars=250,
            allow_silence=True,
            first_night_kill=False,
            max_days=5,
        ),
        aspects=(
            Aspect("Deck", "werewolf, possessed, seer, 2 villagers", "the same"),
            Aspect("Wolves' talk", "none: there is one", "none"),
            *_AIWOLF,
        ),
    ),
    Preset(
        name="aiwolf13",
        what="AIWolf's village of thirteen, with bodyguard and medium.",
        source=_AIWOLF_SOURCE.format(13),
        settings=_settings(
            13,
            {"werewolf": 3, "possessed": 1, "seer": 1, "doctor": 1, "medium": 1},
            discussion="random_order",
            discussion_rounds=4,
            wolf_chat_rounds=4,
            max_speech_chars=250,
            allow_silence=True,
            first_night_kill=False,
            doctor_self_save=False,
            max_days=13,
        ),
        aspects=(
            Aspect(
                "Deck",
                "3 werewolves, possessed, seer, bodyguard, medium, 6 villagers",
                "the same; the bodyguard is called doctor",
            ),
            Aspect(
                "Wolves' talk",
                "up to 4 speeches each a night, one after another; twice so on day 0",
                "4 rounds, all at once",
                "wolves' talk is simultaneous here, and there is no day 0",
            ),
            Aspect("Bodyguard", "not itself; the same player again is allowed", "the same"),
            Aspect("Medium", "learns whether the executed player was a wolf", "the same"),
            *_AIWOLF,
        ),
    ),
    Preset(
        name="witch9",
        what="The nine-player game with witch and hunter that most Chinese studies play.",
        source=(
            "agentscope-ai/agentscope, examples/game/werewolves (read: game.py, utils.py); the "
            "same deck is played in MaKTO, arXiv 2501.14225 (read: the abstract)"
        ),
        settings=_settings(
            9,
            {"werewolf": 3, "seer": 1, "witch": 1, "hunter": 1},
            discussion_rounds=1,
            wolf_chat_rounds=3,
            last_words="day",
            max_days=30,
        ),
        aspects=(
            Aspect("Deck", "3 werewolves, seer, witch, hunter, 3 villagers", "the same"),
            Aspect(
                "Wolves' talk",
                "up to 3 rounds, one after another, ended by agreement",
                "3 rounds, all at once",
                "wolves' talk is simultaneous here and has no early end",
            ),
            Aspect(
                "Kill",
                "sealed votes on anybody alive, a wolf too; ties arbitrary",
                "sealed votes on anybody who is no wolf; ties at random",
                "wolves do not attack each other here",
            ),
            Aspect(
                "Witch",
                "is told the victim; one heal and one poison a game, at most one a night",
                "the same",
            ),
            Aspect(
                "Witch as victim",
                "cannot heal herself",
                "as the environment's rules of the witch say",
                "there is no setting for it",
            ),
            Aspect("Hunter", "shoots when killed by wolves or voted out, or declines", "shoots"),
            _SEER_SEES_ROLE,
            Aspect("Talk", "one round, one after another", "the same"),
            Aspect(
                "Vote", "sealed, compulsory, shown afterwards; ties arbitrary", "ties at random"
            ),
            Aspect("Last words of the voted-out", "yes", "yes"),
            Aspect(
                "Last words of the night's victim",
                "in the first night",
                "none",
                'there is no setting for the first night alone; `last_words="all"` gives every one',
            ),
            _NAME_ONLY,
            _PARITY,
            Aspect(
                "Wolves win by killing all villagers or all special roles",
                "not in this code, common elsewhere",
                "no",
            ),
            Aspect("Day limit", "30", "30"),
            _SPEECH,
            _WIN_RATE,
        ),
    ),
    Preset(
        name="mini4",
        what="Mini-Mafia: four players, one night, one day, one vote that decides.",
        source=(
            "Costa and Vicente, Deceive, Detect, and Disclose, arXiv 2509.23023 (read: abstract), "
            "and bastoscostadavi/llm-mafia-game (read: mini-mafia-benchmark/mini_mafia.py, "
            "src/main.py, agents.py, config.py, prompt_long.txt)"
        ),
        settings=_settings(
            4,
            {"werewolf": 1, "seer": 1},
            discussion="random_order",
            wolf_chat_rounds=0,
            max_speech_chars=200,
            allow_silence=True,
            max_days=1,
        ),
        aspects=(
            Aspect("Deck", "mafioso, detective, 2 villagers", "the same: a wolf and a seer"),
            Aspect(
                "Night",
                "fixed: a random villager dies and the detective has seen the mafioso",
                "played: the wolf may kill the seer, the seer may ask about a villager",
                "there is no setting for a fixed night; random play meets theirs in 2 of 9 games",
            ),
            Aspect("Talk", "2 rounds; the order is drawn anew each round", "the same"),
            Aspect("Silence", "allowed", "allowed"),
            Aspect("Length of a speech", "200 characters", "200 characters"),
            Aspect(
                "Vote",
                "sealed, compulsory, on one of the others, shown afterwards; ties at random",
                "the same",
            ),
            _NAME_ONLY,
            Aspect(
                "Winner",
                "the town if the mafioso is voted out, else the mafia",
                "the same, as a wolf of two players has won",
            ),
            Aspect("Day limit", "one day", "one day, after which somebody has always won"),
            Aspect(
                "Unreadable answers",
                "silence in talk, a random legal choice elsewhere",
                "the same",
            ),
            _WIN_RATE,
        ),
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""Every preset by its name."""


_INTRODUCTION = """\
# Presets

Set-ups of other people's Werewolf and Mafia, as settings of `werewolf_v0`:

```python
from omar_envs import werewolf_v0

env = werewolf_v0.env(preset="arena8", discussion_rounds=4)
```

A preset gives defaults, and each one can be overridden as above; an override replaces the whole
setting. `roles` names the special roles, and villagers fill the rest. So `num_players` alone keeps
the special roles and changes the number of villagers; `roles` alone keeps the number of players;
give both to change both. Counts that do not fit raise a `ConfigError` that says what to change.

What a preset says nothing of (names, personas, prompts, penalties, zero-sum rewards) is as without
one. A game is theirs as far as the tables below say "equal". Prompts and the reading of answers
are always this suite's own, so results are comparable in kind, not digit by digit.
"""


def page() -> str:
    """The Markdown page that documents every preset."""
    return "\n".join([_INTRODUCTION, *(_section(preset) for preset in PRESETS.values())])


def _section(preset: Preset) -> str:
    deck = ", ".join(f"{count} {role}" for role, count in preset.deck.items())
    shown = {name: dict(v) if isinstance(v, Mapping) else v for name, v in preset.settings.items()}
    settings = [(f"`{name}`", f"`{value!r}`") for name, value in shown.items()]
    aspects = [
        (a.name, a.theirs, a.ours, f"differs: {a.differs}" if a.differs else "equal")
        for a in preset.aspects
    ]
    return "\n".join(
        [
            f"## {preset.name}\n",
            f"{preset.what}\n",
            f"Source: {preset.source}.\n",
            f"Deck: {deck}.\n",
            "```python",
            f'env = werewolf_v0.env(preset="{preset.name}")',
            "```\n",
            _table(("Setting", "Value"), settings),
            _table(("Rule", "Theirs", "Ours", "Equal?"), aspects),
        ]
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
