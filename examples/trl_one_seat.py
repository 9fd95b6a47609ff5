"""GRPO on one seat of Werewolf, scripted players in the others: TRL's ``environment_factory``.

    pip install 'omar-envs[train]'
    python examples/trl_one_seat.py Qwen/Qwen3-0.6B

The model plays by calling a tool, so its chat template must know tool calls. One model in
every seat, with a row per seat, is what ``omar_trainers.OMARTrainer`` does.
"""

from __future__ import annotations

import sys
import tempfile

from trl import GRPOConfig, GRPOTrainer

from omar_envs.integrations.trl import environment_factory, games


def main(model: str, steps: int = 2, device: str | None = None) -> GRPOTrainer:
    """Train a few steps on few short games. -> the trainer, with its log"""
    trainer = GRPOTrainer(
        model=model,
        args=GRPOConfig(
            output_dir=tempfile.mkdtemp(prefix="trl_one_seat_"),
            max_steps=steps,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=2048,
            max_tool_calling_iterations=8,
            learning_rate=1e-3,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=device == "cpu",
            bf16=False,
        ),
        train_dataset=games(steps),
        environment_factory=environment_factory(
            "werewolf",
            opponents="scripted",
            num_players=5,
            discussion_rounds=1,
            prompt_style="terse",
            invalid_penalty=0.1,
        ),
    )
    trainer.train()
    for entry in trainer.state.log_history:
        if "reward" in entry:
            print(
                {
                    key: entry[key]
                    for key in ("reward", "tools/call_frequency", "kl")
                    if key in entry
                }
            )
    return trainer


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python examples/trl_one_seat.py MODEL")
    main(sys.argv[1])
