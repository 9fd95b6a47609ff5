"""Scripted players of what sealed answers settle: they say what they know or mean to do,
listen, and answer once they are sure, or once time is short.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

from omar_envs.sotopia.bot_table import Said, Table, answer, gesture, mentioned, pick
from omar_envs.sotopia.mechanisms.arguments import listed

_PLEDGE = re.compile(r"\bgive (?:all )?(\d+) of my (\d+)")
_CHOICE = re.compile(r"\b(choose|go for|take)\b", re.IGNORECASE)
_CONTENT = re.compile(r"\b(nothing to change|stay with|am ready)\b", re.IGNORECASE)
_CLUE = re.compile(r"About (?P<option>.+?): (?P<text>.+?) \((?P<weight>[+-]\d+)\)")
_DONE = "That is all I know."


def _wait(table: Table, rng: np.random.Generator) -> str:
    """What is left to do for one who has answered; silence might end it before the rest have."""
    waiting = [name for name in table.others if name not in table.answered]
    if not waiting or rng.random() < 0.5:
        return gesture(table.fresh(["nods", "waits", "leans back", "smiles"], rng))
    who = table.call(pick(waiting, rng))
    return table.fresh(
        [
            "I have answered.",
            f"Take your time, {who}.",
            f"It is up to you now, {who}.",
            f"I have made up my mind, {who}. Have you?",
        ],
        rng,
    )


# --- a common friend --------------------------------------------------------------


def find_friend(table: Table, rng: np.random.Generator) -> str:
    """Tell friends, confirm those that others tell, answer the one whom all have."""
    assert table.private is not None
    if table.name in table.answered:
        return _wait(table, rng)
    friends = {friend["name"]: friend for friend in table.private["friends"]}
    known_to = {name: _who_has(table, friend) for name, friend in friends.items()}
    told = [name for name in friends if _tells(table, table.name, friends[name]) == 1]
    shared = max(friends, key=lambda name: sum(known_to[name].values()))
    all_have = sum(known_to[shared].values()) == len(table.others)
    if all_have and shared in told:
        return answer(shared)
    if table.last_chance:
        return answer(shared)
    confirmed = [name for name in friends if 1.0 in known_to[name].values() and name not in told]
    if confirmed:
        both = listed([_particulars(friends[name]) for name in confirmed[:3]])
        return table.fresh([f"I know {both}, too!", f"And so do I: {both}.", f"Oh, {both}?"], rng)
    untold = [name for name in friends if name not in told]
    if not untold:
        return table.fresh(
            [
                "Those are all my friends. Did any of them ring a bell?",
                "I have told you all of mine. Whom else do you know?",
                "Think again: one of mine must be yours, too.",
                "Whom have you not told us about yet?",
            ],
            rng,
        )
    # All are told by about the middle of the time.
    number = -(-len(untold) // max(1, table.moves // 2 - table.moves_made))
    some = [_particulars(friends[name]) for name in untold[:number]]
    lines = [f"Do you know {listed(some, 'or')}?", f"I know {listed(some)}."]
    if number == 1:
        lines.append(f"One friend of mine is {some[0]}.")
    return pick(lines, rng)


def _particulars(friend: dict[str, Any]) -> str:
    details = ", ".join(f"{what}: {value}" for what, value in friend["attributes"].items())
    return f"{friend['name']} ({details})" if details else str(friend["name"])


def _who_has(table: Table, friend: dict[str, Any]) -> dict[str, float]:
    return {name: _tells(table, name, friend) for name in table.others}


def _tells(table: Table, speaker: str, friend: dict[str, Any]) -> float:
    """1 if ``speaker`` has told of this very friend, 0.5 of one of that name, else 0."""
    named = re.compile(rf"{re.escape(friend['name'])}(?!\w)(?:\s*\((?P<details>[^()]*)\))?")
    details = ", ".join(f"{what}: {value}" for what, value in friend["attributes"].items())
    best = 0.0
    for sentence in table.speech(speaker):
        for match in named.finditer(sentence):
            if (match["details"] or "") == details:
                return 1.0
            best = best if match["details"] else 0.5
    return best


# --- what all know together -------------------------------------------------------


def pool_clues(table: Table, rng: np.random.Generator) -> str:
    """Tell the clues, weigh all that are told, answer what weighs most."""
    private = table.private
    assert private is not None
    if table.name in table.answered:
        return _wait(table, rng)
    clues = [(clue["option"], clue["text"], clue["weight"]) for clue in private["clues"]]
    heard = {name: _clues_of(table, name) for name in (table.name, *table.others)}
    all_told = all(
        any(_DONE in said.text for said in table.said if said.speaker == name)
        for name in table.others
    )
    untold = [clue for clue in clues if clue not in heard[table.name]]
    said_all = any(_DONE in said.text for said in table.said if said.speaker == table.name)
    if table.last_chance or (all_told and said_all):
        return answer(_heaviest(private, clues, heard))
    if not said_all:
        number = -(-len(untold) // max(1, min(3, table.moves // 2) - table.moves_made))
        some = " ".join(
            f"About {option}: {text} ({weight:+d})." for option, text, weight in untold[:number]
        )
        lead = pick(("", "", "Here is something. ", "I have heard something. "), rng)
        return f"{lead}{some} {_DONE}".strip() if number >= len(untold) else f"{lead}{some}"
    best = _heaviest(private, clues, heard)
    silent = [name for name in table.others if not heard[name]]
    who = table.call(pick(silent or table.others, rng))
    return table.fresh(
        [
            f"So far {best} looks best to me. What do you know, {who}?",
            f"{who}, is there anything you have not told us yet?",
            f"From all I have heard I would choose {best}.",
            "Let us wait until everybody has told what they know.",
        ],
        rng,
    )


def _clues_of(table: Table, name: str) -> set[tuple[str, str, int]]:
    return {
        (match["option"], match["text"], int(match["weight"]))
        for said in table.said
        if said.speaker == name and said.kind == "speech"
        for match in _CLUE.finditer(said.text)
    }


def _heaviest(
    private: dict[str, Any],
    clues: list[tuple[str, str, int]],
    heard: dict[str, set[tuple[str, str, int]]],
) -> str:
    own = set(clues)
    told = set().union(*heard.values()) - own
    weights = Counter(dict.fromkeys(private["options"], 0))
    for clue in private["common"]:
        weights[clue["option"]] += clue["weight"]
        told.discard((clue["option"], clue["text"], clue["weight"]))
    for option, _, weight in (*clues, *told):
        if option in weights:
            weights[option] += weight
    options: list[str] = private["options"]
    return max(options, key=lambda option: weights[option])


# --- giving -----------------------------------------------------------------------


def give(table: Table, rng: np.random.Generator) -> str:
    """Pledge, hear what the others pledge, and give the same share as they do."""
    private = table.private
    assert private is not None
    if table.name in table.answered:
        return _wait(table, rng)
    has, unit = private["endowment"], private["unit"]
    pledges = {name: share for name in table.others if (share := _pledge(table, name)) is not None}
    own = _pledge(table, table.name)
    shares = sorted(pledges.values())
    matched = round(has * sum(shares) / len(shares)) if shares else has
    if table.last_chance or (own is not None and len(pledges) == len(table.others)):
        return answer(min(has, matched))
    if own is None:
        share = min(has, matched)
        return table.fresh(
            [
                f"I will give {share} of my {has} {unit} if you all do your part.",
                f"If the rest of you do as much, I will give {share} of my {has} {unit}.",
                f"Count on me: I will give {share} of my {has} {unit}, as long as all join in.",
            ],
            rng,
        )
    silent = [name for name in table.others if name not in pledges]
    who = table.call(pick(silent, rng))
    return table.fresh(
        [
            f"And you, {who}, how much will you give?",
            f"We have not heard from you yet, {who}.",
            "The more we all give, the more there is for all of us.",
        ],
        rng,
    )


def _pledge(table: Table, name: str) -> float | None:
    """The share that somebody has last said it would give."""
    found = [pair for sentence in table.speech(name) for pair in _PLEDGE.findall(sentence)]
    if not found or int(found[-1][1]) == 0:
        return None
    return min(1.0, int(found[-1][0]) / int(found[-1][1]))


# --- choosing ---------------------------------------------------------------------


def choose(table: Table, rng: np.random.Generator) -> str:
    """Announce a choice, hear the others', adapt one after another, answer as announced."""
    private = table.private
    assert private is not None
    if table.name in table.answered:
        return _wait(table, rng)
    options, payoffs = tuple(private["options"]), private["payoffs"]
    announced = _announced(table, options)
    own = announced.get(table.name)
    best = _best_choice(payoffs, options, [announced.get(name) for name in table.others], own)
    if table.last_chance:
        # Others count on what was said.
        return answer(own.text if own is not None else best)
    if own is None:
        return _announcement(table, best, rng)
    may_change = table.host == table.name or not table.together
    if best != own.text and may_change:
        return table.fresh(
            [f'Then I will choose "{best}".', f'In that case I will go for "{best}".'], rng
        )
    if len(announced) == 1 + len(table.others) and _nobody_moves(table, announced):
        return answer(own.text)
    silent = [name for name in table.others if name not in announced]
    if silent:
        who = table.call(pick(silent, rng))
        return table.fresh([f"And you, {who}?", f"What will you choose, {who}?"], rng)
    if best != own.text:
        return table.fresh(["I am still thinking.", "Hm.", "Let me think about that."], rng)
    return table.fresh(
        [
            f'I stay with "{own.text}".',
            "I have nothing to change.",
            f'I am ready, and I stay with "{own.text}".',
            "Good. I am ready.",
        ],
        rng,
    )


