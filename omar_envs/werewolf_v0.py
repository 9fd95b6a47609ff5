"""Werewolf, version 0.

One language model can play every seat: villagers, werewolves and up to ten
special roles talk by day and vote; by night the wolves kill.

========================  =====================================================
Import                    ``from omar_envs import werewolf_v0``
Agents                    ``player_0`` … ``player_{n-1}``, 3 to 24 of them
Actions                   text, any ``str``; ``Request`` says what is asked
Observation               ``{"text": str}``, the same space for every agent
Parallel API              yes, ``parallel_env``: acts for all of ``acting`` at once
Registry                  ``omar/werewolf-v0`` (PettingZoo 1.27 and later)
Turns                     simultaneous, in turn, or by bidding
========================  =====================================================

**Schedule.** A night, then a day, and so on. Night: ``wolf_chat_rounds`` rounds
of talk among the wolves (none if one is left), then all at once the wolves name
a victim, doctors protect, seers investigate; then the witch, who is told the
victim. Day: ``discussion_rounds`` of talk, then a vote. Deaths count once the
last words and shots that follow from them are done; then it is asked who has won.

**Night order.** 1. Wolves, doctors and seers act unseen by one another, and all
their acts count, even of who dies in this night. 2. The victim is whom most
wolves named (``kill_tie``). 3. The witch heals it, poisons another, or passes.
4. The victim dies unless protected or healed (two protections are one); the
poisoned die, protected or not. A hunter who dies shoots, unless it was poisoned.

======================  ========  =====================================================
Role                    Team      What it does
======================  ========  =====================================================
``villager``            village   talks and votes
``werewolf``            werewolf  kills at night; knows the other wolves
``seer``                village   learns each night whether one player is a werewolf
``doctor``              village   protects one player each night from the wolves
``witch``               village   heals once, poisons once, at most one a night
``hunter``              village   shoots one player when it dies
``medium``              village   learns whether those voted out were werewolves
``possessed``           werewolf  wins with the wolves; seen and counted as human
``mayor``               village   its vote counts twice, or breaks ties
``mason``               village   masons (two or more) know one another
``idiot``               village   the first vote out only takes its vote away
``jester``              jester    wins alone, at once, by being voted out
======================  ========  =====================================================

**Observation.** All that the agent may know, as text: the rules and its own role,
every message whose audience holds it, and at the end the question, if it is its
move. ``infos[agent]`` has ``request``, ``messages``, ``new_messages``, ``alive``,
``role`` (its own), ``reward_components``, ``invalid_actions``;
``env.unwrapped.view(agent)`` is the same as chat messages that only grow at the
end.

**Actions.** ``SPEAK`` takes free text. ``CHOOSE`` takes one of
``request.choices``: display names, also ``abstain`` in votes where allowed,
``pass`` for the witch (naming the victim heals it, naming another player poisons
it), ``0`` to ``4`` in bids. Kill: the living who are no wolves. Vote, investigate,
shoot: the living others. Protect: the living others, and oneself where allowed.
What cannot be read becomes silence, an abstention, a pass or a bid of 0, or where a
choice is compulsory a random legal one, and counts in ``invalid_actions``.

**Rewards** are sums of components. ``outcome``, at the end: a win +1 times
``elimination_discount`` for each day that began after the player's death, a loss
−1, the day limit 0. ``invalid``, at once: ``-invalid_penalty`` per unreadable
reply. Only if switched on: ``format`` (``-format_penalty`` per reply that was read
only leniently: a choice that is not verbatim a label, speech that was cut),
``length`` (``-length_penalty`` times the share of ``max_chars`` that a speech used)
and ``judge`` (``judge_weight`` times the judge's reward for the agent: the mean of its scores, or
what the judge's own scale says, at the end or spread over acts by their importance). A
judgement that is not ``ok`` pays nothing, leaves the component ``None`` in the Episode and
stands in ``infos[agent]["judge_status"]``.

**End.** The village wins when no wolf is left. The wolves win by ``parity``, once
they are at least half of the living, or by ``extinction``, once nobody else lives;
the possessed and the jester count among the others. After ``max_days`` days
without a winner the game is truncated, ``outcome["reason"]`` is ``"max_days"`` and
nobody has won. Dead agents stay in ``agents`` until then, are never selected, and
are paid with their team.

Arguments
---------
preset : str, optional
    A set of defaults that reproduces somebody's set-up: ``classic``, ``omar``,
    ``arena8``, ``mindgames6``, ``kaggle8``, ``aiwolf5``, ``aiwolf13``, ``witch9``,
    ``mini4``. What each takes over and where it differs: ``docs/presets.md``.
num_players : int
    3 to 24, default 7.
roles : dict, optional
    Role to count; villagers fill the rest. Default: one wolf per four players (two
    of seven), one seer, from six players one doctor.
discussion : "simultaneous", "round_robin", "random_order", "daily_order" or "bidding"
    All speak at once, unheard until all have spoken; in seat order; in an order
    drawn for each round, or for each day; or, one speech at a time, who bids
    highest (each bids 0 to 4 in secret; a tie goes to whom the talk of the day
    named last, then to who has spoken least on the day, then to chance).
discussion_rounds, wolf_chat_rounds : int
    Rounds of talk per day (default 2; when bidding, speeches per day) and per
    night (default 1); 0 is none.
max_speech_chars : int
    Longer speech is cut, default 500 characters.
speech_budget : int, optional
    Characters of talk per player and day; whoever has used it up is not asked.
allow_silence : bool
    Whether an empty reply or ``pass`` is a valid silence, default False.
last_words : "none", "day" or "all"
    Whether those voted out, or also those killed at night, speak once more.
first_phase : "night" or "day"
first_night_kill : bool
    False makes the first night peaceful: wolves talk and seers act, all others sleep.
kill_tie : "random" or "none"
    What a tie between the wolves does: one of the tied dies, or nobody.
first_day_vote : bool
    False makes the first day one of talk only.
voting : "sealed" or "sequential"
    Nobody sees a vote until all have voted; or all vote one after another, in seat
    order or, where the talk goes in a drawn order, in one drawn for the vote.
show_votes : bool
    False keeps sealed votes secret for good: only what comes of them is told.
vote_rule : "plurality" or "majority"
    ``majority`` needs more than half of those who may vote, else nobody is out.
vote_tie : "random", "none" or "revote"
    What a tie does under ``plurality``: one of the tied goes, nobody, or there is
    one more vote among the tied. Under ``majority`` only ``revote`` has a meaning:
    one more vote between the two most named if nobody has a majority.
revote_tie : "none" or "random"
    What a tie in that second vote does.
allow_abstain, allow_self_vote : bool
    Default True, and False.
seer_learns : "team" or "role"
    Whether a player is a werewolf, or its role.
reveal_on_death : "none", "team" or "role", or a pair of them
    What is told of the dead; a pair is for deaths by night and by day. ``team``
    tells whether it was a werewolf, which a possessed is not.
doctor_self_save, doctor_repeat_save : bool
    Whether a doctor may protect itself, and the same player two nights running.
mayor_vote : "double" or "tiebreak"
win_rule : "parity" or "extinction"
max_days : int
    Days after which the game is truncated, default 10.
outcome_reward : "plus_minus" or "win_only"
    A loss is −1, or 0.
elimination_discount : float
    In (0, 1], default 0.9; 1 is off (OMAR, arXiv 2602.03109).
zero_sum : bool
    Subtracts the mean over all players from ``outcome``, so that it sums to zero;
    excludes penalties and a judge.
invalid_penalty, format_penalty, length_penalty : float
    At least 0, default 0.
judge : Judge, optional
    Scores the finished game; see ``omar_envs.types.Judge``.
judge_weight : float
    Default 1.
prompt_style : "plain" or "terse"
    English, or few fixed words for models of a hundred words.
names : list of str, optional
    Display names, dealt out at random per seed; at least ``num_players``, and
    none of them part of another ("Ana" and "Ana Lee"), which replies could confuse.
personas : list of str or "default", optional
    A line on how to play for each player, dealt out at random per seed and told to
    that player alone.
private_tags : list of str
    What stands inside ``<tag>…</tag>`` reaches nobody else; default ``["think"]``.
render_mode : None, "human" or "ansi"
    The all-knowing log, private messages marked.

Impossible values and combinations raise ``omar_envs.errors.ConfigError`` at
construction, unknown arguments ``TypeError``.

Version history: v0, first release.
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv

from omar_envs.checks import CheckedEnv
from omar_envs.parallel import ConversationParallelEnv
from omar_envs.werewolf.env import WerewolfEnv

__all__ = ["env", "parallel_env", "raw_env"]

raw_env = WerewolfEnv


def env(**settings: Any) -> AECEnv[str, Any, Any]:
    """The AEC environment with PettingZoo's checks; arguments in the module's docstring."""
    return CheckedEnv(raw_env(**settings))


def parallel_env(**settings: Any) -> ConversationParallelEnv:
    """The parallel environment; arguments in the module's docstring."""
    return ConversationParallelEnv(raw_env(**settings))
