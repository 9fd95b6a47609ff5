"""From environments and policies to episodes: batches, overrides, replays, errors."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from omar_envs import SinglePolicyWrapper, rollout, werewolf_v0
from omar_envs.errors import ConfigError, EpisodeError, PolicyError
from omar_envs.playing import conversation
from omar_envs.policy import RandomPolicy, ScriptedPolicy
from omar_envs.types import Episode, View
from tests.envs.games import AnswerPolicy, PurePolicy, encoded, play, pure


def make() -> Any:
    return werewolf_v0.raw_env(num_players=6, invalid_penalty=0.5)


# --- batches ------------------------------------------------------------------


def test_the_result_does_not_depend_on_the_batch() -> None:
    runs = [rollout.run(make, PurePolicy(), 9, 3, batch=batch) for batch in (1, 2, 9, 100)]
    assert all(run == runs[0] for run in runs)
    assert [episode.seed for episode in runs[0]] == [rollout.game_seed(3, i) for i in range(9)]
    alone = [rollout.play(make(), PurePolicy(), rollout.game_seed(3, i)) for i in range(9)]
    assert alone == runs[0]


def test_all_live_games_are_asked_in_one_batch() -> None:
    policy = AnswerPolicy(pure)
    episodes = rollout.run(make, policy, 20, 1)
    longest = max(len(episode.stages) for episode in episodes)
    assert len(policy.batches) <= longest
    assert policy.batches[0] >= 20
    assert sum(policy.batches) == sum(len(episode.turns) for episode in episodes)


def test_views_name_their_game_and_begin_it() -> None:
    running: dict[tuple[int, str], list[int]] = {}

    class Watching(PurePolicy):
        def act(self, views: Sequence[View]) -> list[str]:
            assert len({(view.game, view.agent) for view in views}) == len(views)
            for view in views:
                running.setdefault((view.game, view.agent), []).append(view.num_acts)
            return super().act(views)

    episodes = rollout.run(make, Watching(), 7, 1, batch=3)
    assert {game for game, _ in running} == {0, 1, 2}
    acts = sum(len(numbers) for numbers in running.values())
    assert acts == sum(len(episode.turns) for episode in episodes)
    for numbers in running.values():
        assert numbers[0] == 0
        assert all(after in (before + 1, 0) for before, after in pairwise(numbers))


def test_progress_counts_finished_games() -> None:
    seen: list[int] = []
    rollout.run(make, PurePolicy(), 7, 1, batch=2, progress=seen.append)
    assert seen == sorted(set(seen))
    assert seen[-1] == 7


def test_no_games() -> None:
    assert rollout.run(make, PurePolicy(), 0, 1) == []


def test_runs_with_other_seeds_share_no_game() -> None:
    seeds = [rollout.game_seed(run, number) for run in range(30) for number in range(30)]
    assert len(set(seeds)) == 900
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize(("episodes", "batch"), [(-1, 1), (1, 0), (1, -3)])
def test_impossible_numbers(episodes: int, batch: int) -> None:
    with pytest.raises(ConfigError, match="episodes >= 0 and batch >= 1"):
        rollout.run(make, PurePolicy(), episodes, 1, batch=batch)


def test_one_environment_for_all_slots_is_refused() -> None:
    env = make()
    with pytest.raises(ConfigError, match="one environment cannot play two games"):
        rollout.run(lambda: env, PurePolicy(), 3, 1)


def test_what_was_there_before_the_games_is_spared_the_collector_meanwhile() -> None:
    frozen = []

    def watched(view: View) -> str:
        frozen.append(gc.get_freeze_count())
        return pure(view)

    rollout.run(make, AnswerPolicy(watched), 2, 1)
    assert min(frozen) > 0 and gc.get_freeze_count() == 0
    with pytest.raises(ZeroDivisionError):
        rollout.run(make, AnswerPolicy(lambda view: str(1 // 0)), 2, 1)
    assert gc.get_freeze_count() == 0
    gc.freeze()
    try:
        rollout.run(make, AnswerPolicy(pure), 2, 1)
        assert gc.get_freeze_count() > 0, "what others set aside stays so"
    finally:
        gc.unfreeze()


def test_play_games_gives_each_game_its_own_policies() -> None:
    policies = [AnswerPolicy(pure, f"p{number}") for number in range(4)]
    episodes = rollout.play_games(
        [make(), make()], [5, 6, 7, 8], lambda number, agent: policies[number]
    )
    assert [episode.seed for episode in episodes] == [5, 6, 7, 8]
    for number, episode in enumerate(episodes):
        assert {seat.policy for seat in episode.seats} == {f"p{number}"}
        assert sum(policies[number].batches) == len(episode.turns)
    with pytest.raises(ConfigError, match="at least one environment"):
        rollout.play_games([], [1], lambda number, agent: policies[0])
    assert rollout.play_games([make()], [], lambda number, agent: policies[0]) == []


# --- one policy, some overrides -----------------------------------------------


def test_wrapper_play_is_rollout_play() -> None:
    for policy in (PurePolicy(), RandomPolicy, ScriptedPolicy):
        for env in (make, werewolf_v0.env):
            one, two = (p() if isinstance(p, type) else p for p in (policy, policy))
            wrapped = SinglePolicyWrapper(env(), one).play(4)
            assert wrapped == rollout.play(env(), two, 4)


def test_overrides_play_their_seats_and_no_others() -> None:
    special = AnswerPolicy(lambda view: f"<think>I am {view.agent}</think>?", "special")
    overrides = {"player_1": special, "player_3": special}
    wrapper = SinglePolicyWrapper(make(), PurePolicy(), overrides)
    episode = wrapper.play(2)
    assert episode == rollout.play(make(), PurePolicy(), 2, overrides=overrides)
    for seat in episode.seats:
        mine = seat.agent in overrides
        assert seat.policy == ("special" if mine else "pure")
        for turn in episode.turns_of(seat.agent):
            assert turn.reply.startswith("<think>") == mine
    # wrapper.play and rollout.play each asked for all of its acts.
    own = sum(len(episode.turns_of(agent)) for agent in overrides)
    assert sum(special.batches) == 2 * own


def test_unknown_overrides_are_refused() -> None:
    overrides = {"player_9": PurePolicy(), "Ana": PurePolicy()}
    with pytest.raises(
        ConfigError, match=r"overrides names Ana, player_9; the agents are player_0"
    ):
        SinglePolicyWrapper(make(), PurePolicy(), overrides)
    with pytest.raises(ConfigError, match="overrides names"):
        rollout.play(make(), PurePolicy(), 1, overrides=overrides)
    with pytest.raises(ConfigError, match="overrides names"):
        rollout.run(make, PurePolicy(), 1, 1, overrides=overrides)


def test_advance_asks_all_who_may_act_at_once() -> None:
    policy = AnswerPolicy(pure)
    wrapper = SinglePolicyWrapper(werewolf_v0.env(first_phase="day"), policy)
    wrapper.reset(seed=4)
    replies = wrapper.advance()
    assert list(replies) == wrapper.unwrapped.possible_agents
    assert policy.batches == [7]
    while wrapper.advance():
        pass
    assert wrapper.advance() == {}
    assert conversation(wrapper).episode() == _unnamed(play(4, first_phase="day"))


def _unnamed(episode: Episode) -> Episode:
    seats = tuple(msgspec.structs.replace(seat, policy="") for seat in episode.seats)
    return msgspec.structs.replace(episode, seats=seats)


def test_wrapped_environments_can_be_used_after_play() -> None:
    wrapper = SinglePolicyWrapper(werewolf_v0.env(render_mode="ansi"), PurePolicy())
    wrapper.play(1)
    assert "The " in wrapper.render()
    assert wrapper.observe("player_0")["text"]
    assert wrapper.last()[2] or wrapper.last()[3]
    parallel = werewolf_v0.parallel_env()
    rollout.play(parallel, PurePolicy(), 1)
    assert parallel.agents == []
    assert parallel.step({}) == ({}, {}, {}, {}, {})


def test_any_kind_of_environment_plays_the_same_game() -> None:
    games = [
        rollout.play(env, PurePolicy(), 8)
        for env in (werewolf_v0.raw_env(), werewolf_v0.env(), werewolf_v0.parallel_env())
    ]
    assert games[0] == games[1] == games[2]


def test_other_environments_are_refused() -> None:
    class Other:
        unwrapped = None

    with pytest.raises(ConfigError, match="not a conversation"):
        rollout.play(Other(), PurePolicy(), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_policy_with_the_wrong_number_of_replies(count: int) -> None:
    class Short(PurePolicy):
        name = "short"

        def act(self, views: Sequence[View]) -> list[str]:
            return ["hello"] * count

    env = werewolf_v0.raw_env(wolf_chat_rounds=1)
    with pytest.raises(PolicyError, match=f"'short' returned {count} replies to 2 views"):
        rollout.play(env, Short(), 1)


# --- replays ------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        pure,
        lambda view: None,
        lambda view: "a\x00\ud800\x1b" * 3,
        lambda view: f"<think>{view.role}</think>" + pure(view),
        lambda view: "?" if view.num_acts % 2 else pure(view),
    ],
)
@pytest.mark.parametrize("discussion", ["simultaneous", "round_robin"])
def test_a_replay_gives_the_same_bytes(answer: Any, discussion: str) -> None:
    for seed in range(4):
        episode = rollout.play(
            werewolf_v0.env(discussion=discussion, allow_abstain=False),
            AnswerPolicy(answer, "someone"),
            seed,
        )
        assert encoded(rollout.replay(episode)) == encoded(episode)
        loaded = msgspec.json.decode(encoded(episode), type=Episode)
        assert loaded == episode
        assert encoded(rollout.replay(loaded)) == encoded(episode)


def test_an_edited_episode_does_not_replay() -> None:
    episode = play(3)
    one, *rest = episode.turns
    with pytest.raises(EpisodeError, match="end before its game does"):
        rollout.replay(msgspec.structs.replace(episode, turns=(one,)))
    with pytest.raises(EpisodeError, match="nobody is to move"):
        rollout.replay(msgspec.structs.replace(episode, turns=(one, *rest, one)))
    with pytest.raises(EpisodeError, match="is to move"):
        rollout.replay(msgspec.structs.replace(episode, turns=(rest[0], one, *rest[1:])))
    with pytest.raises(ConfigError, match="unknown environment"):
        rollout.replay(msgspec.structs.replace(episode, env="chess"))
