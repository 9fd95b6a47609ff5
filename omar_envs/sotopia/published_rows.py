"""Rows of published files: found whatever the layout, and read field by field.

A file is JSON lines, a JSON list of objects, or a JSON dictionary of objects by key.
Byte-order marks, CRLF, blank lines and NaN are survived. A damaged row becomes a
:class:`Problem` and leaves the others alone, and so does one whose key is taken.
"""

from __future__ import annotations

import ast
import json
import math
import reprlib
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from omar_envs.errors import DamagedEpisodeError, EpisodeError
from omar_envs.parsing import clean, single_line
from omar_envs.sotopia.profiles import RelationshipType

_MISSING = ("", "nan", "NaN", "none", "None", "null")
"""How tables write that there is nothing. "Nan" is not among them: it is a name."""

_QUOTER = reprlib.Repr()
_QUOTER.maxlevel = 2
_QUOTER.maxstring = 60

_BOM = b"\xef\xbb\xbf"


class Problem(NamedTuple):
    """Something wrong with a row, or to be known about it.

    Attributes:
        file: name of the file, without its folder.
        where: number of the line, or the row's place or key in a file of one JSON value;
            "" for the whole file.
        field: name of the field as the file has it, "" for the whole row.
        why: what is wrong with it.
    """

    file: str
    where: str
    field: str
    why: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.where}" if self.where else self.file
        told = f"{place} {self.field}: {self.why}" if self.field else f"{place}: {self.why}"
        return single_line(clean(told))


class Row(NamedTuple):
    """One row.

    Attributes:
        file, where: as in :class:`Problem`.
        value: what stands there: an object, or an index in a list of them.
        key: its key where the file is a dictionary, else "".
    """

    file: str
    where: str
    value: Any
    key: str = ""

    def problem(self, field: str, why: str) -> Problem:
        """A problem with this row."""
        return Problem(self.file, self.where, field, why)


class _Repeating(dict[str, Any]):
    """A JSON object in which a key stands more than once; ``pairs`` are all there are."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class FieldError(Exception):
    """A field cannot be read. It stays inside the importer, which refuses the row."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(field, why)
        self.field = field
        self.why = why


def read_rows(path: Path) -> Iterator[Row | Problem]:
    """The rows of a file in order; a problem in the place of each that is not JSON.

    JSON lines are read one by one, so that a file of any length can be.

    Raises:
        EpisodeError: the file cannot be opened.
        DamagedEpisodeError: nothing in it is JSON (after its last line).
    """
    if path.suffix.lower() == ".json" or not _begins_with_a_row(path):
        try:
            whole = _json(_bytes(path).removeprefix(_BOM))
        except (ValueError, RecursionError):
            pass
        else:
            yield from _rows_of(path.name, whole)
            return
    yield from _lines(path)


def _begins_with_a_row(path: Path) -> bool:
    with _opened(path) as file:
        for line in file:
            text = line.removeprefix(_BOM).strip()
            if text:
                try:
                    _json(text)
                except (ValueError, RecursionError):
                    return False
                return True
    return True


def _lines(path: Path) -> Iterator[Row | Problem]:
    first: Problem | None = None
    sound = False
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            text = (line.removeprefix(_BOM) if number == 1 else line).strip()
            if not text:
                continue
            try:
                value = _json(text)
            except (ValueError, RecursionError) as error:
                why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"not JSON: {error}"
                problem = Problem(path.name, str(number), "", f"the line is {why}")
                first = first or problem
                yield problem
                continue
            # Half a file of one JSON value may hold lines that are words or numbers.
            sound = sound or isinstance(value, dict | list)
            if isinstance(value, list):
                yield from _rows_of(path.name, value)
            else:
                yield Row(path.name, str(number), value)
    if first is not None and not sound:
        raise DamagedEpisodeError(
            f"{path}: no row in it is JSON ({first}). Name JSON lines or JSON in UTF-8, as "
            "SOTOPIA publishes them; a half-copied file must be copied again, a table turned "
            "into JSON."
        )


def _rows_of(file: str, whole: object) -> Iterator[Row | Problem]:
    if isinstance(whole, list):
        for index, value in enumerate(whole):
            yield Row(file, f"[{index}]", value)
    elif isinstance(whole, dict) and _is_by_key(whole):
        taken = set()
        for key, value in _pairs(whole):
            if key in taken:
                yield Problem(file, key, "", "the key is taken by an earlier row of the file")
            else:
                taken.add(key)
                yield Row(file, key, value, key)
    else:
        yield Row(file, "1", whole)


