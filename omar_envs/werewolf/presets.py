"""Other people's Werewolf and Mafia set-ups as settings of this one, and how far they agree.

``werewolf_v0.env(preset="arena8", discussion_rounds=4)`` plays Werewolf Arena's
game with shorter days: a preset is a set of defaults, and each can be overridden.
What a preset cannot reproduce is listed beside what it can;
``python -m omar_envs.werewolf.presets`` prints it all as the page
``docs/presets.md``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
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
        near = difflib.get_close_matches(str(preset).lower(), PRESETS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown preset {preset!r}: {hint}known are {', '.join(PRESETS)}")
    return _plain(PRESETS[preset].settings) | dict(overrides)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: dict(v) if isinstance(v, Mapping) else v for k, v in settings.items()}


# --- settings -------------------------------------------------------------------

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
    "kill_tie": "random",
    "first_day_vote": True,
    "seer_learns": "team",
    "doctor_self_save": True,
    "doctor_repeat_save": True,
    "voting": "sealed",
    "show_votes": True,
    "allow_self_vote": False,
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


_CLASSIC = _settings(
    7,
    {"werewolf": 2, "seer": 1, "doctor": 1},
    max_speech_chars=500,
    vote_tie="none",
    allow_abstain=True,
    reveal_on_death="role",
    max_days=10,
    outcome_reward="plus_minus",
)
_OMAR = _settings(
    7,
    {"werewolf": 2, "seer": 1, "doctor": 1},
    discussion="simultaneous",
    max_speech_chars=500,
    allow_abstain=True,
    reveal_on_death="role",
    max_days=10,
    elimination_discount=0.9,
    outcome_reward="plus_minus",
)
_ARENA8 = _settings(
    8,
    {"werewolf": 2, "seer": 1, "doctor": 1},
    discussion="bidding",
    discussion_rounds=8,
    wolf_chat_rounds=0,
    seer_learns="role",
    vote_rule="majority",
    vote_tie="none",
    show_votes=False,
)
_MINDGAMES6 = _settings(
    6,
    {"werewolf": 2, "seer": 1, "doctor": 1},
    discussion="daily_order",
    discussion_rounds=3,
    doctor_self_save=False,
    voting="sequential",
    allow_self_vote=True,
    max_days=6,
    outcome_reward="plus_minus",
)
_KAGGLE8 = _settings(
    8,
    {"werewolf": 2, "seer": 1, "doctor": 1},
    wolf_chat_rounds=0,
    doctor_self_save=False,
    doctor_repeat_save=False,
    kill_tie="none",
    seer_learns="role",
    voting="sequential",
    allow_self_vote=True,
    vote_tie="none",
    allow_abstain=True,
    reveal_on_death="role",
    max_days=40,
)
_AIWOLF5 = _settings(
    5,
    {"werewolf": 1, "possessed": 1, "seer": 1},
    discussion="daily_order",
    discussion_rounds=4,
    wolf_chat_rounds=0,
    max_speech_chars=250,
    allow_silence=True,
    first_phase="day",
    first_day_vote=False,
    first_night_kill=False,
    allow_self_vote=True,
    max_days=6,
)
_AIWOLF13 = _settings(
    13,
    {"werewolf": 3, "possessed": 1, "seer": 1, "doctor": 1, "medium": 1},
    discussion="daily_order",
    discussion_rounds=4,
    wolf_chat_rounds=4,
    max_speech_chars=250,
    allow_silence=True,
    first_phase="day",
    first_day_vote=False,
    first_night_kill=False,
    allow_self_vote=True,
    doctor_self_save=False,
    max_days=14,
)
_WITCH9 = _settings(
    9,
    {"werewolf": 3, "seer": 1, "witch": 1, "hunter": 1},
    discussion_rounds=1,
    wolf_chat_rounds=3,
    last_words="day",
    seer_learns="role",
    allow_self_vote=True,
    max_days=30,
)
_MINI4 = _settings(
    4,
    {"werewolf": 1, "seer": 1},
    discussion="random_order",
    wolf_chat_rounds=0,
    max_speech_chars=200,
    allow_silence=True,
    max_days=1,
)

# --- what is equal and what differs ---------------------------------------------

# Rows begin with "- "; cells are the rule, theirs, ours and, where they differ, why.


def _aspects(*tables: str) -> tuple[Aspect, ...]:
    rows = re.split(r"^- ", "\n".join(tables), flags=re.MULTILINE)[1:]
    return tuple(Aspect(*" ".join(row.split()).split(" | ")) for row in rows)


_NAME_ONLY = "- What a death shows | the name only | the same"
_PARITY = "- Wolves win | once they are half of the living | the same"
_NEVER_MET = """
- Day limit | none | one that cannot be met: with every vote somebody is out
"""
_SPEECH = """
- Length of a speech | no limit | 1000 characters | prompts and memory need a bound
"""
_SEER = """
- Seer learns | the role | the same
"""
_SELF_VOTE = """
- Whom a vote may name | any living player, oneself too | the same
"""
_WIN_RATE = """
- Reward | none; win rates are reported | 1 for a win, 0 for a loss
  | learning needs one; its mean is the win rate
