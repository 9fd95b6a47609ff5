"""Which tokens may come next when a reply must be one of a few labels."""

from __future__ import annotations


class ChoiceTrie:
    """Prefix tree over the token ids of the legal labels.

    The trainer scores tokens under the very sets that :meth:`allowed` gives.

    Raises:
        ValueError: no labels, an empty one, or two that read the same.
    """

    def __init__(self, choices: tuple[tuple[int, ...], ...]) -> None:
        if not choices:
            raise ValueError("a constrained reply needs at least one choice")
        if any(not label for label in choices):
            raise ValueError("a choice has no tokens: every label must have at least one")
        if len(set(choices)) < len(choices):
            raise ValueError(f"two choices have the same token ids: {choices}")
        labels = set(choices)
        following: dict[tuple[int, ...], set[int]] = {}
        for label in choices:
            for position, token in enumerate(label):
                following.setdefault(label[:position], set()).add(token)
        self._complete = labels
        self._following = {prefix: tuple(sorted(ids)) for prefix, ids in following.items()}

    def allowed(self, prefix: tuple[int, ...], end_token_id: int) -> tuple[int, ...]:
        """Token ids that may follow ``prefix``, ascending; the end token after a label.

        Raises:
            KeyError: ``prefix`` begins no label.
        """
        following = self._following.get(prefix, ())
        if prefix in self._complete:
            return tuple(sorted({*following, end_token_id}))
        if not following:
            raise KeyError(f"{prefix} begins none of the choices")
        return following
