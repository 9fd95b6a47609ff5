"""Settings: what follows from what, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_trainers.config import OMARConfig
from omar_trainers.train import main, parse, recipe_path

RECIPES = [
    "sotopia_house_deal",
    "sotopia_qwen2_5_7b",
    "sotopia_qwen2_5_7b_node",
    "werewolf_house_demo",
    "werewolf_house_long",
    "werewolf_qwen3_4b",
    "werewolf_qwen3_4b_node",
    "werewolf_smollm2",
]


def config(**changes: Any) -> OMARConfig:
    fitting = {"seats": 5, "games_per_iteration": 8, "per_device_train_batch_size": 4}
    return OMARConfig(**({"output_dir": "unused", "use_cpu": True} | fitting | changes))


@settings(max_examples=25, deadline=None)
@given(
    seats=st.integers(2, 6),
    episodes=st.integers(1, 3),
    groups=st.integers(1, 3),
    minibatches=st.integers(1, 3),
    passes=st.integers(1, 2),
    iterations=st.integers(1, 5),
)
def test_rows_and_steps_follow_from_games(
    seats: int, episodes: int, groups: int, minibatches: int, passes: int, iterations: int
) -> None:
    batch = 2
    games = episodes * groups * minibatches * batch
    made = config(
        seats=seats,
        episodes_per_scenario=episodes,
        games_per_iteration=games,
        minibatches=minibatches,
        num_iterations=passes,
        total_iterations=iterations,
        per_device_train_batch_size=batch,
    )
    assert made.num_generations == seats * episodes
    assert made.generation_batch_size == games * seats
    assert made.max_steps == iterations * minibatches * passes
    assert made.logging_steps == made.steps_per_iteration == minibatches * passes
    # One optimizer step sees one minibatch.
    rows_per_step = made.per_device_train_batch_size * made.gradient_accumulation_steps
    assert rows_per_step * minibatches == games * seats


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resume_with": ["lerning_rate"]}, "did you mean 'learning_rate'"),
        ({"resume_with": ["seats"]}, "resume_with cannot change seats: a checkpoint counts"),
        ({"resume_with": "beta"}, r"write \[beta\]"),
        ({"sync_ref_model": True}, "sync_ref_model"),
        ({"save_strategy": "epoch"}, "save_strategy must be no or steps"),
        ({"save_strategy": "best"}, "save_strategy must be no or steps"),
        ({"env_kwargs": '{"num_players": '}, "env_kwargs is not JSON"),
        ({"critic_overrides": '{"hidden_size" 8}', "critic": "fresh"}, "critic_overrides is not"),
        ({"env_kwargs": "num_players"}, "env_kwargs must be a mapping"),
        ({"gamma_turn": 1.5}, r"gamma_turn must lie in \[0, 1\]"),
        ({"lam_token": float("nan")}, "lam_token"),
        ({"seats": "five"}, "seats must be an integer"),
        ({"games_per_iteration": 0}, "games_per_iteration"),
        ({"critic_learning_rate": 0.0}, "critic_learning_rate must be positive"),
        ({"advantage": "grpo"}, "advantage must be one of"),
        ({"loss_type": "grpo"}, "loss_type must be one of dapo"),
        ({"beta": 0.1}, "kl_as is none"),
        ({"kl_as": "token_reward"}, "beta is 0"),
        ({"advantage": "rae", "kl_as": "token_reward", "beta": 0.1}, "no token rewards"),
        ({"advantage": "rae", "critic_only_iterations": 1}, "has none"),
        ({"critic_overrides": {"hidden_size": 8}}, "set critic to fresh"),
        ({"importance_sampling_level": "sequence"}, "must be token"),
        ({"vllm_importance_sampling_mode": "sequence_mask"}, "zeroes long ones"),
        ({"mask_truncated_completions": True}, "last token"),
        ({"scale_rewards": "group"}, "scale_rewards must be none"),
        ({"top_p": 0.9}, "leave them at"),
        ({"use_vllm": True}, "set old_logprobs to recomputed"),
        ({"eval_strategy": "steps", "eval_steps": 1}, "in the arena"),
        ({"steps_per_generation": 4}, "leave it out"),
        ({"num_generations": 8}, "make it 5: leave it out"),
        ({"max_steps": 7}, "leave it out"),
        ({"save_steps": 3}, "make it 100: leave it out"),
        ({"logging_steps": 1}, "make it 2: leave it out"),
        ({"logging_strategy": "no"}, "logging_strategy must be steps"),
        ({"logging_strategy": "epoch"}, "logging_strategy must be steps"),
        ({"episodes_per_scenario": 3}, "multiple of episodes_per_scenario"),
        ({"per_device_train_batch_size": 3}, "or take a batch size of 1, 2, 4, 5, 10, 20"),
        ({"log_completions": True}, "group statistics"),
        ({"generation_kwargs": {"top_p": 0.5}}, "no effect"),
        ({"max_completion_length": 64}, "no effect .* max_new_tokens_speak"),
        ({"vllm_structured_outputs_regex": "a+"}, "no effect .* constrain_choices"),
        ({"reward_weights": [2.0]}, "no effect"),
        ({"num_train_epochs": 2}, "no effect .* total_iterations"),
        ({"critic": "lora", "fsdp": True, "use_cpu": True}, "FSDP and ZeRO-3 take apart"),
        ({"use_adaptive_entropy": True}, "set entropy_coef"),
        ({"seats": 1}, "at least two rows"),
        ({"gradient_accumulation_steps": 3}, "gradient_accumulation_steps is 3"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**changes)


def test_games_must_divide_among_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="3 processes"):
        config()


def test_scenarios_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "scenarios.jsonl"
    file.write_text('{"num_players": 5}\n\n{"num_players": 7}\n')
    assert config(scenarios=str(file)).load_scenarios() == [{"num_players": 5}, {"num_players": 7}]
    assert config().load_scenarios() == [{}]


@pytest.mark.parametrize(
    ("text", "message"), [("", "no scenario"), ("[1]", "1 is not a JSON object"), ("{", "not JSON")]
)
def test_bad_scenarios_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "scenarios.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        config(scenarios=str(file)).load_scenarios()
    with pytest.raises(ConfigError, match="there is no file"):
        config(scenarios=str(tmp_path / "other")).load_scenarios()


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_parse(recipe: str) -> None:
    made, model = parse(["--recipe", recipe, "--use_cpu", "--bf16", "false"])
    written = yaml.safe_load(recipe_path(recipe).read_text())
    # transformers writes its own defaults beside.
    assert written.get("fsdp_config", {}).items() <= (made.fsdp_config or {}).items()
    for name in written.keys() & vars(made).keys() - {"use_cpu", "bf16", "fsdp_config"}:
        assert getattr(made, name) == written[name], name
    players = "num_players" if made.env_name == "werewolf_v0" else "num_agents"
    assert made.env_kwargs[players] == made.seats
    assert model.model_name_or_path == written.get("model_name_or_path")


def test_every_bundled_recipe_is_tested() -> None:
    assert sorted(path.stem for path in recipe_path(RECIPES[0]).parent.glob("*.yaml")) == RECIPES


def test_command_line_wins_over_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("seats: 4\ngames_per_iteration: 4\nuse_cpu: true\nlearning_rate: 1e-3\n")
    made, _ = parse(
        [f"--recipe={recipe}", "--games-per-iteration", "8", "--env_kwargs", '{"num_players": 4}']
    )
    assert (made.seats, made.games_per_iteration, made.learning_rate) == (4, 8, 1e-3)
    assert made.env_kwargs == {"num_players": 4}


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        ("seets: 5", [], "mine.yaml: unknown key 'seets'; did you mean 'seats'?"),
        ("- 1", [], "not a mapping"),
        ("a: [", [], "is not YAML"),
        ("seats: 5", ["--seet", "5"], "unknown argument --seet; did you mean '--seed'?"),
        ("seats: 5", ["--seats", "many"], "invalid int value: 'many'"),
        ("gamma_turn: 2.0", [], "gamma_turn must lie in"),
        ("use_cpu: true", ["--seats", "4"], "model_name_or_path is missing"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recipe: str,
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "mine.yaml").write_text(recipe)
    assert main(["--recipe", str(tmp_path / "mine.yaml"), *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_unknown_recipe_lists_the_bundled_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recipe", "nothing"]) == 2
    assert "werewolf_house_demo" in capsys.readouterr().err
