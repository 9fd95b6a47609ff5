"""Who plays: a name, and how to make its policy."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from omar_envs.by_name import AS_TRAINED, Game, Sampling, policy_by_name
from omar_envs.chat_policy import ChatPolicy
from omar_envs.errors import ConfigError
from omar_envs.metering import Prices
from omar_envs.policy import Policy

_DRAWS_PER_GAME = ("random", "scripted")
_ENDPOINT = ("http://", "https://")
_WHOLE_FILE = 1 << 20


class Contestant(NamedTuple):
    """One entrant.

    Attributes:
        name: what the results call it; all different.
        make: seed to policy. For ``cluster=`` it must pickle.
        per_game: whether every game gets a policy of its own, from a seed that belongs to
            that game. Its games are then the same whatever else is played, before it or
            beside it. Else one policy plays all games, so that its requests go in large
            batches, and what it draws at random depends on their order.
        identity: what must be the same for a run to go on: the name, and of a model in
            a folder also what the folder holds.
    """

    name: str
    make: Callable[[int], Policy]
    per_game: bool = False
    identity: str = ""


class Spending(NamedTuple):
    """What endpoints cost, and may cost.

    Attributes:
        prices: per million tokens of prompt and completion, by entrant; "" is for those
            that are not named.
        max_cost: for each endpoint in this run, all its sessions together.
    """

    prices: Mapping[str, Prices] = {}
    max_cost: float | None = None

    def prices_of(self, entrant: str) -> Prices | None:
        """Of one entrant; ``None`` if nobody knows."""
        return self.prices.get(entrant, self.prices.get(""))


NOTHING_KNOWN = Spending()


def contestants(
    names: Sequence[str],
    game: Game,
    *,
    sampling: Sampling = AS_TRAINED,
    spending: Spending = NOTHING_KNOWN,
    spent: Mapping[str, float] | None = None,
) -> list[Contestant]:
    """The entrants that names stand for, as :func:`omar_envs.by_name.policy_by_name` knows them.

    Args:
        names: of entrants. Two equal ones make a policy's comparison with itself, in which the
            second is called ``NAME (2)``.
        game: what they will play.
        sampling: of models in folders.
        spending: of endpoints.
        spent: what each endpoint has cost in earlier sessions of the run.

    Raises:
        ConfigError: a name stands there twice among three or more, is a person's, or has
            prices and does not play; a price or the cap is out of range.
    """
    _check_names(names, spending)
    _check_spending(spending)
    found: list[Contestant] = []
    for name in names:
        label = f"{name} (2)" if any(other.name == name for other in found) else name
        if name.startswith(_ENDPOINT):
            left = _left(spending.max_cost, (spent or {}).get(label, 0.0), label)
            make = partial(_endpoint, name, label, spending.prices_of(name), left)
            found.append(Contestant(label, make, identity=label))
            continue
        drawn = name in _DRAWS_PER_GAME
        found.append(
            Contestant(
                label,
                partial(_by_name, name, game, sampling),
                per_game=drawn,
                identity=label if drawn or name == "house" else f"{label} {fingerprint(name)}",
            )
        )
    return found


def check_distinct(entrants: Sequence[Contestant]) -> None:
    """Whether results can tell the entrants apart.

    Raises:
        ConfigError: they cannot, or there are fewer than two.
    """
    if len(entrants) < 2:
        raise ConfigError(f"an arena needs at least two entrants: got {len(entrants)}")
    for name, count in Counter(entrant.name for entrant in entrants).items():
        if count > 1:
            raise ConfigError(f"{count} entrants are called {name!r}: give each a name of its own")


def fingerprint(folder: str | Path) -> str:
    """Short hash of what a model's folder holds: sizes, and both ends of large files."""
    digest = hashlib.sha256()
    for path in sorted(file for file in Path(folder).glob("*") if file.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode("utf-8", "surrogateescape"))
        with open(path, "rb") as file:
            digest.update(file.read(_WHOLE_FILE))
            file.seek(max(0, size - _WHOLE_FILE))
            digest.update(file.read(_WHOLE_FILE))
    return digest.hexdigest()[:12]


def _check_spending(spending: Spending) -> None:
    for name, prices in spending.prices.items():
        if not all(0 <= price < math.inf for price in prices):
            raise ConfigError(
                f"prices must be two numbers from 0, per million tokens: got {prices.prompt:g} and "
                f"{prices.completion:g}{f' for {name}' if name else ''}"
            )
    if spending.max_cost is not None and not 0 < spending.max_cost < math.inf:
        raise ConfigError(f"max_cost must be a finite number above 0: got {spending.max_cost:g}")


def _check_names(names: Sequence[str], spending: Spending) -> None:
    for name, count in Counter(names).items():
        if count > 1 and len(names) > 2:
            raise ConfigError(
                f"{name} stands there {count} times: among three or more, each entrant is named "
                "once; two alone may be the same, to see what chance does"
            )
    if "human" in names:
        raise ConfigError("a person can only play in one seat of `omar-envs play`")
    unknown = sorted(set(spending.prices) - {"", *names})
    if unknown:
        raise ConfigError(
            f"there are prices for {', '.join(unknown)}, who is no entrant: name one of "
            f"{', '.join(names)}"
        )


def _left(max_cost: float | None, spent: float, label: str) -> float | None:
    if max_cost is None:
        return None
    if spent >= max_cost:
        raise ConfigError(
            f"{label} has cost {spent:.4f} in earlier sessions of this run, and max_cost is "
            f"{max_cost:g}: raise it to go on"
        )
    return max_cost - spent


def _by_name(name: str, game: Game, sampling: Sampling, seed: int) -> Policy:
    return policy_by_name(name, seed, game, sampling)


def _endpoint(
    url: str, label: str, prices: Prices | None, max_cost: float | None, seed: int
) -> Policy:
    address, _, model = url.partition("#")
    if not address or not model:
        raise ConfigError(
            f"an endpoint is named by URL#model, as in http://localhost:8000/v1#NAME: got {url!r}"
        )
    return ChatPolicy(model, base_url=address, name=label, prices=prices, max_cost=max_cost)
