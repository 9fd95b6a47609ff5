"""``omar-envs train`` on the real game: a recipe in, a model that plays out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model
from transformers import AutoTokenizer, LlamaForCausalLM

from omar_envs.acting import Acting
from omar_envs.by_name import game_for
from omar_envs.errors import ConfigError
from omar_envs.rollout import make, play
from omar_trainers import cold_start
from omar_trainers.beside_weights import acting_of, game_of
from omar_trainers.config import OMARConfig
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.metrics import METRICS_FILE
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.selfplay import GamePlan, ModelGames, SelfPlayRound
from omar_trainers.tokens import ChatTokenizer
from omar_trainers.train import FINAL_FOLDER, main, parse, refuse_adapters
from omar_trainers.trainer import OMARTrainer


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small house model with random weights."""
    folder = tmp_path_factory.mktemp("untrained")
    words = {"Ana", "Bruno", "Clara", "Diego", "Elena", "abstain", "nobody", "seer", "werewolf"}
    tokenizer = house_tokenizer(words, max_context=512)
    config = house_config(
        len(tokenizer), pad_token_id=0, end_token_id=3, hidden_size=32, num_layers=1
    )
    new_house_model(config, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def small(model: str, output: Path) -> list[str]:
    """Arguments that make the demo's recipe a run of seconds."""
    sizes = {
        "games_per_iteration": 4,
        "per_device_train_batch_size": 5,
        "total_iterations": 2,
        "save_iterations": 1,
    }
    return [
        *("--recipe", "werewolf_house_demo", "--model_name_or_path", model),
        *("--output_dir", str(output)),
        *(part for name, value in sizes.items() for part in (f"--{name}", str(value))),
    ]


@pytest.mark.e2e
def test_recipe_to_a_model_that_plays(untrained: str, tmp_path: Path) -> None:
    arguments = small(untrained, tmp_path)
    assert main(arguments) == 0
    metrics = [json.loads(line) for line in (tmp_path / METRICS_FILE).read_text().splitlines()]
    assert [line["iteration"] for line in metrics] == [1, 2]
    assert metrics[0]["policy/logprob_gap"] < 1e-5
    assert metrics[0]["win/village"] + metrics[0]["win/werewolf"] + metrics[0]["win/nobody"] == 1.0
    # Choices are masked to the legal names, so that none can be misread.
    assert metrics[0]["game/invalid_acts"] < 0.5

    settings, _ = parse(arguments)
    policy = ModelPolicy.from_pretrained(tmp_path / FINAL_FOLDER, max_new_tokens_speak=4)
    episode = play(make(settings.env_name, settings.env_kwargs), policy, seed=1)
    assert episode.terminated or episode.truncated

    # Beside the weights stands what they were trained on, in checkpoints, too.
    assert settings.env_kwargs is not None
    for folder in (tmp_path / FINAL_FOLDER, tmp_path / "checkpoint-4"):
        assert game_for([str(folder)], None, {}) == (settings.env_name, settings.env_kwargs)
        acting = Acting.read(folder)
        assert acting == acting_of(settings)
        assert acting.max_new_tokens_speak == settings.max_new_tokens_speak != 128

    # The critic stays in the checkpoint; the model is a plain one.
    final = LlamaForCausalLM.from_pretrained(tmp_path / FINAL_FOLDER)
    assert final.num_parameters() == LlamaForCausalLM.from_pretrained(untrained).num_parameters()
    assert main([*arguments, "--total_iterations", "3", "--resume_from_checkpoint", "last"]) == 0
    steps = [json.loads(li)["step"] for li in (tmp_path / METRICS_FILE).read_text().splitlines()]
    assert steps == [2, 4, 6]


def test_a_game_is_told_without_its_judge(tmp_path: Path) -> None:
    kwargs = {"num_agents": 2, "reward": "judge", "judge": "http://x/v1#m"}
    settings: dict[str, Any] = {"output_dir": str(tmp_path), "use_cpu": True, "seats": 2}
    game = game_of(OMARConfig(**settings, env_name="sotopia_v0", env_kwargs=kwargs))
    assert game == {"env": "sotopia_v0", "config": {"num_agents": 2, "reward": "none"}}
    make(game["env"], game["config"])
    thinking = {"enable_thinking": False}
    acting = acting_of(OMARConfig(**settings, chat_template_kwargs=thinking, stop_strings=["x"]))
    acting.write(tmp_path)
    assert Acting.read(tmp_path) == acting
    assert acting.chat_template_kwargs == thinking and acting.stop_strings == ("x",)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--seats", "4", "--per_device_train_batch_size", "2"], "a game has 5 players"),
        (["--env_kwargs", '{"num_playrs": 5}'], "num_playrs"),
        (["--env_name", "chess_v0"], "unknown environment 'chess_v0'"),
        (["--critic_overrides", '{"hiden_size": 8}'], "no field 'hiden_size'"),
        (["--env_kwargs", '{"num_players": '], "env_kwargs is not JSON"),
        (["--watch", "outcome.wealth", "--watch_every", "1"], "teams, winner"),
        (["--resume_from_checkpoint", "last"], "has no checkpoint"),
        (["--model_name_or_path", "/no/such/folder"], "cannot be loaded"),
    ],
)
def test_mistakes_are_one_line(
    untrained: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    message: str,
) -> None:
    assert main([*small(untrained, tmp_path), *extra]) == 2
    printed = [li for li in capsys.readouterr().err.splitlines() if "omar-envs train" in li]
    assert len(printed) == 1
    assert message in printed[0]


