"""Social scenarios in the manner of SOTOPIA, version 0.

Two to eight characters with goals of their own meet in a scenario and talk. What
comes of it is computed where the scenario allows it (deals, prices, dates, joint
projects), else scored by a judge. The form is that of SOTOPIA (Zhou et al., arXiv
2310.11667), the simultaneous turns are OMAR's (arXiv 2602.03109).

========================  =====================================================
Import                    ``from omar_envs import sotopia_v0``
Agents                    ``agent_0`` … ``agent_{n-1}``, 2 to 8 of them
Actions                   text, any ``str``: speech, or an act as a JSON object
Observation               ``{"text": str}``, the same space for every agent
Parallel API              yes, ``parallel_env``: acts for all of ``acting`` at once
Registry                  ``omar/sotopia-v0`` (PettingZoo 1.27 and later)
Turns                     simultaneous, in turn, or by lot
========================  =====================================================

**Course.** Each of ``max_turns`` turns is one stage. In ``simultaneous`` order all who
are present act, unseen by one another; in ``round_robin`` one after another, a turn
each, in seat order; in ``random`` order who acts is drawn for each turn.

**Observation.** The scenario, the participants, the agent's own profile and goal, what
it may know of the others, how to act, all that it has heard and seen, and the question
if it is its move. ``infos[agent]`` has ``request``, ``messages``, ``new_messages``,
``alive`` (false once it has left), ``role`` (always ``None``), ``reward_components``,
``invalid_actions``; ``env.unwrapped.view(agent)`` is the same as chat messages that
only grow at the end. Its ``facts`` are for programs: ``private`` (the agent's own values where
the outcome is computed), ``standing`` and ``accepted`` proposals, who has ``answered``, and more.

What is known of the others depends on the relationship:

=====================  ==================================================================
Relationship           What is told beside the name
=====================  ==================================================================
``stranger`` (0)       nothing
``know_by_name`` (1)   nothing
``acquaintance`` (2)   age, gender, pronouns, occupation, public information
``friend`` (3)         also personality and values
``romantic`` (4)       as for friends
``family`` (5)         as for friends
=====================  ==================================================================

Secrets are never told, goals only where ``omniscient``, and even there without the
``<extra_info>``, ``<strategy_hint>`` and ``<clarification_hint>`` in them, which are for
their agent alone. ``<p viewer="…">`` in a scenario is for its viewers alone; what is for
the viewer ``environment`` reaches no participant.

**Actions.** Plain text is speech. An object does more::

    {"action_type": "non-verbal communication", "argument": "raises an eyebrow"}
    {"action_type": "speak", "argument": "Not in front of him.", "to": ["Noor"]}

``none``, ``speak``, ``non-verbal communication``, ``action`` and ``leave`` are SOTOPIA's
types. ``to`` names those who alone hear or see it. Scenarios with a computed outcome also
take some of ``propose``, ``accept`` and ``answer``, which are for all to see (of a sealed
answer only that it was given), as an object or as plain words that are the whole reply
(``propose {"price": 40}``, ``accept``, ``answer "Tuesday"``); the
observation says which and how. Text is data: nothing in it is expanded or taken for a
mark. An act that cannot be read, or that is against the rules, becomes ``none``; its agent
is told why, and it counts in ``invalid_actions``.

**Rewards** are sums of components. ``outcome``, at the end: the computed score, 0 to 1,
with ``reward="outcome"``. ``judge``, at the end, or spread over acts by their importance where
the judge weighs them: ``judge_weight`` times the judge's, with ``reward="judge"``; a judgement
that is not ``ok`` pays nothing, leaves the component ``None`` in the Episode and stands in
``infos[agent]["judge_status"]``. ``invalid``, at once: ``-invalid_penalty`` per invalid act.

**End.** All terminate once everything is settled, once nothing can be settled any more,
once fewer than ``min_present`` are left, or after more than ``max_idle_turns`` turns in a
row in which nobody did anything. After ``max_turns`` turns the game is truncated. Everybody
is told that limit, and what is paid then is all that the game is worth: a learner should not
bootstrap beyond it (``Episode.outcome["final_rewards"]`` says so). Whoever has left stays in
``agents``, hears nothing more but how it ended, is not selected, and is paid at the end.
``Episode.outcome`` has ``reason`` (``settled``, ``broken_off``, ``left``, ``idle`` or
``max_turns``), ``turns``, ``final_rewards``, ``left``, ``setting`` (the whole scenario and
cast, for judges and readers), and where the outcome is computed ``settled``, ``deal``, ``points``,
``scores`` and ``measures``.

Arguments
---------
scenario : str, EnvironmentProfile, a list of these, or ScenarioSet
    Key of a shipped scenario (:mod:`omar_envs.sotopia.library`), a scenario of your own or
    an imported one, or several with as many participants each, of which every ``reset``
    draws one. Of a set, as :mod:`omar_envs.sotopia.importer` reads it, every ``reset`` draws a
    combination of scenario and cast that fits ``num_agents`` and ``reward``; the name of a
    ``.json`` file that ``omar-envs sotopia import --out`` wrote means the set in it. Default: a
    shipped scenario for ``num_agents`` whose outcome is computed.
agents : list of str or AgentProfile, optional
    The characters in seat order: shipped ones by key or name, or your own. Default: every
    ``reset`` draws one of the casts that are shipped for the scenario, or any characters
    where there are none.
num_agents : int
    2 to 8. Default: as many as the scenario has, 2 if that is not given either.
order : "simultaneous", "round_robin" or "random"
max_turns : int
    Default 20.
max_idle_turns : int, optional
    Default 2; ``None`` never ends an idle conversation before its time.
min_present : int
    Default 2: it ends when all but one have left.
omniscient : bool
    Whether all know one another's goals, default False.
reward : "outcome", "judge" or "none"
judge : Judge, optional
    Scores the finished game; see ``omar_envs.types.Judge`` and ``omar_envs.judge``.
judge_weight : float
    Default 1.
invalid_penalty : float
    At least 0, default 0.
max_speech_chars : int
    What is said or done is cut here, default 2000 characters.
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
from omar_envs.sotopia.env import SotopiaEnv

__all__ = ["env", "parallel_env", "raw_env"]

raw_env = SotopiaEnv


def env(*arguments: Any, **settings: Any) -> AECEnv[str, Any, Any]:
    """The AEC environment with PettingZoo's checks; arguments in the module's docstring."""
    return CheckedEnv(raw_env(*arguments, **settings))


def parallel_env(*arguments: Any, **settings: Any) -> ConversationParallelEnv:
    """The parallel environment; arguments in the module's docstring."""
    return ConversationParallelEnv(raw_env(*arguments, **settings))
