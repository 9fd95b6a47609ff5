"""Every word of Werewolf that an agent reads, in two styles.

:class:`PlainPrompts` is English for language models and people.
:class:`TersePrompts` says the same in few fixed words separated by single
spaces, for models of a hundred words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from omar_envs.werewolf.rules import Rules, Step, Team

ABSTAIN = "abstain"

DEFAULT_NAMES = (
    *("Ana", "Bruno", "Clara", "Diego", "Elena", "Felix", "Greta", "Hugo"),
    *("Irene", "Jonas", "Katya", "Leo", "Mira", "Nadia", "Oscar", "Petra"),
    *("Quentin", "Rosa", "Stefan", "Tara", "Umar", "Vera", "Walter", "Zoe"),
)


class Player(NamedTuple):
    """What the rules prompt says of the reader."""

    name: str
    role: str
    partners: Sequence[str]


class Reveal(NamedTuple):
    """What is told of the dead: the role, only the team, or nothing."""

    role: str | None = None
    team: Team | None = None


class Prompts(Protocol):
    """What a style must be able to say. Names are display names."""

    def system(self, rules: Rules, players: Sequence[str], player: Player) -> str:
        """The rules and the reader's own role."""

    def phase(self, step: Step) -> str:
        """Name of a phase, for readers of the log."""

    def opening(self, step: Step) -> str:
        """Announced when a night or a day begins."""

    def ask_talk(self, step: Step, max_chars: int) -> str:
        """Asks for words to everyone."""

    def ask_wolf_chat(self, step: Step, max_chars: int) -> str:
        """Asks a wolf for words to the other wolves."""

    def ask_choice(self, verb: str, choices: Sequence[str]) -> str:
        """Asks for one of ``choices``; ``verb`` is kill, protect, investigate or vote."""

    def chose(self, verb: str, choice: str) -> str:
        """What a choice looks like in the log, after the chooser's name."""

    def killed(self, name: str | None, reveal: Reveal) -> str:
        """What the night brought."""

    def voted_out(self, name: str | None, reveal: Reveal) -> str:
        """What the vote brought."""

    def seen(self, name: str, team: Team) -> str:
        """What a seer learns."""

    def end(self, winner: Team | None) -> str:
        """Who has won; ``None`` at the round limit."""

    def invalid(self, text: str) -> str:
        """Told to an agent whose reply could not be read; ``text`` is what it counts as."""


class PlainPrompts:
    """English."""

    def system(self, rules: Rules, players: Sequence[str], player: Player) -> str:
        deck = ", ".join(
            f"{count} {role if count == 1 else _PLURAL[role]}"
            for role, count in rules.roles.items()
            if count
        )
        lines = [
            f"You are {player.name}, playing Werewolf with {len(players)} players: "
            f"{', '.join(players)}.",
            f"Roles in the game: {deck}. Yours is {player.role}.",
            _ROLE_TEXT[player.role],
        ]
        if player.partners:
            lines.append(f"Your fellow werewolves: {', '.join(player.partners)}.")
        elif player.role == "werewolf":
            lines.append("You are the only werewolf.")
        wolves_win = (
            "The werewolves win once they are at least half of the living"
            if rules.win_rule_is_parity
            else "The werewolves win once everyone else is dead"
        )
        lines += [
            "Each night the werewolves kill one player; each day everyone talks, then votes "
            "in secret on whom to eliminate. The eliminated stay silent.",
            *([] if rules.first_night_kill else ["In the first night nobody is killed."]),
            _vote_text(rules),
            f"{wolves_win}; the village wins once no werewolf is left. "
            f"After {rules.max_days} days without a winner the game is a draw. "
            "You win or lose with your team, dead or alive.",
            "Lines that begin with '* ' and the question at the end come from the moderator; any "
            "other line is what the player named at its beginning said, true or not.",
        ]
        return "\n".join(lines)

    def phase(self, step: Step) -> str:
        name = "Night" if step.kind in ("wolf_chat", "night") else "Day"
        return f"{name} {step.day}"

    def opening(self, step: Step) -> str:
        return f"{self.phase(step)} begins."

    def ask_talk(self, step: Step, max_chars: int) -> str:
        return (
            f"Day {step.day}, discussion round {step.round}. "
            f"Speak to everyone, in at most {max_chars} characters."
        )

    def ask_wolf_chat(self, step: Step, max_chars: int) -> str:
        return (
            f"Night {step.day}. Speak to the other werewolves, unheard by anyone else, "
            f"in at most {max_chars} characters."
        )

    def ask_choice(self, verb: str, choices: Sequence[str]) -> str:
        return f"{_QUESTION[verb]} Answer with one of: {', '.join(choices)}."

    def chose(self, verb: str, choice: str) -> str:
        if choice == ABSTAIN:
            return "abstains."
        return f"{_CHOSE[verb]} {choice}."

    def killed(self, name: str | None, reveal: Reveal) -> str:
        if name is None:
            return "Nobody died in the night."
        return f"{name} was killed in the night." + _reveal_text(name, reveal)

    def voted_out(self, name: str | None, reveal: Reveal) -> str:
        if name is None:
            return "Nobody was voted out."
        return f"{name} was voted out." + _reveal_text(name, reveal)

    def seen(self, name: str, team: Team) -> str:
        return f"{name} is {'a werewolf' if team == 'werewolf' else 'not a werewolf'}."

    def end(self, winner: Team | None) -> str:
        if winner is None:
            return "The game ends without a winner: the last day has passed."
        if winner == "werewolf":
            return "The werewolves win."
        return "The village wins: no werewolf is left."

    def invalid(self, text: str) -> str:
        done = f"it counts as: {text}" if text else "you say nothing"
        return f"Your reply could not be read; {done}."


