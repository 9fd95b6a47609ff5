"""The columns of every format, with their types, as YAML and for ``datasets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from datasets import Features

Format = Literal["chat", "sharegpt", "sft", "preference", "textarena", "episodes"]
"""What one row is."""

Scalar = Literal["string", "int64", "float64", "bool"]

Type: TypeAlias = "Scalar | tuple[Type] | Mapping[str, Type]"
"""A tuple of one is a list of that, a mapping an object. Anything may be null."""

Columns = Mapping[str, Type]
"""Name to type."""

MESSAGES: Type = ({"role": "string", "content": "string"},)

_GAME: Columns = {"env": "string", "seed": "int64", "episode": "int64"}
_SEAT: Columns = {
    **_GAME,
    "agent": "string",
    "name": "string",
    "role": "string",
    "team": "string",
    "policy": "string",
    "result": "string",
    "reward": "float64",
    "rewards": ({"component": "string", "amount": "float64"},),
    "truncated": "bool",
}
_COUNTS: Columns = {"acts": "int64", "invalid_acts": "int64"}
_ACT: Columns = {"act": "int64", "phase": "string", "request": "string"}
_OBSERVED: Columns = {"from_id": "int64", "message": "string", "type": "string"}

COLUMNS: dict[Format, Columns] = {
    "chat": {"messages": MESSAGES, **_SEAT, **_COUNTS},
    "sharegpt": {"conversations": ({"from": "string", "value": "string"},), **_SEAT, **_COUNTS},
    "sft": {"prompt": MESSAGES, "completion": MESSAGES, **_SEAT, **_ACT, "valid": "bool"},
    "preference": {
        "prompt": MESSAGES,
        "chosen": MESSAGES,
        "rejected": MESSAGES,
        "env": "string",
        "seed": "int64",
        "agent": "string",
        "name": "string",
        "role": "string",
        "team": "string",
        **_ACT,
        "chosen_episode": "int64",
        "rejected_episode": "int64",
        "chosen_reward": "float64",
        "rejected_reward": "float64",
    },
    "textarena": {
        "env_id": "string",
        "seed": "int64",
        "episode": "int64",
        "num_players": "int64",
        "role_mapping": ({"player_id": "int64", "name": "string"},),
        "logs": ({"from_id": "int64", "message": "string"},),
        "observations": ({"player_id": "int64", "observation": (_OBSERVED,)},),
        "steps": (
            {
                "player_id": "int64",
                "observed": "int64",
                "action": "string",
                "text": "string",
                "invalid_move": "bool",
            },
        ),
        "rewards": ({"player_id": "int64", "reward": "float64"},),
        "game_info": (
            {
                "player_id": "int64",
                "role": "string",
                "invalid_move": "bool",
                "turn_count": "int64",
            },
        ),
        "truncated": "bool",
    },
    "episodes": {
        "schema_version": "int64",
        "env": "string",
        "seed": "int64",
        "config": "string",
        "seats": ({"agent": "string", "name": "string", "role": "string", "policy": "string"},),
        "stages": ({"turn": "int64", "phase": "string", "label": "string"},),
        "messages": (
            {
                "turn": "int64",
                "sender": "string",
                "audience": ("string",),
                "kind": "string",
                "text": "string",
            },
        ),
        "turns": (
            {
                "turn": "int64",
                "agent": "string",
                "request": {
                    "kind": "string",
                    "instruction": "string",
                    "choices": ("string",),
                    "max_chars": "int64",
                    "may_pass": "bool",
                },
                "reply": "string",
                "text": "string",
                "valid": "bool",
                "error": "string",
                "reward_components": "string",
            },
        ),
        "rewards": "string",
        "outcome": "string",
        "terminated": "bool",
        "truncated": "bool",
    },
}

FORMATS: tuple[Format, ...] = get_args(Format)


def features(format: Format) -> Features:
    """The columns as ``datasets`` types them. Needs ``datasets``."""
    import datasets

    def typed(kind: Type) -> Any:
        if isinstance(kind, str):
            return datasets.Value(kind)
        if isinstance(kind, tuple):
            return datasets.List(typed(kind[0]))
        return {name: typed(inner) for name, inner in kind.items()}

    return datasets.Features({name: typed(kind) for name, kind in COLUMNS[format].items()})


def yaml_features(format: Format, indent: str) -> Iterator[str]:
    """The columns as lines of YAML, as a dataset card's ``dataset_info`` has them."""
    return _yaml(COLUMNS[format], indent)


def _yaml(columns: Columns, indent: str) -> Iterator[str]:
    for name, kind in columns.items():
        yield f"{indent}- name: {name}"
        yield from _yaml_type(kind, f"{indent}  ")


def _yaml_type(kind: Type, indent: str) -> Iterator[str]:
    if isinstance(kind, str):
        yield f"{indent}dtype: {kind}"
    elif isinstance(kind, tuple) and isinstance(kind[0], str):
        yield f"{indent}list: {kind[0]}"
    elif isinstance(kind, tuple) and isinstance(kind[0], Mapping):
        yield f"{indent}list:"
        yield from _yaml(kind[0], indent)
    elif isinstance(kind, Mapping):
        yield f"{indent}struct:"
        yield from _yaml(kind, indent)
