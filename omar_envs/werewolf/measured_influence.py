"""Measures of influence and agreement: whom talk moves, who stays hidden, who acts as one.

All are counted from the first ballot of each day, from votes that could be
read, and from accusations of the day's discussion that
:func:`omar_envs.werewolf.claims.read_accusations` can read. OMAR
(arXiv 2602.03109) names identity concealment, voting manipulation and the
teams' collaboration as probes of Werewolf; its formulas are not known here,
and those below are this package's own.

Nothing here shows a cause. Ballots come after all talk, so that no vote before
a speech exists to compare with: votes are compared with votes at random, and an
accusation may follow the suspicion that it seems to spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from omar_envs.werewolf.estimates import Definition, Observation
from omar_envs.werewolf.recap import Choice, Day, Recap

Accusations: TypeAlias = dict[tuple[str, str], int]
"""As :meth:`omar_envs.werewolf.recap.Day.accusations` gives them."""

DEFINITIONS = {
    "accusing_speeches": Definition(
        "share", "speeches by day that accuse somebody, as far as read"
    ),
    "vote_swing": Definition("mean", "votes that an accusation draws, above chance"),
    "concealment": Definition("mean", "how far wolves escape the village's votes; 0 is chance"),
    "wolf_accusation_followed": Definition("share", "village votes for whom a wolf accused"),
    "voting_manipulation": Definition(
        "mean", "village votes for whom a wolf accused, above chance"
    ),
    "wolf_kill_agreement": Definition("mean", "two wolves name the same victim"),
    "wolf_vote_agreement": Definition("mean", "two wolves' votes agree"),
    "village_vote_agreement": Definition("mean", "two village votes agree"),
}


def observe(game: Recap) -> Iterator[Observation]:
    """All of this module's measures in one game."""
    for day in game.days:
        accusations = day.accusations()
        yield from accusing(day)
        yield from vote_swing(game, day, accusations)
        yield from concealment(game, day)
        yield from manipulation(game, day, accusations)
    yield from agreement(game)


def accusing(day: Day) -> Iterator[Observation]:
    """``accusing_speeches`` = speeches of a discussion that accuse another player / speeches.

    Where it is small, the measures of accusations stand on little.
    """
    for speech in day.speeches:
        yield Observation("accusing_speeches", bool(speech.accused))


def vote_swing(game: Recap, day: Day, accusations: Accusations) -> Iterator[Observation]:
    """``vote_swing``: mean over accusations, also for each role of the speaker.

    One accusation is a day, a speaker and a target X whom it accuses, however
    often. Its voters are all but the speaker, X, those who could not name X, and
    those who had accused X themselves in an earlier stage of the day or the same
    one (see :func:`open_to`). Its swing is

        votes for X / voters − mean over voters of [votes for another than X] / (c − 1)

    with c the number of candidates of a voter (at least 2) and [·] 1 or 0: the
    share of votes that X draws, less the share that each other candidate draws on
    average. Votes at random give 0, all votes for X 1, none for X down to −1 / (c − 1).
    An accusation without voters is left out.
    """
    for (speaker, target), turn in accusations.items():
        swings = [
            _above_the_others(vote, target)
            for vote in day.votes
            if vote.agent not in (speaker, target)
            and len(vote.candidates) > 1
            and open_to(vote, target, turn, accusations)
        ]
        if swings:
            swing = sum(swings) / len(swings)
            yield Observation("vote_swing", swing)
            yield Observation(f"vote_swing/{game.roles[speaker]}", swing)


def _above_the_others(vote: Choice, target: str) -> float:
    if vote.target is None:
        return 0.0
    return 1.0 if vote.target == target else -1 / (len(vote.candidates) - 1)


def open_to(vote: Choice, target: str, turn: int, accusations: Accusations) -> bool:
    """Whether an accusation of ``target`` in stage ``turn`` could still win this vote.

    The voter must be able to name the target, and must not have accused it in that
    stage or before. Within one stage it cannot be told who followed whom.
    """
    own = accusations.get((vote.agent, target))
    return target in vote.candidates and (own is None or own > turn)


def concealment(game: Recap, day: Day) -> Iterator[Observation]:
    """``concealment`` = 1 − observed / expected votes for wolves.

    Counted over the votes of the village's team that name anybody: observed are
    those that name a wolf, expected is the sum over them of w / c, with w wolves
    among the c candidates of the vote. 1 when wolves never draw a vote, 0 when
    they draw as many as votes at random would give, negative when more. The
    wolves' own votes are left out, since they know each other.
    """
    for vote in day.votes:
        if vote.target is not None and game.is_villager(vote.agent):
            wolves = sum(game.is_wolf(candidate) for candidate in vote.candidates)
            if wolves:
                expected = wolves / len(vote.candidates)
                missed = expected - game.is_wolf(vote.target)
                yield Observation("concealment", missed, expected)


def manipulation(game: Recap, day: Day, accusations: Accusations) -> Iterator[Observation]:
    """Whether the village votes as wolves say.

    For each vote of the village's team that names anybody, let K be the players whom
    wolves accused that day, who are no wolves themselves, and whom the voter could name
    without having accused them in the stage of a wolf's accusation or before
    (:func:`open_to`, for at least one of the wolves' accusations). Votes with an empty K
    are left out.

    - ``wolf_accusation_followed`` = votes for somebody in K / votes.
    - ``voting_manipulation`` = mean over these votes of [vote in K] − |K| / c, with c
      candidates: 0 if villagers vote at random, whomever the wolves accuse.
    """
    by_wolves = [
        (target, turn)
        for (speaker, target), turn in accusations.items()
        if game.is_wolf(speaker) and not game.is_wolf(target)
    ]
    for vote in day.votes:
        if vote.target is None or not game.is_villager(vote.agent):
            continue
        offered = {target for target, turn in by_wolves if open_to(vote, target, turn, accusations)}
        if offered:
            followed = vote.target in offered
            yield Observation("wolf_accusation_followed", followed)
            chance = len(offered) / len(vote.candidates)
            yield Observation("voting_manipulation", followed - chance)


def agreement(game: Recap) -> Iterator[Observation]:
    """How far those who act together name the same player.

    Of n choices by one side, n_j of them for player j, the probability that two drawn
    without replacement agree, P = Σ n_j (n_j − 1) / (n (n − 1)) (the agreement on one
    subject in Fleiss 1971). Choices of nobody are left out, and sides with fewer than two.

    - ``wolf_kill_agreement``: mean of P over nights, of the wolves' choices of a victim.
    - ``wolf_vote_agreement``: mean of P over days, of the wolves' votes.
    - ``village_vote_agreement``: mean of P over days, of the votes of the village's team.

    Votes at random of n players with the same c candidates agree with probability
    1 / c. Where votes are cast in turn, later ones see the earlier, and agree more.
    """
    for choices in game.nights:
        kills = [choice for choice in choices if game.is_wolf(choice.agent)]
        yield from _pairs("wolf_kill_agreement", kills)
    for day in game.days:
        wolves = [vote for vote in day.votes if game.is_wolf(vote.agent)]
        village = [vote for vote in day.votes if game.is_villager(vote.agent)]
        yield from _pairs("wolf_vote_agreement", wolves)
        yield from _pairs("village_vote_agreement", village)


def _pairs(name: str, choices: Iterable[Choice]) -> Iterator[Observation]:
    named = Counter(c.target for c in choices if c.valid and c.target is not None)
    n = named.total()
    if n > 1:
        yield Observation(name, sum(k * (k - 1) for k in named.values()) / (n * (n - 1)))
