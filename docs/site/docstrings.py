"""Docstrings as Markdown: what the sources write in reStructuredText, read on by Griffe.

The sources are also read by ``help()``, where roles, simple tables and literal blocks of
reStructuredText look best. Sections such as ``Args:`` are Google's and stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import (
    AliasResolutionError,
    Extension,
    GriffeLoader,
    Module,
    NameResolutionError,
    Object,
)

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([\w.]+)`")
RULE = re.compile(r"^ *=+(?: +=+)+ *$")
TERM = re.compile(r"^(\S.*?) : (.+)$")
"""``name : type``, as NumPy writes arguments."""
BARE_TERM = re.compile(r"^\w+(?:, \w+)*$")


class Docstrings(Extension):
    """Rewrites every docstring of a package once the package is loaded."""

    def on_package(self, *, pkg: Module, loader: GriffeLoader, **kwargs: Any) -> None:
        """Called by Griffe."""
        _rewrite(pkg)


def _rewrite(owner: Object) -> None:
    if owner.docstring is not None:
        owner.docstring.value = markdown(owner.docstring.value, owner)
    for member in list(owner.members.values()):
        if not member.is_alias:
            _rewrite(member)  # type: ignore[arg-type]


def markdown(text: str, owner: Object) -> str:
    """One docstring; names in it are looked up from ``owner``."""
    text = ROLE.sub(lambda role: _reference(role[2], bool(role[1]), owner), text)
    lines = _arguments(_tables(text.split("\n")))
    return "\n".join(_literal_blocks(lines))


def _reference(name: str, short: bool, owner: Object) -> str:
    """A link to where the name is documented, plain code where it is not."""
    shown = name.rpartition(".")[2] if short else name
    return f'<autoref identifier="{_target(name, owner)}" optional><code>{shown}</code></autoref>'


def _target(name: str, owner: Object) -> str:
    if name.startswith(("omar_envs.", "omar_trainers.")):
        return name
    try:
        first, *rest = name.split(".")
        return ".".join([owner.resolve(first), *rest])
    except (NameResolutionError, AliasResolutionError):
        return name


def _literal_blocks(lines: list[str]) -> list[str]:
    """``::`` at the end of a paragraph goes: indentation alone says it in Markdown."""
    out = []
    for line in lines:
        if line.endswith(" ::") or line == "::":
            line = line[:-2].rstrip()
        elif line.endswith("::"):
            line = line[:-1]
        out.append(line)
    return out


def _tables(lines: list[str]) -> list[str]:
    out: list[str] = []
    rules = [number for number, line in enumerate(lines) if RULE.match(line)]
    start = 0
    while rules:
        first = rules.pop(0)
        ends = [rule for rule in rules if rule == len(lines) - 1 or not lines[rule + 1].strip()]
        last = ends[0]
        inner = [rule for rule in rules if rule < last]
        rules = [rule for rule in rules if rule > last]
        head = lines[first + 1 : inner[0]] if inner else []
        body = lines[(inner[0] if inner else first) + 1 : last]
        out += lines[start:first] + _table(lines[first], head, body)
        start = last + 1
    return out + lines[start:]


def _table(rule: str, head: list[str], body: list[str]) -> list[str]:
    begins = [column.start() for column in re.finditer("=+", rule)]
    ends = [*begins[1:], None]

    def cells(line: str) -> list[str]:
        return [line[begin:end].strip() for begin, end in zip(begins, ends, strict=True)]

    rows: list[list[str]] = []
    for line in body:
        row = cells(line)
        if row[0] or not rows:
            rows.append(row)
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], row, strict=True)]
    titles = cells(head[0]) if head else [""] * len(begins)
    table = [titles, ["---"] * len(begins), *rows]
    return ["", *("| " + " | ".join(row) + " |" for row in table), ""]


def _arguments(lines: list[str]) -> list[str]:
    """Under the heading ``Arguments``, a list."""
    out: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        if not inside:
            inside = line == "Arguments" and lines[number + 1].startswith("---")
            out.append(line)
            continue
        term = TERM.match(line)
        described = number + 1 < len(lines) and lines[number + 1].startswith("    ")
        if term or (described and BARE_TERM.match(line)):
            names, kind = (term[1], f" ({term[2]})") if term else (line, "")
            code = ", ".join(f"`{name}`" for name in names.split(", "))
            line = f"- {code}{kind}" + ":" * described
        out.append(line)
    return out
