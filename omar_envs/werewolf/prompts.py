"""Every word of Werewolf that an agent reads, in two styles.

:class:`PlainPrompts` is English for language models and people.
:class:`TersePrompts` says the same in few fixed words separated by single
spaces, for models of a hundred words. What is special about a role is told in
the role's own words, which are in :mod:`omar_envs.werewolf.roles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from omar_envs.types import SPEAK, Request
from omar_envs.werewolf.roles import ROLE_CLASSES, Learned, Role, Team
from omar_envs.werewolf.rules import Rules, Step

ABSTAIN = "abstain"
PASS = "pass"
BIDS = ("0", "1", "2", "3", "4")


class Player(msgspec.Struct, frozen=True, gc=False):
    """What the rules prompt says of the reader."""

    name: str
    role: str
    partners: Sequence[str]
    persona: str = ""


class Reveal(msgspec.Struct, frozen=True, gc=False):
    """What is told of the dead: the role, only whether it was a werewolf, or nothing."""

    role: str | None = None
    team: Team | None = None


class Speaking(msgspec.Struct, frozen=True, gc=False):
    """How an agent may speak: at most ``max_chars`` characters, or not at all."""

    max_chars: int
    may_pass: bool = False


class About(msgspec.Struct, frozen=True, gc=False):
    """What is the same for all players of all games by the same rules."""

    deck: str
    roles: str
    rules: str


class Prompts(Protocol):
    """What a style must be able to say. Names are display names."""

    def about(self, rules: Rules) -> About:
        """The parts of the rules prompt that depend on nothing else."""

    def system(self, about: About, players: Sequence[str], player: Player) -> str:
        """The rules and the reader's own role."""

    def phase(self, step: Step) -> str:
        """Name of a phase, for readers of the log."""

    def opening(self, step: Step) -> str:
        """Announced when a night or a day begins."""

    def revote(self, names: Sequence[str]) -> str:
        """Announced before another vote between the tied."""

    def ask_talk(self, step: Step, how: Speaking) -> str:
        """Asks for words to everyone."""

    def ask_wolf_chat(self, step: Step, how: Speaking) -> str:
        """Asks a wolf for words to the other wolves."""

    def ask_last_words(self, step: Step, how: Speaking) -> str:
        """Asks the dying for words to everyone."""

    def ask_bid(self, step: Step) -> str:
        """Asks how urgently the reader wants to speak next."""

    def ask_night(self, role: Role, told: str | None, choices: Sequence[str]) -> str:
        """Asks a role for its night act; ``told`` is the name that it is told, if any."""

    def ask_vote(self, rules: Rules, choices: Sequence[str]) -> str:
        """Asks whom to eliminate."""

    def ask_shot(self, choices: Sequence[str]) -> str:
        """Asks the dying hunter whom to shoot."""

    def night_notice(self, role: Role, choice: str) -> str:
        """What a night act looks like in the log, after the name of who acts."""

    def notice(self, verb: str, choice: str) -> str:
        """The same of a ``vote``, ``bid`` or ``shoot``."""

    def killed(self, name: str | None, reveal: Reveal) -> str:
        """Who died in the night, ``None`` if nobody did."""

    def voted_out(self, name: str | None, reveal: Reveal) -> str:
        """Who was voted out, ``None`` if nobody was."""

    def spared(self, name: str, role: str) -> str:
        """Who was voted out and stays."""

    def shot(self, name: str, reveal: Reveal) -> str:
        """Whom a dying hunter shot."""

    def seen(self, name: str, found: Learned) -> str:
        """What an investigation or a medium finds."""

    def end(self, winner: Team | None) -> str:
        """Who has won; ``None`` at the round limit."""

    def invalid(self, text: str) -> str:
        """Told to an agent whose reply could not be read; ``text`` is what it counts as."""


