"""The replay page in a real browser: a seat's eyes hold what its view held, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omar_envs import sotopia_v0, werewolf_v0
from omar_envs.conversation import ConversationEnv
from omar_envs.policy import Policy, ScriptedPolicy
from omar_envs.rollout import play
from omar_envs.sotopia.bots import NegotiatorPolicy
from omar_envs.sotopia.env import SotopiaEnv
from omar_envs.sotopia.library import scenarios
from omar_envs.transcript import decode, encode
from omar_envs.types import Episode, View
from tests.e2e.chromium import Page
from tests.e2e.replay_pages import TROUBLE, WORDS, show
from tests.envs.episode_samples import changed

pytestmark = pytest.mark.e2e

SILENCE = "says nothing."
EVERY_STEP = f"""(() => {{
    const seen = () => [...document.querySelectorAll("{WORDS}")]
        .filter((node) => node.checkVisibility()).map((node) => node.textContent);
    const scrubber = document.getElementById("scrubber");
    return [...Array(Number(scrubber.max)).keys()].map((step) => {{
        scrubber.value = step + 1;
        scrubber.dispatchEvent(new Event("input"));
        return seen();
    }});
}})()"""


def views_of(env: ConversationEnv, episode: Episode) -> dict[str, list[View]]:
    """What each seat's view was before every act of the game, and at its end."""
    env.reset(seed=episode.seed)
    found: dict[str, list[View]] = {seat.agent: [] for seat in episode.seats}
    for reply in [*(turn.reply for turn in episode.turns), None]:
        for agent, views in found.items():
            views.append(env.view(agent))
        if reply is not None:
            env.step(reply)
    assert env.over
    return found


def scripted(env: ConversationEnv) -> Policy:
    return NegotiatorPolicy(seed=1) if isinstance(env, SotopiaEnv) else ScriptedPolicy(seed=1)


def marked(env: ConversationEnv, seed: int) -> Episode:
    """A scripted game in which every act carries a thought, a canary that names its agent."""
    env.reset(seed=seed)
    policy = scripted(env)
    while not env.over:
        agent = env.agent_selection
        (reply,) = policy.act([env.view(agent)])
        env.step(f"<think>THOUGHT-OF-{agent}</think>{reply}")
    return decode(encode(env.episode()))


def werewolf() -> ConversationEnv:
    return werewolf_v0.raw_env(num_players=5, wolf_chat_rounds=1)


def sotopia() -> ConversationEnv:
    computed = next(scenario for scenario in scenarios() if scenario.outcome is not None)
    return sotopia_v0.raw_env(scenario=computed.codename)


GAMES = [werewolf, sotopia]


@pytest.mark.parametrize("make", GAMES)
def test_at_every_step_a_seat_sees_what_its_view_held(
    page: Page, tmp_path: Path, make: Any
) -> None:
    env = make()
    episode = marked(env, 3)
    show(page, tmp_path, episode)
    for agent, views in views_of(env, episode).items():
        page.select("#eyes", agent)
        steps = [[text for text in step if text != SILENCE] for step in page.run(EVERY_STEP)]
        # The steps are the view's log as it grew: nothing else, nothing sooner, nothing left out.
        whole = [message.text for message in views[-1].log]
        assert steps[-1] == whole
        assert all(step == whole[: len(step)] for step in steps)
        lengths = {len(step) for step in steps} | {0}
        assert {len(view.log) for view in views} <= lengths
        (told,) = page.run("[...document.querySelectorAll('.told')].map((n) => n.textContent)")
        assert told == views[0].messages[0]["content"]
    assert page.reported(*TROUBLE) == []