"""

_CLASSIC_ASPECTS = """
- Deck | 2 wolves, seer, doctor, 3 villagers | the same
- Night | the moderator calls the roles one after another; wolves agree by signs
  | one round of talk among the wolves, then all act at once
  | signs become words; nobody could tell the order anyway
- Talk | whoever likes, as long as time allows | two rounds in seat order
  | language models take turns
- Vote | hands are raised in the open | sealed, shown once all have voted
  | hands rise together; `voting="sequential"` lets later voters see earlier votes
- Tied vote | nobody, by one of the house rules | nobody
- Doctor | may protect itself, and the same player again, by one of the house rules | the same
- What a death shows | the card | the role
- Reward | a team wins together, its dead too | the same: +1 and −1
"""

_OMAR_ASPECTS = """
- Turns | every active role speaks in parallel; all words are heard from the next turn on | the
  same, for the wolves' talk too
- Players | one model plays all roles | the same where one policy is given to a roll-out
- Reward | win or loss at the end, discounted for those eliminated early
  | a win pays 0.9 to the power of the days missed, a loss −1
  | their factor, and whether it touches losses, is not known here
- Number of players and deck | not known here | 2 wolves, seer, doctor, 3 villagers | our choice
- Rounds of talk, ties, what a death shows, protection | not known here | this environment's
  defaults | our choice: compare win rates with care
"""

_ARENA8_ASPECTS = """
- Deck | 2 wolves, seer, doctor, 4 villagers | the same
- Kill | one living wolf, drawn at random, decides without talk; the other is told
  | both name somebody without talk, and are told; most named, ties at random
  | both wolves are asked; for given choices the victim has the same distribution
- First night | a kill | the same
- Doctor | may protect itself, and the same player again | the same
- Whom the seer may ask about | nobody twice | any other living player
  | there is no setting that forbids asking again
- Talk | 8 speeches a day; before each, sealed bids of 0 to 4; the highest bidder speaks | the same
- Who bids | all but the player who has just spoken | all
  | there is no setting that bars the last speaker
- Tied bids | at random, players named in the last speech being twice as likely
  | who was named last in the day's talk, then who has spoken least, then at random
  | an answer is due to be heard: ours prefers it outright
- Vote | sealed and compulsory; more than half of the living, else nobody | the same
- Votes afterwards | never shown, only the result is | the same
- Trial votes | after every speech, without effect | none | a measurement, not a rule
- Memory | each day's debate is dropped and a player's own summary kept | the whole log
  | what to keep is the policy's business
- Day limit | none | 100 days, then the game is truncated as a draw
  | an environment needs an end; it is not met in ordinary play