class PlainPrompts:
    """English."""

    def about(self, rules: Rules) -> About:
        told = [f"- {role}: {ROLE_CLASSES[role].text}" for role, n in rules.roles.items() if n]
        return About(_deck_text(rules), "\n".join(told), "\n".join(_rule_lines(rules)))

    def system(self, about: About, players: Sequence[str], player: Player) -> str:
        role = ROLE_CLASSES[player.role]
        own = ""
        if player.partners:
            own = f"Your fellow {role.plural}: {', '.join(player.partners)}.\n"
        elif role.is_wolf:
            own = "You are the only werewolf.\n"
        if player.persona:
            own += f"Your persona: {player.persona}\n"
        return (
            f"You are {player.name}, playing Werewolf with {len(players)} players: "
            f"{', '.join(players)}.\n"
            f"Roles in the game: {about.deck}. Yours is {player.role}.\n"
            f"{about.roles}\n{own}{about.rules}"
        )

    def phase(self, step: Step) -> str:
        return f"{'Night' if step.dark else 'Day'} {step.day}"

    def opening(self, step: Step) -> str:
        return f"{self.phase(step)} begins."

    def revote(self, names: Sequence[str]) -> str:
        return f"The vote decided nothing. There is one more, between {', '.join(names)}."

    def ask_talk(self, step: Step, how: Speaking) -> str:
        return (
            f"Day {step.day}, discussion round {step.round}. "
            f"Speak to everyone, in at most {how.max_chars} characters{_or_pass(how)}."
        )

    def ask_wolf_chat(self, step: Step, how: Speaking) -> str:
        return (
            f"Night {step.day}. Speak to the other werewolves, unheard by anyone else, "
            f"in at most {how.max_chars} characters{_or_pass(how)}."
        )

    def ask_last_words(self, step: Step, how: Speaking) -> str:
        return (
            "You die. Speak your last words to everyone, "
            f"in at most {how.max_chars} characters{_or_pass(how)}."
        )

    def ask_bid(self, step: Step) -> str:
        return (
            f"Day {step.day}, speech {step.round}: who wants it most speaks next. How much do you? "
            f"Nobody sees your answer. From 0, not at all, to 4, at once: {', '.join(BIDS)}."
        )

    def ask_night(self, role: Role, told: str | None, choices: Sequence[str]) -> str:
        return _with_choices(role.ask(told), choices)

    def ask_vote(self, rules: Rules, choices: Sequence[str]) -> str:
        return f"{_ASK_VOTE[rules.votes_are]} Answer with one of: {', '.join(choices)}."

    def ask_shot(self, choices: Sequence[str]) -> str:
        return _with_choices("You die. Whom do you shoot?", choices)

    def night_notice(self, role: Role, choice: str) -> str:
        return "passes." if choice == PASS else f"{role.notice} {choice}."

    def notice(self, verb: str, choice: str) -> str:
        return "abstains." if choice == ABSTAIN else f"{_NOTICE[verb]} {choice}."

    def killed(self, name: str | None, reveal: Reveal) -> str:
        if name is None:
            return "Nobody died in the night."
        return f"{name} was killed in the night." + _reveal_text(name, reveal)

    def voted_out(self, name: str | None, reveal: Reveal) -> str:
        if name is None:
            return "Nobody was voted out."
        return f"{name} was voted out." + _reveal_text(name, reveal)

    def spared(self, name: str, role: str) -> str:
        return f"{name} was voted out, is the {role}, and stays, without a vote from now on."

    def shot(self, name: str, reveal: Reveal) -> str:
        return f"{name} was shot." + _reveal_text(name, reveal)

    def seen(self, name: str, found: Learned) -> str:
        if found.role is not None:
            return f"{name} is {_one(found.role)}."
        return f"{name} is {'a werewolf' if found.team == 'werewolf' else 'not a werewolf'}."

    def end(self, winner: Team | None) -> str:
        return _END[winner]

    def invalid(self, text: str) -> str:
        done = f"it counts as: {text}" if text else "you say nothing"
        return f"Your reply could not be read; {done}."


