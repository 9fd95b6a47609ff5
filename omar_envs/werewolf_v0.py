"""Werewolf, version 0.

One language model can play every seat: villagers, werewolves, a seer and a
doctor talk by day and vote in secret; by night the wolves kill.

========================  =====================================================
Import                    ``from omar_envs import werewolf_v0``
Agents                    ``player_0`` … ``player_{n-1}``, 3 to 24 of them
Actions                   text, any ``str``
Observation               ``{"text": str}``
Parallel API              yes, ``parallel_env``: acts for all of ``acting`` at once
Turns                     simultaneous, or round-robin discussion
========================  =====================================================

**Schedule.** A night, then a day, and so on. Night: ``wolf_chat_rounds`` rounds
of talk among the wolves (none if one is left), then all at once the wolves name
a victim, the doctor protects, the seer investigates. Day: ``discussion_rounds``
rounds of talk, then a sealed vote. The victim that most wolves name dies (ties
at random) unless protected; everybody's act counts, the victim's too.

**Requests.** ``infos[agent]["request"]`` says what is asked: ``SPEAK`` (free
text) or ``CHOOSE`` (one of ``request.choices``, display names, ``abstain`` in
votes where allowed). Kill: the living who are no wolves. Vote and investigate:
the living others. Protect: the living others, and oneself where allowed. What
cannot be read becomes silence, an abstention, or where a choice is compulsory a
random legal one, and counts in ``invalid_actions``.

**Rewards**, at the end, component ``outcome``: a win +1 times
``elimination_discount`` for each day that began after the player's death, a
loss −1, the day limit 0. Component ``invalid``: ``-invalid_penalty`` per
unreadable reply, at once.

**End.** The village wins when no wolf is left. The wolves win by ``parity``,
once they are at least half of the living, or by ``extinction``, once nobody
else lives; both are checked after every death. After ``max_days`` days without
a winner the game is truncated. Dead agents stay in ``agents`` until then, are
never selected, and are paid with their team.

Arguments
---------
num_players : int
    3 to 24, default 7.
roles : dict, optional
    Role to count, of ``werewolf``, ``seer``, ``doctor``, ``villager``; villagers
    fill the rest. Default: one wolf per four players (two of seven), one seer,
    from six players one doctor.
discussion : "simultaneous" or "round_robin"
    Whether all speak at once, unheard until all have spoken, or in seat order.
discussion_rounds, wolf_chat_rounds : int
    Rounds of talk per day (default 2) and per night (default 1); 0 is none.
first_phase : "night" or "day"
first_night_kill : bool
    False makes the first night peaceful: only the seer acts.
vote_tie : "random" or "none"
    What a tie does under ``vote_rule="plurality"``: one of the tied, or nobody.
vote_rule : "plurality" or "majority"
    ``majority`` needs more than half of the living, else nobody is out.
allow_abstain : bool
reveal_on_death : "none", "team" or "role"
doctor_self_save : bool
win_rule : "parity" or "extinction"
max_days : int
    Days after which the game is truncated, default 10.
max_speech_chars : int
    Longer speech is cut, default 500.
elimination_discount : float
    In (0, 1], default 0.9; 1 is off (OMAR, arXiv 2602.03109).
invalid_penalty : float
    At least 0, default 0.
prompt_style : "plain" or "terse"
    English, or few fixed words for models of a hundred words.
names : list of str, optional
    Display names, dealt out at random per seed; at least ``num_players``, and
    none of them part of another ("Ana" and "Ana Lee"), which replies could confuse.
private_tags : list of str
    What stands inside ``<tag>…</tag>`` reaches nobody else; default ``["think"]``.
render_mode : None, "human" or "ansi"

Impossible combinations raise ``omar_envs.errors.ConfigError`` at construction.

Version history: v0, first release.
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import AssertOutOfBoundsWrapper, OrderEnforcingWrapper

from omar_envs.parallel import ConversationParallelEnv
from omar_envs.werewolf.env import WerewolfEnv

__all__ = ["env", "parallel_env", "raw_env"]

raw_env = WerewolfEnv


def env(**settings: Any) -> AECEnv[str, Any, Any]:
    """The AEC environment with PettingZoo's checks; arguments in the module's docstring."""
    return OrderEnforcingWrapper(AssertOutOfBoundsWrapper(raw_env(**settings)))


def parallel_env(**settings: Any) -> ConversationParallelEnv:
    """The parallel environment; arguments in the module's docstring."""
    return ConversationParallelEnv(raw_env(**settings))
