"""What a judge looks for: rubrics as data, and the four that come along.

``sotopia`` has the seven dimensions and ranges of SOTOPIA-Eval (Zhou et al., arXiv
2310.11667, section 3), ``omar`` the five further measures of OMAR (Jiang et al.,
arXiv 2602.03109); ``turn_quality`` and ``importance`` (Sotopia-RL, arXiv 2508.03905)
score single acts. The wording is this project's.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import cached_property
from typing import Literal

import msgspec

from omar_envs.errors import ConfigError

MAX_RANGE = 100
"""A dimension's highest score is at most this far above its lowest."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Dimension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is scored.

    Attributes:
        name: lower case, digits and underscores; its key in the answer.
        description: what to look for, and what the ends of the range mean.
        low, high: the range, both ends in it; scores are whole numbers.
        weight: its share in rewards of scale ``unit`` and ``rubric``.

    Raises:
        ConfigError: the name, the range or the weight is impossible.
    """

    name: str
    description: str
    low: int
    high: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise ConfigError(
                "a dimension's name is lower case letters, digits and underscores, up to 64: "
                f"got {self.name!r}"
            )
        if not isinstance(self.description, str):
            raise ConfigError(f"{self.name}: description must be a text: got {self.description!r}")
        if not (type(self.low) is int and type(self.high) is int):
            raise ConfigError(
                f"{self.name}: low and high must be whole numbers: "
                f"got {self.low!r} and {self.high!r}"
            )
        if not 0 < self.high - self.low <= MAX_RANGE:
            raise ConfigError(
                f"{self.name}: high must be above low, by at most {MAX_RANGE}: "
                f"got {self.low} to {self.high}"
            )
        if not _is_number(self.weight) or self.weight < 0:
            raise ConfigError(f"{self.name}: weight must be a number from 0: got {self.weight!r}")


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What is scored, and what the scores are worth.

    Attributes:
        name: as a dimension's.
        dimensions: at least one, of different names.
        instructions: what the judge is told beside the dimensions.
        unit: whether one score is of a participant's whole episode, or of one act.
        factor, offset: the reward of scale ``rubric`` is ``offset + factor · m``, with m
            the mean of the scores, weighted by the dimensions' weights.

    Raises:
        ConfigError: what it holds is impossible.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    instructions: str = ""
    unit: Literal["episode", "act"] = "episode"
    factor: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise ConfigError(
                "a rubric's name is lower case letters, digits and underscores, up to 64: "
                f"got {self.name!r}"
            )
        if not isinstance(self.dimensions, tuple) or not all(
            isinstance(dimension, Dimension) for dimension in self.dimensions
        ):
            raise ConfigError(f"rubric {self.name}: dimensions must be a tuple of Dimension")
        if not isinstance(self.instructions, str):
            raise ConfigError(
                f"rubric {self.name}: instructions must be a text: got {self.instructions!r}"
            )
        if self.unit not in ("episode", "act"):
            raise ConfigError(
                f"rubric {self.name}: unit must be 'episode' or 'act': got {self.unit!r}"
            )
        names = [dimension.name for dimension in self.dimensions]
        if not names or len(set(names)) < len(names):
            raise ConfigError(
                f"rubric {self.name} needs dimensions of different names: got {names}"
            )
        if not any(dimension.weight for dimension in self.dimensions):
            raise ConfigError(f"rubric {self.name}: one dimension's weight must be above 0")
        for name, value in (("factor", self.factor), ("offset", self.offset)):
            if not _is_number(value):
                raise ConfigError(
                    f"rubric {self.name}: {name} must be a finite number: got {value!r}"
                )

    @cached_property
    def version(self) -> str:
        """Name and content: ``sotopia@1a2b3c4d``. Any change changes it."""
        content = msgspec.json.encode(self, order="deterministic")
        return f"{self.name}@{hashlib.sha256(content).hexdigest()[:8]}"


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -math.inf < value < math.inf


SOTOPIA = Rubric(
    name="sotopia",
    instructions=(
        "Score each participant on its own conduct and from its own point of view, in the "
        "situation, with the background, the goal and the secret that the document gives it."
    ),
    dimensions=(
        Dimension(
            "believability",
            "Does the participant talk and act as a real person with this background would? "
            "Look for natural speech (no needless repetition, no empty courtesies without "
            "end, no speech in another's name) and for conduct that fits its character, "
            "knowledge and relationships. 0: plainly a machine or out of character; 10: "
            "indistinguishable from that person.",
            0,
            10,
        ),
        Dimension(
            "relationship",
            "How does the participant's bond with the others, and its standing among them, "
            "change by this interaction, compared with before? -5: a bond is broken or "
            "badly harmed; 0: no change; 5: a bond is deeply strengthened.",
            -5,
            5,
        ),
        Dimension(
            "knowledge",
            "How much does the participant learn in this interaction that is new to it and "
            "of use? What it knew before does not count. 0: nothing; 10: much that matters.",
            0,
            10,
        ),
        Dimension(
            "secret",
            "Does the participant keep what it must keep to itself, its secret or its hidden "
            "intention? -10: all of it is given away; in between: hints that the others could "
            "follow; 0: nothing is given away, or there is nothing to keep.",
            -10,
            0,
        ),
        Dimension(
            "social_rules",
            "Does the participant break laws, moral rules or the norms of conduct in this "
            "situation? -10: a grave crime or violation; in between: rudeness, deceit or "
            "breach of duty by its gravity; 0: none broken.",
            -10,
            0,
        ),
        Dimension(
            "financial_and_material_benefits",
            "What does the participant gain or lose in money, goods or other material "
            "advantage, now or by what was agreed? -5: a great loss; 0: nothing either way; "
            "5: a great gain.",
            -5,
            5,
        ),
        Dimension(
            "goal",
            "How far does the participant reach its own goal as the document states it, by the "
            "end of the interaction? Count what was achieved, not what was attempted or "
            "claimed. 0: not at all; 10: fully.",
            0,
            10,
        ),
    ),
)

OMAR = Rubric(
    name="omar",
    instructions=(
        "Score how skilfully each participant deals with the others, given its own goal or role."
    ),
    dimensions=(
        Dimension(
            "compromise_seeking",
            "Does the participant look for middle ground, make and answer concessions, and "
            "propose terms that others can accept? 0: never; 10: throughout and well.",
            0,
            10,
        ),
        Dimension(
            "persuasion",
            "Does the participant move others to its view by reasons, evidence or appeals that "
            "fit them? Judge by what the others then say and do. 0: moves nobody; 10: wins "
            "over those who were against it.",
            0,
            10,
        ),
        Dimension(
            "strategic_commitment",
            "Does the participant follow a plan towards its goal over many turns, adapt it to "
            "what happens, and stand by it? 0: aimless or self-defeating; 10: consistent and "
            "adaptive.",
            0,
            10,
        ),
        Dimension(
            "empathy",
            "Does the participant notice what others feel and need, and answer to that? 0: "
            "ignores or hurts them; 10: understands them and shows it fittingly.",
            0,
            10,
        ),
        Dimension(
            "mutual_benefit",
            "Does the participant work for results that are good for the others as well as for "
            "itself (in a team game: for its whole team)? 0: takes all or wrecks all; 10: "
            "finds results from which everybody concerned gains.",
            0,
            10,
        ),
    ),
)

TURN_QUALITY = Rubric(
    name="turn_quality",
    unit="act",
    instructions=(
        "Tell sound acts from degenerate ones. Whether an act is wise, honest or kind does not "
        "matter here, nor whether you agree with it."
    ),
    dimensions=(
        Dimension(
            "sound",
            "0: the act is degenerate, that is: it repeats itself or an earlier act of the same "
            "participant with little new; or it is gibberish, broken text or markup; or it "
            "is in another language than the conversation without a reason; or it says nothing "
            "at all; or it speaks to a user or a machine instead of to the others. 1: it is an "
            "act that a person could make in this situation.",
            0,
            1,
        ),
    ),
)

IMPORTANCE = Rubric(
    name="importance",
    unit="act",
    instructions=(
        "Say for each act how much it did for what the participant came to at the end, good or "
        "bad, compared with its other acts."
    ),
    dimensions=(
        Dimension(
            "importance",
            "0: made no difference; 1: a little; 2: clearly mattered; 3: decisive.",
            0,
            3,
        ),
    ),
)

RUBRICS: dict[str, Rubric] = {
    rubric.name: rubric for rubric in (SOTOPIA, OMAR, TURN_QUALITY, IMPORTANCE)
}
"""The shipped rubrics by name. Only those of unit ``episode`` can be a judge's own."""
