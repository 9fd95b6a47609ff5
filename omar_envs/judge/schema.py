"""The answer's form: a schema that an endpoint can hold it to, and a reader that trusts nobody.

For every key (a participant, or an act), for every dimension, an object of
``reasoning`` and ``score``, in that order: a score that stands first is justified
afterwards instead of reached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from omar_envs.judge.rubrics import Dimension, Rubric
from omar_envs.parsing import clean, single_line

_THINKING = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"```[a-z]*\s*\n(.*)\n\s*```", re.DOTALL)
_PARTS = ["reasoning", "score"]
_LONGEST_QUOTE = 60


class AnswerError(ValueError):
    """An answer that is not what was asked for: what is wrong, and where."""


class Score(NamedTuple):
    """One dimension of one participant, or of one act."""

    reasoning: str
    score: int


Sheet = dict[str, dict[str, Score]]
"""Scores by key and dimension."""


@lru_cache(maxsize=256)
def answer_schema(keys: tuple[str, ...], rubric: Rubric) -> dict[str, Any]:
    """``response_format`` with the strict JSON schema of a :data:`Sheet`.

    The dimensions stand once, however many keys there are: endpoints limit how much
    a schema may list.
    """
    dimensions = {dimension.name: _score_schema(dimension) for dimension in rubric.dimensions}
    schema = {
        **_closed({key: {"$ref": "#/$defs/scores"} for key in keys}),
        "$defs": {"scores": _closed(dimensions)},
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": rubric.name, "strict": True, "schema": schema},
    }


def read_answer(text: str, keys: Sequence[str], rubric: Rubric) -> Sheet:
    """Read an answer; thinking before it and a code fence around it do not matter.

    Raises:
        AnswerError: it is not JSON, or not exactly the object that was asked for:
            something is missing, unknown, given twice, of another type or out of range.
    """
    sheet = _object(_parsed(text), keys, "the answer")
    return {key: _scores(sheet[key], rubric, key) for key in keys}


def _scores(value: object, rubric: Rubric, where: str) -> dict[str, Score]:
    names = [dimension.name for dimension in rubric.dimensions]
    found = _object(value, names, where)
    return {
        dimension.name: _score(found[dimension.name], dimension, f"{where}.{dimension.name}")
        for dimension in rubric.dimensions
    }


def _score(value: object, dimension: Dimension, where: str) -> Score:
    parts = _object(value, _PARTS, where)
    if list(parts) != _PARTS:
        raise AnswerError(f"{where}: reasoning must stand before score")
    reasoning, score = parts["reasoning"], parts["score"]
    if not isinstance(reasoning, str):
        raise AnswerError(f"{where}.reasoning must be a string: got {_quote(reasoning)}")
    if isinstance(score, float) and score.is_integer():
        score = int(score)
    if isinstance(score, bool) or not isinstance(score, int):
        raise AnswerError(f"{where}.score must be a whole number: got {_quote(score)}")
    if not dimension.low <= score <= dimension.high:
        raise AnswerError(
            f"{where}.score must be from {dimension.low} to {dimension.high}: got {_quote(score)}"
        )
    return Score(clean(reasoning), score)


def _object(value: object, keys: Sequence[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AnswerError(f"{where} must be an object: got {_quote(value)}")
    if missing := [key for key in keys if key not in value]:
        raise AnswerError(f"{where} lacks {', '.join(missing)}")
    if unknown := [key for key in value if key not in keys]:
        raise AnswerError(f"{where} has what nobody asked for: {_quote(unknown)}")
    return value


def _parsed(text: str) -> object:
    text = _THINKING.sub("", text, count=1).strip()
    if not text:
        raise AnswerError("the answer is empty")
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    try:
        return json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_number)
    except AnswerError:
        raise
    except RecursionError:
        raise AnswerError("the answer is nested too deep") from None
    except ValueError as error:
        raise AnswerError(f"the answer is not one JSON object: {error}") from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise AnswerError(f"{_quote(twice)} stands twice in one object")
    return found


def _no_number(constant: str) -> object:
    raise AnswerError(f"{constant} is no number")


def _quote(value: object) -> str:
    quoted = single_line(clean(repr(value)))
    return quoted if len(quoted) <= _LONGEST_QUOTE else f"{quoted[:_LONGEST_QUOTE]}…"


def _score_schema(dimension: Dimension) -> dict[str, Any]:
    # An enumeration, since strict endpoints do not all know minimum and maximum.
    score = {"type": "integer", "enum": list(range(dimension.low, dimension.high + 1))}
    return _closed({"reasoning": {"type": "string"}, "score": score})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