class TersePrompts:
    """Few fixed words, one space between them."""

    def system(self, rules: Rules, players: Sequence[str], player: Player) -> str:
        words = ["you", player.name, player.role, "players", *players]
        if player.partners:
            words += ["wolves", *player.partners]
        return " ".join(words)

    def phase(self, step: Step) -> str:
        name = "night" if step.kind in ("wolf_chat", "night") else "day"
        return f"{name} {step.day}"

    def opening(self, step: Step) -> str:
        return self.phase(step)

    def ask_talk(self, step: Step, max_chars: int) -> str:
        return "talk"

    def ask_wolf_chat(self, step: Step, max_chars: int) -> str:
        return "whisper"

    def ask_choice(self, verb: str, choices: Sequence[str]) -> str:
        return " ".join((verb, *choices))

    def chose(self, verb: str, choice: str) -> str:
        return f"{verb} {choice}"

    def killed(self, name: str | None, reveal: Reveal) -> str:
        return f"{name or 'nobody'} dies {reveal.role or reveal.team or ''}".rstrip()

    def voted_out(self, name: str | None, reveal: Reveal) -> str:
        return f"{name or 'nobody'} out {reveal.role or reveal.team or ''}".rstrip()

    def seen(self, name: str, team: Team) -> str:
        return f"{name} is {'werewolf' if team == 'werewolf' else 'good'}"

    def end(self, winner: Team | None) -> str:
        return f"{winner} wins" if winner else "draw"

    def invalid(self, text: str) -> str:
        return f"invalid {text}".rstrip()


STYLES: dict[str, Prompts] = {"plain": PlainPrompts(), "terse": TersePrompts()}

_ROLE_TEXT = {
    "villager": "Villagers know nothing but what they hear: find the werewolves by talk and vote.",
    "werewolf": "Werewolves kill at night and pass for villagers by day.",
    "seer": "Each night the seer learns whether one player is a werewolf.",
    "doctor": "Each night the doctor protects one player from the werewolves.",
}
_PLURAL = {
    "villager": "villagers",
    "werewolf": "werewolves",
    "seer": "seers",
    "doctor": "doctors",
}
_QUESTION = {
    "kill": "Whom do the werewolves kill tonight? The player whom most werewolves name dies.",
    "protect": "Whom do you protect tonight?",
    "investigate": "Whom do you investigate tonight?",
    "vote": "Whom do you vote to eliminate? Nobody sees your vote until all have voted.",
}
_CHOSE = {
    "kill": "names as victim:",
    "protect": "protects",
    "investigate": "investigates",
    "vote": "votes for",
}


def _vote_text(rules: Rules) -> str:
    if rules.vote_rule == "majority":
        rule = "A player named by more than half of the living is out, otherwise nobody"
    elif rules.vote_tie == "random":
        rule = "The player with the most votes is out; a tie is broken at random"
    else:
        rule = "The player with the most votes is out; in a tie nobody is"
    shown = {
        "none": "nothing is revealed of the dead",
        "team": "the team of the dead is revealed",
        "role": "the role of the dead is revealed",
    }[rules.reveal_on_death]
    abstain = "You may abstain" if rules.allow_abstain else "You may not abstain"
    return f"{rule}. {abstain}; {shown}."


def _reveal_text(name: str, reveal: Reveal) -> str:
    if reveal.role is not None:
        return f" {name} was a {reveal.role}."
    if reveal.team is not None:
        return f" {name} was {'' if reveal.team == 'werewolf' else 'not '}a werewolf."
    return ""
