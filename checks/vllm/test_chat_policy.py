"""The chat policy on a real model behind a real server."""

from __future__ import annotations

import pytest

from checks.vllm.games import social
from checks.vllm.server import MODEL, PeakWatch, Server
from omar_envs import rollout, werewolf_v0
from omar_envs.chat_policy import ChatPolicy
from omar_envs.errors import PolicyError
from omar_envs.types import CHOOSE, SPEAK, Episode, View

MAX_TOKENS = 16


def policy_at(server: Server, *, model: str = MODEL, max_tokens: int = MAX_TOKENS) -> ChatPolicy:
    return ChatPolicy(
        model,
        base_url=server.url,
        seed=1,
        max_tokens=max_tokens,
        max_retries=0,
        timeout=600,
        constrain_choices=True,
    )


def check_metering(policy: ChatPolicy, episodes: list[Episode]) -> None:
    turns = [turn for episode in episodes for turn in episode.turns]
    assert policy.usage.requests == len(turns)
    assert policy.usage.failures == policy.usage.unmetered == 0
    assert policy.usage.prompt_tokens > policy.usage.requests
    assert 0 < policy.usage.completion_tokens <= MAX_TOKENS * len(turns)


def test_plays_werewolf(server: Server, report: list[str]) -> None:
    with PeakWatch(server) as watch, policy_at(server) as policy:
        episodes = rollout.run(
            lambda: werewolf_v0.raw_env(num_players=5, max_days=1), policy, episodes=2, seed=0
        )
    check_metering(policy, episodes)
    turns = [turn for episode in episodes for turn in episode.turns]
    choices = [turn for turn in turns if turn.request.kind is CHOOSE]
    words = [turn for turn in turns if turn.request.kind is SPEAK]
    assert all(turn.valid for turn in choices), "the server held choices to their labels"
    assert any(turn.text for turn in words)
    assert watch.peak > len(episodes), "the agents of a stage were asked together"
    assert all(rollout.replay(episode) == episode for episode in episodes)
    report.append(
        f"werewolf: {len(episodes)} games, {len(turns)} acts, "
        f"{len(choices)} of them choices, all legal; {watch.peak} requests at once"
    )


def test_plays_social_scenarios_from_the_prefix_cache(server: Server, report: list[str]) -> None:
    hits = server.metric("prefix_cache_hits_total")
    asked = server.metric("prefix_cache_queries_total")
    with PeakWatch(server) as watch, policy_at(server) as policy:
        episodes = rollout.run(lambda: social(max_turns=4), policy, episodes=2, seed=0)
    check_metering(policy, episodes)
    hits = server.metric("prefix_cache_hits_total") - hits
    asked = server.metric("prefix_cache_queries_total") - asked
    assert asked == policy.usage.prompt_tokens
    # Of an agent's four prompts only the first is new: the others begin with the one before.
    assert hits / asked > 0.5
    assert watch.peak > len(episodes)
    assert all(rollout.replay(episode) == episode for episode in episodes)
    turns = [turn for episode in episodes for turn in episode.turns]
    report.append(
        f"sotopia: {len(episodes)} games, {len(turns)} acts, "
        f"{sum(turn.valid for turn in turns)} of them valid; {watch.peak} requests at once; "
        f"{hits / asked:.0%} of the prompt tokens from the prefix cache"
    )


def first_view() -> View:
    env = werewolf_v0.raw_env(first_phase="day")
    env.reset(seed=0)
    return env.view(env.acting[0])


def test_a_reply_at_the_token_limit_counts_as_cut(server: Server) -> None:
    with policy_at(server, max_tokens=1) as policy:
        policy.act([first_view()])
        assert policy.usage.cut == policy.usage.requests == policy.usage.completion_tokens == 1


def test_a_model_that_the_server_does_not_have_stops_the_run(server: Server) -> None:
    with policy_at(server, model="nobody") as policy, pytest.raises(PolicyError, match="404"):
        policy.act([first_view()])