def _is_by_key(whole: dict[str, Any]) -> bool:
    """Whether most values are objects: one damaged row must not hide the others."""
    pairs = _pairs(whole)
    return 2 * sum(isinstance(value, dict) for _, value in pairs) > len(pairs)


def _pairs(whole: dict[str, Any]) -> list[tuple[str, Any]]:
    return whole.pairs if isinstance(whole, _Repeating) else list(whole.items())


def _json(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    return whole if len(whole) == len(pairs) else _Repeating(pairs)


def _bytes(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read()


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise EpisodeError(
            f"{path} cannot be read: {error.strerror or error}. Check the path."
        ) from error


class Fields:
    """The fields of one row, by any of the names that files give them.

    Every reader takes the names in order of preference and reads the first one that
    there is. A field that says "nothing" in one of the ways of tables counts as absent.

    Attributes:
        unread: names of the fields that nothing has asked for.

    Raises:
        FieldError: by the readers, where the field is absent without a default or
            cannot be read; by the constructor, where the row is no object, or one in
            which a field stands twice.
    """

    def __init__(self, row: Row) -> None:
        if not isinstance(row.value, dict):
            raise FieldError("", f"an object was expected, not {shown(row.value)}")
        if isinstance(row.value, _Repeating):
            names = Counter(name for name, _ in row.value.pairs)
            raise FieldError(max(names, key=names.__getitem__), "it stands in the row twice")
        self._values: dict[str, Any] = row.value
        self.unread = set(self._values)

    def given(self, *names: str) -> tuple[str, Any]:
        """Name and value of the first field that is there; the first name and ``None``."""
        self.unread.difference_update(names)
        for name in names:
            value = self._values.get(name)
            if not _is_missing(value):
                return name, value
        return names[0], None

    def text(self, *names: str, default: str | None = "") -> str:
        """A text; ``default=None`` means that it must be there."""
        name, value = self.given(*names)
        if value is None:
            if default is None:
                raise FieldError(name, "it is missing")
            return default
        if not isinstance(value, str):
            raise FieldError(name, f"it must be text, not {shown(value)}")
        return clean(value).strip()

    def key(self, *names: str, default: str | None = None) -> str:
        """A primary key: a text or a whole number, which is read as text."""
        name, value = self.given(*names)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is None and default:
            return default
        return self.text(name, default=None)

    def texts(self, *names: str) -> tuple[str, ...]:
        """A list of texts, or a text that holds one; a plain text is a list of itself."""
        name, value = self.given(*names)
        if value is None:
            return ()
        values = _listed(value) if isinstance(value, str) else value
        if not isinstance(values, list):
            raise FieldError(name, f"it must be a list of texts, not {shown(value)}")
        for item in values:
            if not isinstance(item, str) or _is_missing(item):
                raise FieldError(name, f"it holds {shown(item)}, which is no text")
        return tuple(clean(item).strip() for item in values)

    def whole(self, *names: str, least: int, most: int) -> int:
        """A whole number, or a text that holds one; 0 if absent."""
        name, value = self.given(*names)
        number = _whole(value) if value is not None else 0
        if number is None:
            raise FieldError(name, f"it must be a whole number, not {shown(value)}")
        if value is not None and not least <= number <= most:
            raise FieldError(name, f"it must be {least} to {most}, not {shown(value)}")
        return number

    def relationship(self, *names: str) -> RelationshipType:
        """How close two are: 0 to 5 as a number or as text, or by name."""
        name, value = self.given(*names)
        if value is None:
            raise FieldError(name, "it is missing")
        if isinstance(value, str):
            by_name = value.strip().rpartition(".")[2].casefold().replace(" ", "_")
            if by_name in RelationshipType.__members__:
                return RelationshipType[by_name]
        number = _whole(value)
        if number is None or number not in list(RelationshipType):
            raise FieldError(name, f"it must be 0 to 5, not {shown(value)}")
        return RelationshipType(number)

    def constraint(self, *names: str) -> str | None:
        """A constraint as it stands; ``None`` where the file says that there is none."""
        _, value = self.given(*names)
        if value is None:
            return None
        return clean(value).strip() if isinstance(value, str) else json.dumps(value)


def shown(value: object) -> str:
    """A value as messages quote it: one line, cut."""
    text = single_line(clean(_QUOTER.repr(value)))
    return text if len(text) <= 60 else f"{text[:60]}…"


def _is_missing(value: object) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and value.strip() in _MISSING)


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        digits = value.strip().removesuffix(".0")
        return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 9 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None


def _listed(text: str) -> object:
    """The list that a text holds, written as JSON or as Python writes it."""
    if not text.lstrip().startswith(("[", "(")):
        return [text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of backslashes that Python does not know
                value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
        return list(value) if isinstance(value, tuple) else value