- Unreadable answers | asked again up to three times, then the game is aborted
  | no words, bid 0, or a random legal choice | no typo ends a game
"""

_MINDGAMES6_ASPECTS = """
- Deck | 2 mafia, detective, doctor, 2 villagers | the same: wolves and a seer
- Kill | the mafia write one after another, words and vote in one; ties at random
  | a round of talk, then votes at once; ties at random
  | words and choices are separate requests here
- Whom the mafia may kill | others than mafia by the prompt, anybody alive by the code
  | anybody alive who is no wolf | the prompt is followed
- Kill once doctor and detective are dead | none, by an error | as in any night
  | the error is not reproduced: mafia win less often there
- Doctor | another player by the prompt, itself too by the code; the same again
  | another player; the same again | the prompt is followed
- Detective learns | whether the player is mafia | the same
- Talk | 3 rounds in an order drawn once a day | the same
- Vote | one after another, each seeing those before; compulsory; ties at random | the same
- Order of voting | drawn anew for each vote | the same
- Unreadable answers | asked again once, then the player is eliminated
  | no words, or a random legal choice | nobody dies of a typo
- Reward | +1 and −1 by team, dead or alive | the same
"""

_KAGGLE8_ASPECTS = """
- Deck | 2 wolves, seer, doctor, 4 villagers | the same
- Kill | wolves vote one after another without talk, each seeing the vote before
  | wolves vote at once without talk | there is no setting for wolves choosing in turn
- Wolves disagree | nobody dies | the same
- First night | a kill | the same
- Doctor | not itself, not the same player two nights running | the same
- Doctor is told that it saved somebody | yes | no, only that nobody was killed
  | there is no setting for it
- Talk | 2 rounds, one after another | the same
- Who begins | first speaker and first voter move on by one seat each day
  | seat order every day | there is no setting for rotation
- Vote | one after another in the open; the most votes; a tie, or no vote at all: nobody | the same
- Abstaining | allowed | the same
- What a death shows | the role, by night and by day | the same
- Limit | 1000 steps of the environment | 40 days
  | about as many: a night and a day of eight take 28
- Unreadable answers | count as no act; a time-out or an exception ends the game for all
  | an abstention, no words, or a random legal choice at night | no typo ends a game
- Reward | 1 for a win, 0 for a loss, dead or alive | the same
"""

_AIWOLF_ASPECTS = """
- Possessed | wins with the wolves; human to the seer and in the count; knows no wolf | the same
- Beginning | day 0: talk without a vote, then a night with the divination only
  | the same, called day 1
- Talk | up to 4 speeches a player and day, in rounds, in an order drawn once a day | the same
- Silence | allowed, and then the player is not asked again that day | allowed, for that round
  | there is no setting for having finished
- Length of a speech | 125 characters without spaces, 125 more after addressing a player
  | 250 characters, spaces included | ours knows no addressing
- Vote | sealed, one ballot, the most votes, ties at random; shown later | the same
- Night | divination, wolves' talk, guard, attack; the acts of the night's victim count
  | wolves' talk, then all at once | nothing is learned in between, so the order has no effect
- Attack | whom most wolves name, ties at random, never a wolf | the same
- Wolves win | once they are half of the living, the possessed counting as human | the same
- Characters | each player is given an age and a personality to act | names only
  | add `personas="default"` or your own
- Unreadable answers | count as no vote or no words; many errors abort a game
  | a random legal choice, or no words | votes are compulsory here, and no typo ends a game
"""
_AIWOLF5_ASPECTS = """
- Deck | werewolf, possessed, seer, 2 villagers | the same
"""
_AIWOLF13_ASPECTS = """
- Deck | 3 werewolves, possessed, seer, bodyguard, medium, 6 villagers | the same; the bodyguard
  is called doctor
- Wolves' talk | up to 4 speeches each, one after another; twice so on day 0
  | 4 rounds, all at once, on each night
  | wolves' talk is simultaneous here, and the first night is like the others
