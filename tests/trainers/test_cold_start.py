"""From recorded games to a model that has learned the best seats' own words, and no others."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from omar_envs import cli
from omar_envs.acting import Acting
from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.playing import play_games
from omar_envs.policy import ScriptedPolicy
from omar_envs.rollout import game_seed, make
from omar_envs.transcript import write_episodes
from omar_envs.types import SPEAK, Episode, View
from omar_trainers.cold_start import REPORT_FILE, ColdStartTrainer, main, parse
from omar_trainers.cold_start_config import ColdStartConfig
from omar_trainers.generation import TransformersGenerator
from omar_trainers.harvest import INVALID, Harvest, harvest
from omar_trainers.house import house_directory
from omar_trainers.house.build import DEMO_GAME
from omar_trainers.house.model import house_config, new_house_model
from omar_trainers.house.tokenizer import house_tokenizer
from omar_trainers.model_policy import ModelPolicy
from omar_trainers.replayed_rows import replayed_rows
from omar_trainers.sft import IGNORED, Example
from omar_trainers.tokens import ChatTokenizer
from omar_trainers.train import FINAL_FOLDER

GAMES = 12
TOKENIZER = AutoTokenizer.from_pretrained(house_directory())
TOKENS = ChatTokenizer(TOKENIZER)
MAX_CONTEXT = 512


class Mumbler:
    """Scripted players of whom every third speech only repeats, and every fourth vote is bad."""

    name = "mumbler"

    def __init__(self) -> None:
        self._bots = ScriptedPolicy(0, noise=0.2, brief=True)
        self._asked = Counter[bool]()

    def act(self, views: list[View]) -> list[str]:
        return [
            self._spoilt(view, reply)
            for view, reply in zip(views, self._bots.act(views), strict=True)
        ]

    def _spoilt(self, view: View, reply: str) -> str:
        assert view.request is not None
        speaks = view.request.kind is SPEAK
        self._asked[speaks] += 1
        if speaks and self._asked[True] % 3 == 0:
            return "no no no no no no no no"
        return "why" if not speaks and self._asked[False] % 4 == 0 else reply


def recorded(policy: object, games: int = GAMES) -> list[Episode]:
    envs = [make("werewolf_v0", DEMO_GAME) for _ in range(games)]
    return play_games(envs, [game_seed(3, i) for i in range(games)], lambda game, agent: policy)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return recorded(Mumbler())


@pytest.fixture(scope="module")
def clean() -> list[Episode]:
    """Every act is one that is learned where there is no turn filter."""
    return recorded(ScriptedPolicy(0, noise=0.2, brief=True))


def small_model() -> LlamaForCausalLM:
    config = house_config(
        len(TOKENIZER), pad_token_id=0, end_token_id=3, hidden_size=32, num_layers=1
    )
    return new_house_model(config, seed=0)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained")
    small_model().save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


def settings(folder: Path, **changes: object) -> ColdStartConfig:
    fixed = {"output_dir": str(folder), "best_of": 2, "use_cpu": True, "report_to": []}
    return ColdStartConfig(**(fixed | changes))


def learned(example: Example) -> list[int]:
    return [label for label in example["labels"] if label != IGNORED]


def taken(
    episodes: list[Episode], folder: Path, max_context: int = MAX_CONTEXT, **changes: object
) -> tuple[list[Example], Harvest]:
    return harvest(episodes, TOKENS, settings(folder, **changes), max_context)


# --- rows ------------------------------------------------------------------------


def test_rows_are_what_the_model_itself_had_seen() -> None:
    """Games that a model played replay to the very rows that it played them with."""
    model = AutoModelForCausalLM.from_pretrained(house_directory())
    generator = TransformersGenerator(
        model.eval(), end_token_id=3, pad_token_id=0, seed=5, max_context=MAX_CONTEXT
    )
    policy = ModelPolicy(generator, TOKENS, max_new_tokens_speak=8)
    games = recorded(policy, 4)
    rows = policy.take_rows()
    seats = {number: [seat.agent for seat in game.seats] for number, game in enumerate(games)}
    again = replayed_rows(games, seats, TOKENS, max_context=MAX_CONTEXT)
    assert rows.keys() == again.keys()
    for key, row in rows.items():
        finished = 0 if row.ids[-1] == 3 else 1
        assert again[key].ids[: len(row.ids)] == row.ids
        assert len(again[key].ids) == len(row.ids) + finished
        assert again[key].turn_index[: len(row.ids)] == row.turn_index


def test_only_chosen_seats_are_replayed(episodes: list[Episode]) -> None:
    rows = replayed_rows(episodes, {7: ["player_2"]}, TOKENS, max_context=MAX_CONTEXT)
    assert list(rows) == [(7, "player_2")]


def test_the_best_are_learned_their_bad_acts_are_not(
    episodes: list[Episode], tmp_path: Path
) -> None:
    examples, found = taken(episodes, tmp_path, best_of=1)
    acts = [turn for episode in episodes for turn in episode.turns]
    assert found.dropped_turns[INVALID] == sum(not turn.valid for turn in acts) > 0
    assert found.dropped_turns["repetition"] == sum("no no" in turn.reply for turn in acts) > 0
    assert found.turns + sum(found.dropped_turns.values()) == len(acts)
    said = [TOKENIZER.decode(learned(example)) for example in examples]
    assert not any("no no" in words or "why" in words for words in said)
    # They stay in the rows, as prompt.
    assert any("no no no" in TOKENIZER.decode(each["input_ids"]) for each in examples)
    assert found.learned_tokens == sum(len(learned(example)) for example in examples)
    everything, unfiltered = taken(episodes, tmp_path, best_of=1, turn_filter="none")
    assert unfiltered.dropped_turns == {INVALID: found.dropped_turns[INVALID]}
    assert sum(map(len, map(learned, everything))) > found.learned_tokens


def test_best_of_raises_the_return_and_keeps_the_roles(
    clean: list[Episode], tmp_path: Path
) -> None:
    _, everybody = taken(clean, tmp_path, best_of=1, turn_filter="none")
    _, best = taken(clean, tmp_path, best_of=4, turn_filter="none")
    assert everybody.rows == {"seer": GAMES, "villager": 3 * GAMES, "werewolf": GAMES}
    assert best.rows == {"seer": GAMES // 4, "villager": 3 * GAMES // 4, "werewolf": GAMES // 4}
    assert everybody.mean_return[0] == pytest.approx(everybody.mean_return[1])
    assert best.mean_return[0] > best.mean_return[1] == everybody.mean_return[1]


def test_rows_that_do_not_fit_keep_the_turns_that_do(
    episodes: list[Episode], tmp_path: Path
) -> None:
    whole, _ = taken(episodes, tmp_path, best_of=1, turn_filter="none")
    limit = max(len(example["input_ids"]) for example in whole) - 10
    cut, found = taken(episodes, tmp_path, limit, best_of=1, turn_filter="none")
    assert 0 < found.truncated_rows < len(cut)
    assert max(len(example["input_ids"]) for example in cut) <= limit
    beginnings = Counter(tuple(each["input_ids"][:15]) for each in whole)
    assert all(tuple(each["input_ids"][:15]) in beginnings for each in cut)
    with pytest.raises(ConfigError, match=r"nothing is left to learn.*max_row_tokens"):
        taken(episodes, tmp_path, 8)


def test_an_edited_episode_is_refused(episodes: list[Episode]) -> None:
    first = episodes[1].turns[0]
    other = msgspec.structs.replace(first, text="something else")
    edited = msgspec.structs.replace(episodes[1], turns=(other, *episodes[1].turns[1:]))
    longer = msgspec.structs.replace(episodes[1], turns=episodes[1].turns[:-1])
    for damaged in (edited, longer):
        with pytest.raises(EpisodeError, match="episode 2 does not replay"):
            replayed_rows(
                [episodes[0], damaged],
                {0: ["player_0"], 1: ["player_0"]},
                TOKENS,
                max_context=MAX_CONTEXT,
            )


# --- learning --------------------------------------------------------------------


def test_only_own_tokens_get_a_gradient(episodes: list[Episode], tmp_path: Path) -> None:
    examples, _ = taken(episodes[:3], tmp_path, best_of=1)
    trainer = ColdStartTrainer(
        small_model(),
        settings(tmp_path, per_device_train_batch_size=len(examples)),
        examples,
        identity={},
        processing_class=TOKENIZER,
    )
    (batch,) = trainer.get_train_dataloader()
    last: list[torch.Tensor] = []  # what the head reads, (B, T, d)

    def keep(module: object, inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        last.append(output)

    trainer.model.model.norm.register_forward_hook(keep)
    trainer.compute_loss(trainer.model, batch).backward()
    assert last[0].grad is not None
    touched = last[0].grad.abs().sum(-1) > 0  # (B, T)
    # What is said at a position is decided at the one before it.
    expected = torch.zeros_like(touched)
    expected[:, :-1] = batch["labels"][:, 1:] != IGNORED
    assert torch.equal(touched, expected)
    rows = {tuple(each["input_ids"]): each["labels"] for each in examples}
    for ids, labels, mask in zip(
        batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
    ):
        length = int(mask.sum())
        assert rows[tuple(ids[:length].tolist())] == labels[:length].tolist()
        assert (labels[length:] == IGNORED).all()


def words(model: Path, file: Path, out: Path, *more: str) -> list[str]:
    return [
        *("--model", str(model), "--episodes", str(file), "--output_dir", str(out)),
        *("--best_of", "2", "--num_train_epochs", "3", "--per_device_train_batch_size", "8"),
        *("--learning_rate", "3e-3", "--save_steps", "4", "--logging_steps", "4"),
        *("--report_to", "none", "--use_cpu", "--disable_tqdm", "true", *more),
    ]


@pytest.mark.e2e
def test_command_learns_and_goes_on_where_it_was_killed(
    episodes: list[Episode],
    untrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, out = tmp_path / "games.jsonl", tmp_path / "out"
    write_episodes(file, episodes)
    arguments = words(untrained, file, out)
    _, found = taken(episodes, tmp_path)
    assert cli.main(["sft", *arguments]) == 0
    assert found.text() in capsys.readouterr().out
    report = json.loads((out / REPORT_FILE).read_text())
    losses = [loss for _, loss in report["losses"]]
    assert losses[-1] < 0.7 * losses[0]
    assert report["rows"] == found.rows
    game = json.loads((out / FINAL_FOLDER / "game.json").read_text())
    assert game == {"env": "werewolf_v0", "config": episodes[0].config}
    assert Acting.read(out / FINAL_FOLDER) == Acting.read(untrained)
    final = LlamaForCausalLM.from_pretrained(out / FINAL_FOLDER).state_dict()

    # As if it had been killed while it wrote its second checkpoint.
    killed = tmp_path / "killed"
    killed.mkdir()
    shutil.copytree(out / "checkpoint-4", killed / "checkpoint-4")
    shutil.copytree(out / "checkpoint-8", killed / "checkpoint-8")
    (killed / "checkpoint-8" / "optimizer.pt").write_bytes(b"half")
    assert main(words(untrained, file, killed, "--resume")) == 0
    again = LlamaForCausalLM.from_pretrained(killed / FINAL_FOLDER).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in final.items())
    assert json.loads((killed / REPORT_FILE).read_text())["losses"] == report["losses"]

    # Other rows are another run, and a run that must begin does not go on.
    capsys.readouterr()
    for more, complaint in (
        (["--best_of", "3"], "made with other settings: rows was"),
        (["--resume", "never"], "resume is never"),
    ):
        assert main([*arguments, *more]) == 2
        assert complaint in capsys.readouterr().err


def test_arguments_of_the_chat_template_are_learned_and_written_beside_the_weights(
    episodes: list[Episode], untrained: Path, tmp_path: Path
) -> None:
    file, model = tmp_path / "games.jsonl", tmp_path / "model"
    write_episodes(file, episodes)
    shutil.copytree(untrained, model)
    template = model / "chat_template.jinja"
    template.write_text("{{ 'night day ' if loud }}" + template.read_text())
    Acting(temperature=0.7, max_new_tokens_speak=9).write(model)
    losses = []
    for name, given in (("plain", []), ("loud", ["--chat_template_kwargs", '{"loud": true}'])):
        out = tmp_path / name
        assert (
            main(words(model, file, out, "--max_steps", "1", "--logging_steps", "1", *given)) == 0
        )
        losses.append(json.loads((out / REPORT_FILE).read_text())["losses"])
    assert losses[0] != losses[1]
    after = Acting.read(tmp_path / "loud" / FINAL_FOLDER)
    assert after.chat_template_kwargs == {"loud": True}
    assert (after.temperature, after.max_new_tokens_speak) == (0.7, 9)

    # The model goes on with what it learned, unless told otherwise.
    again = words(tmp_path / "loud" / FINAL_FOLDER, file, tmp_path / "again", "--max_steps", "1")
    assert main(again) == 0
    assert Acting.read(tmp_path / "again" / FINAL_FOLDER) == after


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--best_of", "0"], "best_of must be an integer of at least 1"),
        (["--balance", "sides"], "balance"),
        (["--min_return", "7"], "was paid min_return 7"),
        (["--max_row_tokens", "9999"], "reads at most 512 tokens"),
        (["--max_length", "100"], "set max_row_tokens instead"),
        (["--packing", "true"], "packing"),
        (["--filter_script", "KLINGON"], "KLINGON"),
        (["--bestof", "2"], "bestof"),
        (["--chat_template_kwargs", "yes"], "must be a mapping"),
        (["--chat_template_kwargs", '{"messages": 1}'], "messages cannot be set"),
        (["--model", "/no/such/folder"], "/no/such/folder cannot learn"),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    more: list[str],
    message: str,
    episodes: list[Episode],
    untrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "games.jsonl"
    write_episodes(file, episodes[:2])
    assert main([*words(untrained, file, tmp_path / "out"), *more]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named(tmp_path: Path, untrained: Path) -> None:
    from omar_trainers.cold_start import run

    with pytest.raises(ConfigError, match="--model is missing"):
        run(*parse(["--episodes", "games.jsonl", "--output_dir", str(tmp_path)]))
    with pytest.raises(ConfigError, match="--episodes is missing"):
        run(*parse(["--model", "house", "--output_dir", str(tmp_path)]))
    with pytest.raises(EpisodeError, match=r"none\.jsonl"):
        run(*parse(words(untrained, tmp_path / "none.jsonl", tmp_path)))


def test_a_tokenizer_of_other_words_is_refused(episodes: list[Episode], tmp_path: Path) -> None:
    stranger = ChatTokenizer(house_tokenizer({"I", "am"}, max_context=512))
    with pytest.raises(ConfigError, match="unknown to the model's tokenizer"):
        harvest(episodes, stranger, settings(tmp_path), MAX_CONTEXT)


def test_a_model_without_weights_is_one_line(
    clean: list[Episode], untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "empty"
    shutil.copytree(untrained, folder)
    (folder / "model.safetensors").unlink()
    file = tmp_path / "games.jsonl"
    write_episodes(file, clean)
    arguments = ["--model", str(folder), "--episodes", str(file), "--use_cpu"]
    assert main([*arguments, "--output_dir", str(tmp_path / "out")]) == 2
    assert "cannot be loaded" in capsys.readouterr().err