class TersePrompts:
    """Few fixed words, one space between them."""

    def about(self, rules: Rules) -> About:
        return About("", "", "")

    def system(self, about: About, players: Sequence[str], player: Player) -> str:
        words = ["you", player.name, player.role, "players", *players]
        if player.partners:
            mates = "wolves" if player.role == "werewolf" else ROLE_CLASSES[player.role].plural
            words += [mates, *player.partners]
        if player.persona:
            words += ["persona", player.persona]
        return " ".join(words)

    def phase(self, step: Step) -> str:
        return f"{'night' if step.dark else 'day'} {step.day}"

    def opening(self, step: Step) -> str:
        return self.phase(step)

    def revote(self, names: Sequence[str]) -> str:
        return f"tie {' '.join(names)}"

    def ask_talk(self, step: Step, how: Speaking) -> str:
        return "talk"

    def ask_wolf_chat(self, step: Step, how: Speaking) -> str:
        return "whisper"

    def ask_last_words(self, step: Step, how: Speaking) -> str:
        return "last words"

    def ask_bid(self, step: Step) -> str:
        return " ".join(("bid", *BIDS))

    def ask_night(self, role: Role, told: str | None, choices: Sequence[str]) -> str:
        return " ".join((*(("victim", told) if told else ()), role.verb, *choices))

    def ask_vote(self, rules: Rules, choices: Sequence[str]) -> str:
        return " ".join(("vote", *choices))

    def ask_shot(self, choices: Sequence[str]) -> str:
        return " ".join(("shoot", *choices))

    def night_notice(self, role: Role, choice: str) -> str:
        return f"{role.verb} {choice}"

    def notice(self, verb: str, choice: str) -> str:
        return f"{verb} {choice}"

    def killed(self, name: str | None, reveal: Reveal) -> str:
        return f"{name or 'nobody'} dies {reveal.role or reveal.team or ''}".rstrip()

    def voted_out(self, name: str | None, reveal: Reveal) -> str:
        return f"{name or 'nobody'} out {reveal.role or reveal.team or ''}".rstrip()

    def spared(self, name: str, role: str) -> str:
        return f"{name} stays {role}"

    def shot(self, name: str, reveal: Reveal) -> str:
        return f"{name} shot {reveal.role or reveal.team or ''}".rstrip()

    def seen(self, name: str, found: Learned) -> str:
        word = "werewolf" if found.team == "werewolf" else "good"
        return f"{name} is {found.role or word}"

    def end(self, winner: Team | None) -> str:
        return f"{winner} wins" if winner else "draw"

    def invalid(self, text: str) -> str:
        return f"invalid {text}".rstrip()


STYLES: dict[str, Prompts] = {"plain": PlainPrompts(), "terse": TersePrompts()}

_ASK_VOTE = {
    "open": "Whom do you vote to eliminate? All see your vote.",
    "sealed": "Whom do you vote to eliminate? Nobody sees your vote until all have voted.",
    "secret": "Whom do you vote to eliminate? Nobody ever sees your vote.",
}
_NOTICE = {"vote": "votes for", "bid": "bids", "shoot": "shoots"}
_END: dict[Team | None, str] = {
    None: "The game ends without a winner: the last day has passed.",
    "werewolf": "The werewolves win.",
    "village": "The village wins: no werewolf is left.",
    "jester": "The jester wins alone.",
}
_SHOWN = {
    "none": "nothing is revealed",
    "team": "it is revealed whether they were werewolves",
    "role": "the role is revealed",
}


@lru_cache(maxsize=4096)
def speech_request(style: str, step: Step, max_chars: int, may_pass: bool) -> Request:
    """What all who speak in a step are asked, the same in every game."""
    prompts, how = STYLES[style], Speaking(max_chars, may_pass)
    if step.kind == "discussion":
        text = prompts.ask_talk(step, how)
    elif step.kind == "wolf_chat":
        text = prompts.ask_wolf_chat(step, how)
    else:
        text = prompts.ask_last_words(step, how)
    return Request(SPEAK, text, max_chars=max_chars, may_pass=may_pass)