@pytest.mark.parametrize("make", GAMES)
def test_nothing_that_a_seat_may_not_know_stands_in_its_page(
    page: Page, tmp_path: Path, make: Any
) -> None:
    env = make()
    episode = marked(env, 3)
    show(page, tmp_path, episode)
    views = views_of(env, episode)
    secrets = private_parts(episode)
    assert secrets
    for agent, seen in views.items():
        page.select("#eyes", agent)
        known = "\n".join(str(message["content"]) for message in seen[-1].messages)
        for switch in (False, True):
            if page.run("document.getElementById('show-reasoning').checked") != switch:
                page.click("#show-reasoning")
            page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
            text, markup = page.text(), page.markup()
            for secret in secrets:
                if secret not in known:
                    assert secret not in markup, (agent, secret)
            for other in {turn.agent for turn in episode.turns}:
                hidden = other != agent or not switch
                assert (f"THOUGHT-OF-{other}" in text) != hidden
                if hidden:
                    assert f"THOUGHT-OF-{other}" not in markup
    # The public see no secret at all, and with all-knowing eyes every one is there.
    page.select("#eyes", "public")
    assert not [secret for secret in secrets if secret in page.markup()]
    page.select("#eyes", "all")
    assert not [secret for secret in secrets if secret not in page.markup()]


def private_parts(episode: Episode) -> Sequence[str]:
    """Texts of the episode that are not for everybody."""
    private = [m.text for m in episode.messages if m.audience is not None]
    open_to_all = "\n".join(m.text for m in episode.messages if m.audience is None)
    setting = episode.outcome.get("setting", {}).get("participants", {})
    for person in setting.values():
        private += [person["goal"].split(". ")[0], person["secret"]]
    return [text for text in private if text and text not in open_to_all]


def test_a_setting_is_public_where_it_may_be(page: Page, tmp_path: Path) -> None:
    """Marked parts of a scenario's text are for their viewers alone."""
    scenario = next(each for each in scenarios() if each.num_agents == 2)
    text = 'A PUBLIC place. <p viewer="agent_0">FOR-ONE</p><p viewer="environment">FOR-NONE</p>'
    scenario = msgspec.structs.replace(scenario, scenario=text)
    episode = play(sotopia_v0.raw_env(scenario=scenario), NegotiatorPolicy(seed=1), seed=1)
    show(page, tmp_path, episode)
    seen = {
        "public": (True, False, False),
        "agent_0": (True, True, False),
        "agent_1": (True, False, False),
        "all": (True, True, True),
    }
    for eyes, expected in seen.items():
        page.select("#eyes", eyes)
        markup = page.markup()
        found = tuple(word in markup for word in ("A PUBLIC place", "FOR-ONE", "FOR-NONE"))
        assert found == expected, eyes


def test_an_episode_of_another_game_or_deal_has_no_briefing(page: Page, tmp_path: Path) -> None:
    episode = play(werewolf(), ScriptedPolicy(seed=1), seed=3)
    strangers = [
        changed(episode, env="chess_v7"),
        changed(episode, seed=4),
        changed(episode, config={"num_players": "many"}),
        changed(episode, config={"no_such_setting": 1}),
    ]
    show(page, tmp_path, episode, *strangers)
    for number in range(len(strangers) + 1):
        page.click(f"#games li:nth-child({number + 1}) button")
        page.select("#eyes", "player_0")
        told = page.run("document.querySelectorAll('.told').length")
        assert told == (1 if number == 0 else 0)
    assert page.reported(*TROUBLE) == []


def test_profiles_goals_and_outcome_against_the_optimum(page: Page, tmp_path: Path) -> None:
    episode = play(
        sotopia_v0.raw_env(scenario="moving_out_of_the_flat"), NegotiatorPolicy(seed=1), seed=1
    )
    show(page, tmp_path, episode, fragment="#eyes=all&roles=1")
    outcome = episode.outcome
    names = [seat.name for seat in episode.seats]
    assert page.texts(".profile h3 .name") == names
    for person in outcome["setting"]["participants"].values():
        assert person["goal"] in page.text("#setting")
        assert person["secret"] in page.text("#setting")
    rows = page.run("[...document.querySelector('.got').tBodies[0].rows].map((r) => r.innerText)")
    for row, name, agent in zip(rows, names, outcome["points"], strict=True):
        assert [cell.strip() for cell in row.split("\t")] == [
            name,
            f"{outcome['points'][agent]:g}",
            f"{outcome['scores'][agent]:g}",
        ]
    total = sum(outcome["points"].values())
    best = total / outcome["measures"]["joint_share"]
    assert f"Together {total:g} points; the best there could be is {best:g}." in page.text()
    assert len(page.texts(".measures li")) == len(outcome["measures"])
    assert len(page.texts(".relationships li")) == 1
    page.click("#show-roles")
    assert "Together" not in page.markup()