- Bodyguard | not itself; the same player again is allowed | the same
- Medium | learns whether the executed player was a wolf | the same
"""

_WITCH9_ASPECTS = """
- Deck | 3 werewolves, seer, witch, hunter, 3 villagers | the same
- Wolves' talk | up to 3 rounds, one after another, ended by agreement | 3 rounds, all at once
  | wolves' talk is simultaneous here and has no early end
- Kill | sealed votes for anybody alive, a wolf too; ties arbitrary
  | sealed votes for anybody who is no wolf; ties at random | wolves do not attack each other here
- Witch | is told the victim while it can heal; one heal and one poison a game, one a night | the
  same
- Witch as the victim | cannot heal herself | can | there is no setting for it
- Hunter | shoots when killed by the wolves or voted out, not when poisoned | the same
- Declining to shoot | allowed | not allowed | there is no setting for it
- Shot in the night | one more name among the dead | announced, with who shot
  | there is no setting that hides it
- Talk | one round, one after another | the same
- Vote | sealed, compulsory, shown afterwards; one of the tied | the same, drawn at random
- Last words of the voted-out | yes, before the hunter's shot | the same
- Last words of the night's victim | in the first night | never
  | there is no setting for the first night alone; `last_words="all"` gives them every night
- Wolves win by killing all villagers, or all with powers | no, though common elsewhere | the same
- Day limit | 30 | the same
"""

_MINI4_ASPECTS = """
- Deck | mafioso, detective, 2 villagers | the same: a wolf and a seer
- Night | fixed: a random villager dies and the detective has seen the mafioso
  | played: the wolf may kill the seer, the seer may ask about a villager
  | there is no setting for a fixed night; random play meets theirs in 2 of 9 games