def _with_choices(question: str, choices: Sequence[str]) -> str:
    return f"{question} Answer with one of: {', '.join(choices)}."


def _or_pass(how: Speaking) -> str:
    return f", or answer {PASS} to say nothing" if how.may_pass else ""


def _deck_text(rules: Rules) -> str:
    return ", ".join(
        f"{count} {role if count == 1 else ROLE_CLASSES[role].plural}"
        for role, count in rules.roles.items()
        if count
    )


def _rule_lines(rules: Rules) -> list[str]:
    wolves_win = (
        "The werewolves win once they are at least half of the living"
        if rules.win_rule == "parity"
        else "The werewolves win once everyone else is dead"
    )
    peaceful_tie = rules.kill_tie == "none" and rules.roles["werewolf"] > 1
    learns_role = rules.seer_learns == "role" and rules.roles["seer"] > 0
    return [
        "Each night the werewolves kill one player; each day everyone talks, then votes "
        f"{'in secret' if rules.voting == 'sealed' else 'in turn'} on whom to eliminate. "
        "The eliminated stay silent.",
        *([] if rules.first_night_kill else ["In the first night nobody is killed."]),
        *([] if rules.first_day_vote else ["On the first day there is no vote."]),
        *(["If werewolves name several equally often, nobody dies."] if peaceful_tie else []),
        *(["A seer learns the role of whom it looks at."] if learns_role else []),
        *_LAST_WORDS[rules.last_words],
        _vote_text(rules),
        f"{wolves_win}; the village wins once no werewolf is left. "
        f"After {_days(rules.max_days)} without a winner the game is a draw. "
        "You win or lose with your team, dead or alive.",
        "Lines that begin with '* ' and the question at the end come from the moderator; any "
        "other line is what the player named at its beginning said, true or not.",
    ]


_LAST_WORDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "day": ("Who is voted out may speak once more before dying.",),
    "all": ("Who is voted out or killed at night may speak once more before dying.",),
}


def _vote_text(rules: Rules) -> str:
    second = " at random" if rules.revote_tie == "random" else " by eliminating nobody"
    again = f"there is one more vote between them, and a tie in that one is settled{second}"
    if rules.vote_rule == "majority":
        rule = "A player named by more than half of those who may vote is out, otherwise "
        rule += (
            "there is one more vote between the most named"
            if rules.vote_tie == "revote"
            else ("nobody")
        )
    else:
        tie = {
            "random": "; a tie is broken at random",
            "none": "; in a tie nobody is",
            "revote": f"; in a tie {again}",
        }
        rule = f"The player with the most votes is out{tie[rules.vote_tie]}"
    abstain = "You may abstain" if rules.allow_abstain else "You may not abstain"
    return f"{rule}. {abstain}; {_reveal_rule(rules)}.{_mayor_text(rules)}"


def _mayor_text(rules: Rules) -> str:
    if not rules.roles["mayor"]:
        return ""
    if rules.mayor_vote == "double":
        return " The mayor's vote counts twice."
    # A majority is never tied.
    return "" if rules.vote_rule == "majority" else " The mayor's vote decides between the tied."


def _reveal_rule(rules: Rules) -> str:
    if rules.reveal_night == rules.reveal_day:
        return f"of the dead {_SHOWN[rules.reveal_night]}"
    return (
        f"of those who die at night {_SHOWN[rules.reveal_night]}, "
        f"of those who die by day {_SHOWN[rules.reveal_day]}"
    )


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def _one(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"


def _reveal_text(name: str, reveal: Reveal) -> str:
    if reveal.role is not None:
        return f" {name} was {_one(reveal.role)}."
    if reveal.team is not None:
        return f" {name} was {'' if reveal.team == 'werewolf' else 'not '}a werewolf."
    return ""
