"""A price to agree on, between one who sells and one who buys."""

from __future__ import annotations

from typing import Any

from omar_envs.sotopia.mechanisms.arguments import canonical, cents, quote
from omar_envs.sotopia.mechanisms.bargaining import DealOutcome
from omar_envs.sotopia.mechanisms.validity import check_range, require
from omar_envs.sotopia.outcomes import Result, Ruling

NO_DEAL = 0.25
"""Score without a deal where there was a zone of agreement."""

MAX_PRICE = 10_000_000


class Price(DealOutcome, frozen=True, tag="price"):
    """One price between a seller and a buyer who each have a price beyond which they lose.

    A deal is ``{"price": p}``. Let s be the seller's lowest price and b the buyer's
    highest. Points are the surplus: p − s for the seller, b − p for the buyer, which may
    be negative; 0 without a deal. The score is

    - with a zone of agreement (s < b): 0.25 without a deal, and 0.25 + 0.75 · points /
      (b − s) with one, no lower than 0 and no higher than 1;
    - without one (s > b): 1 without a deal, and 1 + 0.75 · points / (s − b), within the same
      limits, with one.

    So a deal at one's own limit is worth exactly as much as none, and one beyond it less;
    where nobody can gain without the other's loss, to part without a deal is best.

    Measures: ``joint_share``, ``pareto_share`` and ``pareto_optimal`` are 1 for a price in
    the zone where there is one and for no deal where there is none, else 0. ``seller_share``
    is x = (p − s) / (b − s) within [0, 1], and ``nash_product`` 4 · x · (1 − x), 1 in the middle
    of the zone; both are 0 without a deal or a zone.

    Attributes:
        item: what is sold, with its article: ``the piano``.
        unit: the currency, in the plural.
        list_price: what all know to be asked. No price may be above twice that.
        seller: the seller's seat, 0 or 1.
        reservation: per seat, the price beyond which it loses. The two differ.
    """

    item: str
    list_price: int
    reservation: tuple[int, int]
    seller: int = 0
    unit: str = "dollars"

    def __post_init__(self) -> None:
        require(bool(self.item.strip()), "item is empty")
        require(bool(self.unit.strip()), "unit is empty")
        check_range("seller", (self.seller,), 0, 1)
        check_range("list_price", (self.list_price,), 1, MAX_PRICE)
        check_range("reservation", self.reservation, 1, 2 * self.list_price)
        require(self.reservation[0] != self.reservation[1], "reservation: the two must differ")

    @property
    def num_seats(self) -> int:
        """Two."""
        return 2

    @property
    def zone(self) -> bool:
        """Whether there are prices at which both gain."""
        return self.reservation[self.seller] < self.reservation[1 - self.seller]

    def told(self, seat: int, names: tuple[str, ...]) -> str:
        """Its own limit."""
        limit = f"{self.reservation[seat]:,} {self.unit}"
        if seat == self.seller:
            return (
                f"You sell {self.item}. {limit} is the least it is worth to you: the more you get "
                "above that, the better; to sell below it is worse than not to sell."
            )
        return (
            f"You want to buy {self.item}. {limit} is the most it is worth to you: the less you "
            "pay below that, the better; to pay more is worse than not to buy."
        )

    def facts(self, seat: int, names: tuple[str, ...]) -> dict[str, Any]:
        """What is sold for how much, whether it is the ``seller`` or the ``buyer``, its limit."""
        return {
            "mechanism": "price",
            "needed": self.seats_needed,
            "item": self.item,
            "list_price": self.list_price,
            "unit": self.unit,
            "role": "seller" if seat == self.seller else "buyer",
            "limit": self.reservation[seat],
        }

    def rules(self, names: tuple[str, ...]) -> str:
        """What is asked, and how to propose a price."""
        seller, buyer = names[self.seller], names[1 - self.seller]
        return (
            f"{seller} may sell {self.item} to {buyer} at a price that both agree on. The asking "
            f"price is {self.list_price:,} {self.unit}. Each has a limit that the other does not "
            "know, and it may be that no price suits both: then no deal is the right end. "
            f"{self.how_to_close({'price': self.list_price}, names)}"
        )

    def read_deal(self, seat: int, terms: object, names: tuple[str, ...]) -> Ruling:
        """``{"price": 42}`` or a number alone."""
        value = terms
        if isinstance(terms, dict):
            if [str(key).casefold() for key in terms] != ["price"]:
                return Ruling(False, reason=f'propose {{"price": …}} alone, not {quote(terms)}')
            (value,) = terms.values()
        hundredths = cents(value, self.unit)
        most = 2 * self.list_price
        if hundredths is None or hundredths > most * 100:
            return Ruling(
                False,
                reason=f"the price is one number from 0 to {most:,} with at most two decimals, "
                f"not {quote(value)}",
            )
        return Ruling(True, canonical({"price": _number(hundredths)}))

    def describe(self, deal: Any, names: tuple[str, ...]) -> str:
        """``Ana sells the piano to Ben for 480 dollars``."""
        price = deal["price"]
        amount = f"{price:,}" if isinstance(price, int) else f"{price:,.2f}"
        seller, buyer = names[self.seller], names[1 - self.seller]
        return f"{seller} sells {self.item} to {buyer} for {amount} {self.unit}"

    def worth(self, deal: Any, names: tuple[str, ...]) -> Result:
        """Surplus, scores and measures, as the class says."""
        low, high = self.reservation[self.seller], self.reservation[1 - self.seller]
        base = NO_DEAL if self.zone else 1.0
        share, points, scores, good = 0.0, (0.0, 0.0), (base, base), not self.zone
        if deal is not None:
            price = deal["price"]
            surplus = [high - price, high - price]
            surplus[self.seller] = price - low
            points = (float(surplus[0]), float(surplus[1]))
            gains = [0.75 * each / abs(high - low) for each in points]
            scores = (_within(base + gains[0]), _within(base + gains[1]))
            good = low <= price <= high
            share = _within((price - low) / (high - low)) if self.zone else 0.0
        return Result(
            settled=deal is not None,
            scores=scores,
            points=points,
            deal=deal,
            measures={
                "joint_share": float(good),
                "nash_product": 4 * share * (1 - share),
                "pareto_optimal": float(good),
                "pareto_share": float(good),
                "seller_share": share,
            },
        )


def _within(number: float) -> float:
    return min(1.0, max(0.0, number))


def _number(hundredths: int) -> int | float:
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100
