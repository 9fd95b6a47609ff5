"""Who judges: for each rubric one judge, or a panel of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from omar_envs.errors import ConfigError
from omar_envs.judge import OpenAIJudge, PanelJudge, judge_from_url, rubric_by_name
from omar_envs.metering import Prices, Usage
from omar_envs.types import Judge


class Bench(NamedTuple):
    """A judge, or a panel of them, with one rubric.

    Attributes:
        judge: asked of every game of two entrants.
        setup: all that its scores depend on, in words: a saved judgement counts for the
            same words only.
        members: whose usage is told.
    """

    judge: Judge
    setup: str = ""
    members: tuple[OpenAIJudge, ...] = ()

    def usage(self, rubric: str) -> dict[str, Usage]:
        """What its members were asked so far."""
        return {f"judge {member.model}, {rubric}": member.usage for member in self.members}


@contextmanager
def benches_by_url(
    urls: Sequence[str],
    rubrics: Sequence[str],
    *,
    prices: Prices | None = None,
    max_cost: float | None = None,
) -> Iterator[Mapping[str, Bench]]:
    """For each rubric the judges at some addresses; their connections close at the end.

    Args:
        urls: ``URL#model``, as :func:`omar_envs.judge.judge_from_url` takes them.
        rubrics: as :func:`omar_envs.judge.rubric_by_name` takes them.
        prices: per million tokens, of every judge.
        max_cost: of all together, shared evenly.

    Raises:
        ConfigError: an address or a rubric is none, or stands there twice.
    """
    for what, texts in (("judge", urls), ("rubric", rubrics)):
        for text, count in Counter(texts).items():
            if count > 1:
                raise ConfigError(f"the {what} {text} stands there {count} times: name it once")
    models = Counter(url.partition("#")[2] for url in urls)
    share = None if max_cost is None else max_cost / (len(urls) * len(rubrics))
    found: dict[str, Bench] = {}
    with ExitStack() as stack:
        for text in rubrics:
            rubric = rubric_by_name(text)
            if rubric.name in found:
                raise ConfigError(f"two rubrics are called {rubric.name!r}: rename one")
            members = tuple(
                stack.enter_context(
                    judge_from_url(
                        url,
                        # Where several have a model of one name, its address tells which it is.
                        name=url if models[url.partition("#")[2]] > 1 else None,
                        rubric=rubric,
                        prices=prices,
                        max_cost=share,
                    )
                )
                for url in urls
            )
            judge: Judge = members[0] if len(members) == 1 else PanelJudge(members)
            setup = f"{' + '.join(member.model for member in members)}, {members[0].version}"
            found[rubric.name] = Bench(judge, setup, members)
        yield found