- Talk | 2 rounds, the order drawn anew each round | the same
- Silence | allowed | the same
- Length of a speech | 200 characters | the same
- Vote | sealed, compulsory, for one of the others, shown afterwards; ties at random | the same
- Winner | the town if the mafioso is voted out, else the mafia | the same: one wolf of two has won
- Day limit | one day | the same: somebody has won by then
- Unreadable answers | silence in talk, a random legal choice elsewhere | the same
"""

# --- presets --------------------------------------------------------------------

_AIWOLF_SOURCE = (
    "the AIWolf contest's natural-language division, by its server aiwolfdial/aiwolf-nlp-server "
    "(read: doc/en/logic.md and config.md, logic/*.go, util/game_util.go, config/default_en_{}.yml)"
)

_ALL = (
    Preset(
        "classic",
        "The party game for seven round a table: talk in turn, sealed votes, cards shown.",
        "no single one: D. Davidoff's game of 1986 as commonly dealt; house rules vary, and the "
        "table says which are taken",
        _CLASSIC,
        _aspects(_CLASSIC_ASPECTS, _PARITY),
    ),
    Preset(
        "omar",
        "All living players speak at the same time, as in OMAR's self-play.",
        "Jiang et al., One Model, All Roles, arXiv 2602.03109 (read: the abstract and readers' "
        "summaries; the paper's account of its Werewolf rules was not at hand)",
        _OMAR,
        _aspects(_OMAR_ASPECTS),
    ),
    Preset(
        "arena8",
        "Google's Werewolf Arena: eight players who bid for the right to speak.",
        "Bailis et al., Werewolf Arena, arXiv 2407.13943 (read: the abstract), and "
        "google/werewolf_arena (read: werewolf/game.py, model.py, prompts.py, config.py)",
        _ARENA8,
        _aspects(_ARENA8_ASPECTS, _SEER, _NAME_ONLY, _PARITY, _SPEECH, _WIN_RATE),
    ),
    Preset(
        "mindgames6",
        "Secret Mafia of the MindGames challenge (NeurIPS 2025): TextArena's, with six players.",
        "TextArena 0.7.4 (read: envs/SecretMafia/env.py, state.py), the challenge's starter kit, "
        "and arXiv 2605.29512 (read: the abstract)",
        _MINDGAMES6,
        _aspects(_MINDGAMES6_ASPECTS, _SELF_VOTE, _NAME_ONLY, _PARITY, _NEVER_MET, _SPEECH),
    ),
    Preset(
        "kaggle8",
        "Kaggle Game Arena's Werewolf, by its official balanced rules: eight players.",
        "Kaggle/kaggle-environments, envs/werewolf (read: game/engine.py, roles.py, "
        "night_elimination_manager.py, protocols/*.py, werewolf.json, the configuration "
        "rule_experiment/balanced.yaml, and the draft of the Game Arena paper kept there)",
        _KAGGLE8,
        _aspects(_KAGGLE8_ASPECTS, _SEER, _SELF_VOTE, _PARITY, _SPEECH),
    ),
    Preset(
        "aiwolf5",
        "AIWolf's village of five: one wolf, one possessed, one seer, two villagers.",
        _AIWOLF_SOURCE.format(5),
        _AIWOLF5,
        _aspects(
            *(_AIWOLF5_ASPECTS, _AIWOLF_ASPECTS, _SELF_VOTE, _NAME_ONLY, _NEVER_MET, _WIN_RATE)
        ),
    ),
    Preset(
        "aiwolf13",
        "AIWolf's village of thirteen, with a bodyguard and a medium.",
        _AIWOLF_SOURCE.format(13),
        _AIWOLF13,
        _aspects(
            *(_AIWOLF13_ASPECTS, _AIWOLF_ASPECTS, _SELF_VOTE, _NAME_ONLY, _NEVER_MET, _WIN_RATE)
        ),
    ),
    Preset(
        "witch9",
        "The nine-player game with witch and hunter, as AgentScope's example plays it.",
        "agentscope-ai/agentscope, examples/game/werewolves (read: game.py, utils.py)",
        _WITCH9,
        _aspects(_WITCH9_ASPECTS, _SEER, _SELF_VOTE, _NAME_ONLY, _PARITY, _SPEECH, _WIN_RATE),
    ),
    Preset(
        "mini4",
        "Mini-Mafia: four players, one night, one day, one vote that decides.",
        "Costa and Vicente, Deceive, Detect, and Disclose, arXiv 2509.23023 (read: the abstract), "
        "and bastoscostadavi/llm-mafia-game (read: mini-mafia-benchmark/mini_mafia.py, and "
        "main.py, agents.py, config.py, prompt_long.txt in src)",
        _MINI4,
        _aspects(_MINI4_ASPECTS, _NAME_ONLY, _WIN_RATE),
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
"""Every preset by its name."""

# --- the page -------------------------------------------------------------------

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

What a preset does not list (names, personas, prompts, penalties, zero-sum rewards) is as without
one. A game is theirs as far as the tables below say "equal". Prompts and the reading of answers
are always this suite's own, so results are comparable in kind, not digit by digit.

This page is the output of `python -m omar_envs.werewolf.presets`.
"""


def page() -> str:
    """The Markdown page that documents every preset."""
    return "\n".join([_INTRODUCTION, *(_section(preset) for preset in PRESETS.values())])


def _section(preset: Preset) -> str:
    deck = ", ".join(f"{count} {role}" for role, count in preset.deck.items())
    settings = [(f"`{k}`", f"`{value!r}`") for k, value in _plain(preset.settings).items()]
    aspects = [
        (a.name, a.theirs, a.ours, f"differs: {a.differs}" if a.differs else "equal")
        for a in preset.aspects
    ]
    return (
        f"## {preset.name}\n\n{preset.what}\n\nSource: {preset.source}.\n\nDeck: {deck}.\n\n"
        f'```python\nenv = werewolf_v0.env(preset="{preset.name}")\n```\n\n'
        f"{_table(('Setting', 'Value'), settings)}\n"
        f"{_table(('Rule', 'Theirs', 'Ours', 'Equal?'), aspects)}"
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