def test_a_model_that_gives_no_numbers_is_told_in_a_line(
    untrained: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(model: str, code: int) -> str:
        assert main(small(model, tmp_path / "out")) == code
        (line,) = (li for li in capsys.readouterr().err.splitlines() if "omar-envs train" in li)
        return line

    model = LlamaForCausalLM.from_pretrained(untrained)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    broken = tmp_path / "broken"
    shutil.copytree(untrained, broken)
    model.save_pretrained(broken)
    assert "the model's logits are no numbers" in told(str(broken), 2)

    class Breaks(OMARTrainer):
        def play_round(self, prompts: Sequence[str]) -> SelfPlayRound:
            with torch.no_grad():
                self.model.model.norm.weight.fill_(float("nan"))
            return super().play_round(prompts)

    monkeypatch.setattr("omar_trainers.trainer.OMARTrainer", Breaks)
    assert "nothing can be sampled" in told(untrained, 3)


def test_games_are_tried_before_a_model_is_loaded(untrained: str, tmp_path: Path) -> None:
    settings = {
        "output_dir": str(tmp_path),
        "use_cpu": True,
        "seats": 5,
        "env_kwargs": {"num_players": 5},
    }
    scenarios = tmp_path / "scenarios.jsonl"
    scenarios.write_text("{}\n" * 3 + '{"num_players": 6}\n')
    for change, message in (
        ({"env_kwargs": {"num_playrs": 5}}, "num_playrs"),
        ({"scenarios": str(scenarios)}, "a game has 6 players"),
        ({"watch": "outcome.wealth", "watch_every": 1}, "winner"),
        ({"watch": "reward.wealth", "watch_every": 1}, "they have invalid, outcome"),
    ):
        args = OMARConfig(**(settings | {"per_device_train_batch_size": 5} | change))
        with pytest.raises(ConfigError, match=message):
            OMARTrainer("/no/model/is/there", args)


def test_a_kind_of_model_that_is_not_known(
    untrained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "strange"
    shutil.copytree(untrained, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "lama9"}))
    assert main(small(str(folder), tmp_path / "out")) == 2
    assert "cannot be loaded" in capsys.readouterr().err


def test_training_does_not_start_from_adapters(
    untrained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapters = tmp_path / "adapters"
    model = LlamaForCausalLM.from_pretrained(untrained)
    get_peft_model(model, LoraConfig(task_type="CAUSAL_LM")).save_pretrained(adapters)
    AutoTokenizer.from_pretrained(untrained).save_pretrained(adapters)
    assert main(small(str(adapters), tmp_path / "out")) == 2
    assert "holds adapters alone" in capsys.readouterr().err
    learn = ["--model", str(adapters), "--episodes", "x.jsonl", "--output_dir", str(tmp_path)]
    assert cold_start.main(learn) == 2
    assert "holds adapters alone" in capsys.readouterr().err
    # What they are told to do is enough.
    whole = tmp_path / "whole"
    merged = AutoPeftModelForCausalLM.from_pretrained(str(adapters)).merge_and_unload()
    merged.save_pretrained(whole)
    refuse_adapters(str(whole))
    LlamaForCausalLM.from_pretrained(whole)


def test_one_environment_is_kept_per_game(untrained: str, tmp_path: Path) -> None:
    made = 0

    class Counting(ModelGames):
        def make(self, scenario: dict[str, Any]) -> Any:
            nonlocal made
            made += 1
            return super().make(scenario)

    tokens = ChatTokenizer(AutoTokenizer.from_pretrained(untrained))
    games = Counting(
        "werewolf_v0",
        {},
        tokens,
        max_new_tokens_speak=1,
        max_new_tokens_choose=1,
        temperature=1.0,
        constrain_choices=True,
    )
    seats = [len(games.lineup(GamePlan({"num_players": n}, 1))) for n in (5, 5, 6, 5)]
    assert seats == [5, 5, 6, 5]
    # Of what was played before, nothing is held: going back makes it anew.
    assert made == 3
