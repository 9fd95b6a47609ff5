"""Measures of results and of single choices: wins, survival, votes, the roles' powers.

"Wolf" is the role werewolf throughout: a village that votes out the possessed
of the wolves' team has found no wolf. A choice that could not be read was made
by the game and is no player's: it never counts as a choice, though what came
of it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from omar_envs.werewolf.estimates import Definition, Observation
from omar_envs.werewolf.recap import BY_NIGHT, Choice, Recap

DEFINITIONS = {
    "truncated_games": Definition("share", "games that the day limit ended"),
    "village_wins": Definition("share", "finished games that the village won"),
    "werewolf_wins": Definition("share", "finished games that the werewolves' team won"),
    "jester_wins": Definition("share", "finished games with a jester that the jester won"),
    "role_wins": Definition("share", "seats whose team won, finished games"),
    "survival": Definition("share", "seats alive at the end"),
    "days_survived": Definition("mean", "days that a seat outlived"),
    "votes_hit_wolf": Definition("share", "village votes for somebody that name a wolf"),
    "abstentions": Definition("share", "votes that name nobody"),
    "investigations_hit_wolf": Definition("share", "seers' investigations that find a wolf"),
    "protections_hit_victim": Definition("share", "doctors' protections of the wolves' victim"),
    "victims_saved": Definition("share", "wolves' victims who lived to see the day"),
    "poisons_hit_wolf": Definition("share", "witches' poisonings that kill a wolf"),
    "shots_hit_wolf": Definition("share", "hunters' shots that kill a wolf"),
}


def observe(game: Recap) -> Iterator[Observation]:
    """All of this module's measures in one game."""
    yield from results(game)
    yield from survival(game)
    yield from votes(game)
    yield from powers(game)


def results(game: Recap) -> Iterator[Observation]:
    """Who won.

    - ``truncated_games`` = truncated games / games. They count in no other
      measure of wins.
    - ``village_wins``, ``werewolf_wins``, ``jester_wins`` = games won by that team /
      finished games in which it has a seat. A finished game may have no winner.
    - ``role_wins`` = seats whose team won / seats, in finished games; also for each
      role, ``role_wins/seer``.
    """
    truncated = game.episode.truncated
    yield Observation("truncated_games", truncated)
    if truncated:
        return
    winner = game.episode.outcome["winner"]
    for team in sorted(set(game.teams.values())):
        yield Observation(f"{team}_wins", team == winner)
    for agent, role in game.roles.items():
        won = game.teams[agent] == winner
        yield Observation("role_wins", won)
        yield Observation(f"role_wins/{role}", won)


def survival(game: Recap) -> Iterator[Observation]:
    """Who lived, and how long; truncated games count too. Both also for each role.

    - ``survival`` = seats without a death / seats.
    - ``days_survived`` = mean over seats of the days whose vote the seat outlived:
      ``outcome["days"]`` without a death; for one on day d or in its night d − 1; for
      a death in night d of a game that began by day, whose nights follow their
      days, d. A shot falls in the night or day of the death before it.
    """
    outcome = game.episode.outcome
    began_by_day = (
        game.episode.config.get("first_phase") == "day"
        or game.episode.stages[0].phase not in BY_NIGHT
    )
    lived: dict[str, int] = {}
    at_night = False
    for death in outcome["deaths"]:
        if death["cause"] != "shot":
            at_night = death["cause"] != "voted_out"
        day_is_over = at_night and began_by_day
        lived[death["agent"]] = death["day"] - (not day_is_over)
    for agent, role in game.roles.items():
        alive = agent not in lived
        days = lived.get(agent, outcome["days"])
        yield Observation("survival", alive)
        yield Observation(f"survival/{role}", alive)
        yield Observation("days_survived", days)
        yield Observation(f"days_survived/{role}", days)


def votes(game: Recap) -> Iterator[Observation]:
    """What votes are worth, over each day's first ballot.

    - ``votes_hit_wolf`` = votes of the village's team that name a wolf / those that
      name anybody; also for each role. Compare with ``concealment``, which sets the
      same votes against chance.
    - ``abstentions`` = votes that name nobody / votes, of all teams.
    """
    for day in game.days:
        for vote in day.votes:
            yield Observation("abstentions", vote.target is None)
            if vote.target is not None and game.is_villager(vote.agent):
                hit = game.is_wolf(vote.target)
                yield Observation("votes_hit_wolf", hit)
                yield Observation(f"votes_hit_wolf/{game.roles[vote.agent]}", hit)


def powers(game: Recap) -> Iterator[Observation]:
    """What the roles make of their powers; whom the wolves chose: :func:`victim_of`.

    - ``investigations_hit_wolf`` = investigations of a wolf / seers' investigations.
    - ``protections_hit_victim`` = protections of the wolves' victim / doctors'
      protections, in nights with a victim.
    - ``victims_saved`` = victims who did not die in the night, whether a doctor or a
      witch saved them / victims. A victim who is poisoned as well is not saved.
    - ``poisons_hit_wolf`` = wolves poisoned / players poisoned.
    - ``shots_hit_wolf`` = shots at a wolf / shots at anybody.
    """
    for number, choices in enumerate(game.nights, start=1):
        victim = victim_of(game, number, choices)
        if victim is not None:
            dead = game.died("killed", number) | game.died("poisoned", number)
            yield Observation("victims_saved", victim not in dead)
        for choice in choices:
            role = game.roles[choice.agent]
            if choice.valid and role == "seer":
                yield Observation("investigations_hit_wolf", game.is_wolf(choice.target))
            elif choice.valid and role == "doctor" and victim is not None:
                yield Observation("protections_hit_victim", choice.target == victim)
        for poisoned in sorted(game.died("poisoned", number)):
            yield Observation("poisons_hit_wolf", game.is_wolf(poisoned))
    for shot in game.shots:
        if shot.target is not None:
            yield Observation("shots_hit_wolf", game.is_wolf(shot.target))


def victim_of(game: Recap, number: int, choices: list[Choice]) -> str | None:
    """Whom the wolves chose in a night.

    Whoever was killed, else the player whom most wolves named. Where the lot broke
    a tie and nobody was killed, the one of the tied whom a doctor or a witch named;
    ``None`` if that is not exactly one, and where a tie spares all
    (``kill_tie="none"``).
    """
    killed = game.died("killed", number)
    if killed:
        return min(killed)
    named = Counter(c.target for c in choices if game.is_wolf(c.agent))
    most = max(named.values(), default=0)
    chosen = {target for target, count in named.items() if count == most}
    if len(chosen) > 1:
        if game.episode.config.get("kill_tie") == "none":
            return None
        chosen &= {c.target for c in choices if game.roles[c.agent] in ("doctor", "witch")}
    return chosen.pop() if len(chosen) == 1 else None