def _nobody_moves(table: Table, announced: dict[str, Said]) -> bool:
    """Whether all others have said since the last change that they are content, or had time to."""
    last_change = max(said.turn for said in announced.values())
    content = {
        said.speaker
        for said in table.said
        if said.turn > last_change and said.kind == "speech" and _CONTENT.search(said.text)
    }
    enough_turns = (1 if table.together else 2) * (1 + len(table.others))
    return content >= set(table.others) or table.turn - 1 - last_change > enough_turns


def _announcement(table: Table, option: str, rng: np.random.Generator) -> str:
    return table.fresh(
        [
            f'I will choose "{option}".',
            f'I think I will go for "{option}".',
            f'For my part I choose "{option}".',
            f'I would like to go for "{option}".',
        ],
        rng,
    )


def _announced(table: Table, options: tuple[str, ...]) -> dict[str, Said]:
    """The latest announcement of everybody: ``text`` is the option."""
    found: dict[str, Said] = {}
    for said in table.said:
        if said.kind != "speech" or "?" in said.text or not _CHOICE.search(said.text):
            continue
        named = mentioned(said.text, options)
        if named and (said.speaker not in found or found[said.speaker].text != named[-1]):
            found[said.speaker] = said._replace(text=named[-1])
    return {name: said for name, said in found.items() if name in (table.name, *table.others)}


def _best_choice(
    payoffs: dict[str, list[int]],
    options: tuple[str, ...],
    others: list[Said | None],
    own: Said | None,
) -> str:
    """The best answer to what the others have announced; one's own word where it is as good."""
    counts = Counter(said.text for said in others if said is not None)
    silent = sum(said is None for said in others)

    def points(option: str) -> tuple[int, bool]:
        # Who has said nothing yet may follow.
        number = min(counts[option] + silent, len(payoffs[option]) - 1)
        return payoffs[option][number], own is not None and own.text == option

    return max(options, key=points)
