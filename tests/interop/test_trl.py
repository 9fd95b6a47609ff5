"""One seat as TRL's GRPOTrainer plays it: by calling a tool."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest

from omar_envs.errors import ConfigError, StateError
from omar_envs.integrations.libraries import check
from omar_envs.integrations.trl import environment_factory, games
from omar_envs.rollout import make
from omar_envs.wrappers.single_agent import SingleAgentEnv

try:
    check("trl")
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "trl_one_seat.py"
SETTINGS: dict[str, Any] = {"num_players": 5, "invalid_penalty": 0.25}


def home(seed: int, seat: int | str = 0) -> SingleAgentEnv:
    env = SingleAgentEnv(make("werewolf_v0", SETTINGS), seat, "scripted")
    env.reset(seed=seed)
    return env


def pay_at_home(seed: int, replies: list[str], seat: int | str = 0) -> float:
    """What the seat is paid for these replies, and silence after them."""
    env, total, over, left = home(seed, seat), 0.0, False, list(replies)
    while not over:
        _, reward, terminated, truncated, _ = env.step(left.pop(0) if left else "")
        total, over = total + reward, terminated or truncated
    return total


def test_the_tools_are_the_one_that_acts() -> None:
    """TRL offers every public method but two to the model."""
    tools = environment_factory("werewolf", **SETTINGS)()
    public = {
        name
        for name, _ in inspect.getmembers(type(tools), inspect.isfunction)
        if not name.startswith("_")
    }
    assert public == {"reset", "get_reward", "act"}
    transformers = pytest.importorskip("transformers")
    schema = transformers.utils.get_json_schema(tools.act)["function"]
    assert schema["name"] == "act"
    assert schema["parameters"]["required"] == ["text"]


def test_a_game_by_tool_calls_is_the_game_at_home() -> None:
    tools = environment_factory("werewolf", **SETTINGS)()
    for seed in range(5):
        env = home(seed)
        told = tools.reset(prompt=[], seed=seed)
        for message in env.view().messages:
            assert message["content"] in told
        acts, over = [], False
        while not over:
            acts.append("Ana")
            _, _, terminated, truncated, _ = env.step("Ana")
            over = terminated or truncated
            answer = tools.act("Ana")
            assert env.view().messages[-1]["content"] in answer
            assert answer.endswith("The game is over.") == over
        with pytest.raises(StateError, match="over"):
            tools.act("Ana")
        assert tools.get_reward() == pytest.approx(pay_at_home(seed, acts))


def test_who_stops_calling_plays_on_in_silence() -> None:
    tools = environment_factory("werewolf", **SETTINGS)()
    for seed in range(6):
        tools.reset(seed=seed)
        reward = tools.get_reward()
        assert reward == pytest.approx(pay_at_home(seed, []))
        assert reward == tools.get_reward()  # asking again pays no more


def test_rows_choose_game_and_seat() -> None:
    tools = environment_factory("werewolf", **SETTINGS)()
    first = tools.reset(seed=1, seat=2, topic="ignored")
    assert home(1, 2).view().messages[0]["content"] in first
    assert tools.reset(seed=1, seat=2) == first
    assert tools.reset(seed=2, seat=2) != first
    with pytest.raises(ConfigError, match="seat"):
        tools.reset(seed=1, seat=17)


def test_a_data_set_of_games() -> None:
    rows = games(5, seed=10, seats=2)
    assert rows["seed"] == [10, 11, 12, 13, 14]
    assert rows["seat"] == [0, 1, 0, 1, 0]
    assert rows[0]["prompt"] == [{"role": "user", "content": ""}]
    assert "seat" not in games(1).column_names
    with pytest.raises(ConfigError, match="count"):
        games(0)


def test_bad_arguments_are_named_at_once() -> None:
    with pytest.raises(StateError, match="reset"):
        environment_factory()().get_reward()
    with pytest.raises(ConfigError, match="seat"):
        environment_factory("werewolf", seat=99)
    with pytest.raises(ConfigError, match="num_players"):
        environment_factory("werewolf", num_players=1)
    with pytest.raises(ConfigError, match="environment"):
        environment_factory("wherewolf")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_grpo_trains_a_few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example, as a user runs it, with a tiny model that has learned to call the tool."""
    pytest.importorskip("torch")
    from tests.interop.tool_caller import save

    save(tmp_path / "model")
    spec = importlib.util.spec_from_file_location("trl_one_seat", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    trainer = example.main(str(tmp_path / "model"), steps=2, device="cpu")
    steps = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(steps) == 2
    for step in steps:
        assert step["tools/call_frequency"] >= 1
        assert step["rewards/SeatTools/mean"] == step["reward"]
        assert -4 <= step["reward"] <= 1
    # Rewards differ inside a group, so something was learned from.
    assert any(step["grad_norm"] > 0 for step in steps)
