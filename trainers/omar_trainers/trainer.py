"""Self-play PPO with hierarchical advantages, on TRL's GRPO trainer.

TRL gives generation hooks, weight sync, accelerate, the clipped loss, logging
and checkpoints. What is different here:

- one row is one seat's whole episode; the games are played in ``rollout_func``;
- there is a critic (:mod:`omar_trainers.critic`), a module with an optimizer of
  its own, and advantages are (B, T) instead of one number per row;
- log-probabilities are scored under the mask of legal choices, and the sampled
  ones serve as the old policy's;
- what TRL logs about groups of completions is left out.

Here the trainer is put together from its settings, and what it saves is written.
:mod:`omar_trainers.playing_trainer` plays an iteration's games,
:mod:`omar_trainers.learning_trainer` learns from them.

Source: OMAR (Jiang et al., arXiv 2602.03109).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import set_seed

from omar_envs.errors import ConfigError
from omar_trainers.alarms import Alarms
from omar_trainers.beside_weights import write_beside_weights
from omar_trainers.config import OMARConfig
from omar_trainers.filters import TurnJudge, make_turn_filter
from omar_trainers.game_plans import Lineup, PlayGames, plan_dataset
from omar_trainers.generation import TextGenerator, TransformersGenerator
from omar_trainers.guards import UpdateGuard
from omar_trainers.kl import KLController
from omar_trainers.learning_trainer import LearningTrainer
from omar_trainers.metrics import IterationProgress, Mean, MetricsWriter
from omar_trainers.opponents.learned_seats import learned_seats
from omar_trainers.opponents.setup import make_opponents
from omar_trainers.playing_trainer import GeneratorFactory
from omar_trainers.rehearsal import rehearse
from omar_trainers.replica import PolicyReplica, is_sharded
from omar_trainers.scoring import OwnTokens, TokenScores, add_scoring_head, check_scoring_head
from omar_trainers.seat_rows import RoundTensors, SelfPlayRound
from omar_trainers.selfplay import ModelGames, model_games
from omar_trainers.shown.model_card import model_card
from omar_trainers.targets import TargetEstimator
from omar_trainers.tokens import ChatTokenizer, decode_reply
from omar_trainers.vllm.setup import check_vllm, made_without_vllm, vllm_generator, vllm_on_cpu
from omar_trainers.watch import Watch, held_out, make_watch


class OMARTrainer(LearningTrainer):
    """Improves one model by letting it play every seat.

    Example::

        trainer = OMARTrainer("path/to/model", OMARConfig("out", seats=5))
        trainer.train()

    Args:
        model: causal LM (or its path) that plays and learns.
        args: settings.
        play: plays the games of an iteration; by default those of
            ``args.env_name``.
        lineup: who will play in a game and for which team; needed with ``play``
            where past models play, and to check ``learn_roles`` and ``learn_teams``.
        watch: held-out measure of the model's games, as :mod:`omar_trainers.watch` has
            some; by default the one that ``args.watch`` names.
        turn_judge: for ``turn_filter`` judge; by default the environment's judge.
        processing_class: the model's tokenizer; by default loaded from its path.
        generator: makes what samples the replies, once per iteration; by default
            transformers on the training device. The seam for vLLM and others.
        callbacks: further transformers callbacks.
        optimizers: the policy's optimizer and schedule, as in transformers.
        peft_config: train adapters instead of the whole model.

    Raises:
        ConfigError: settings that do not fit the model or each other.
    """

    _tag_names = ["omar-envs", "trl", "self-play"]

    args: OMARConfig

    def __init__(
        self,
        model: str | PreTrainedModel,
        args: OMARConfig,
        *,
        play: PlayGames | None = None,
        lineup: Lineup | None = None,
        watch: Watch | None = None,
        turn_judge: TurnJudge | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        generator: GeneratorFactory | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        optimizers: tuple[Any, Any] = (None, None),
        peft_config: PeftConfig | None = None,
    ) -> None:
        args.check_launch()
        if args.use_vllm and generator is None:
            check_vllm()
            generator = vllm_generator
        if play is None:
            rehearse(args)
        # New adapters are drawn before transformers sets the seed.
        set_seed(args.seed)
        prompts = args.total_iterations * args.games_per_iteration // args.episodes_per_scenario
        without_trl = args.use_vllm and args.device.type == "cpu"
        with warnings.catch_warnings(), made_without_vllm(args, without_trl):
            warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
            super().__init__(
                model=model,
                reward_funcs=_total_reward,
                args=args,
                train_dataset=plan_dataset(args.load_scenarios(), prompts, args.seed),
                processing_class=processing_class,
                callbacks=[MetricsWriter(), *callbacks],
                optimizers=optimizers,
                peft_config=peft_config,
                rollout_func=_roll_out,
            )
        if without_trl:
            self.use_vllm, self._last_loaded_step = True, -1
            self.vllm_generation = vllm_on_cpu(self)
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)
        if args.progress:
            self.add_callback(IterationProgress())
        if self.aux_loss_enabled:
            raise ConfigError(
                "the model has a router loss, which is not supported: set router_aux_loss_coef to 0"
            )
        if play is None:
            play = model_games(args, ChatTokenizer(self._tokenizer, args.chat_template_kwargs))
        self._play = play
        self._make_generator = generator or _transformers_generator
        if lineup is None and isinstance(self._play, ModelGames):
            lineup = self._play.lineup
        self._scenarios = args.load_scenarios()
        self._learns = learned_seats(args, lineup)
        self._sides_known = lineup is not None
        judge: object = turn_judge
        if judge is None and isinstance(self._play, ModelGames):
            judge = self._play.make(args.load_scenarios()[0]).judge
        self._turn_filter = make_turn_filter(args, judge)
        self._held_out = held_out(
            args, make_watch(watch, args.watch, args.watch_every, args.output_dir)
        )
        self._update_guard = UpdateGuard(
            args.output_dir, args.max_grad_norm_stop, self.accelerator, self._tokenizer
        )
        self.alarms = Alarms(args, speaks=self.is_world_process_zero())
        self._vocabulary = self.model.config.get_text_config().vocab_size

        # TRL builds the reference model and its logprobs wherever beta is not 0;
        # as a token reward the KL must not act in the loss as well.
        self._kl = KLController(self.beta, target=args.kl_target, horizon=args.kl_horizon)
        self.beta = self._loss_beta
        self._add_scoring_heads()
        # TRL's bonus is a mean per batch, whatever the batch's share of own tokens.
        self._entropy_bonus_enabled = False

        if args.fsdp and not self.is_fsdp_enabled:
            raise ConfigError("fsdp is set, but accelerate has no use for it on CPUs: leave it out")
        replica = None
        if is_sharded(self.accelerator):
            # Where it does not sample, the critic is made from it, and then it is dropped.
            device = None if generator is None else torch.device("cpu")
            replica = PolicyReplica(self.model, self.accelerator, device)
        whole = self.model if replica is None else replica.model
        self.estimator = TargetEstimator(args, whole, self.accelerator)
        self._replica = replica if generator is None else None
        self.stateful = {"estimator": self.estimator, "kl": self._kl, "alarms": self.alarms}
        self.opponents = make_opponents(self, lineup, self._learns, _transformers_generator)
        if self.opponents is not None:
            self.stateful["opponents"] = self.opponents
        self._keep_track()

        self._round: SelfPlayRound | None = None
        self._tensors: RoundTensors | None = None
        self._own: OwnTokens | None = None
        self._sampled_as_old = False
        self._scores: TokenScores | None = None
        self._means: list[dict[str, Mean]] = []
        self._policy_starts_at = args.critic_only_iterations * args.steps_per_iteration
        self._policy_learns = True
        if self._policy_starts_at and self.is_deepspeed_enabled and args.weight_decay:
            raise ConfigError(
                "DeepSpeed decays weights whatever their gradient is, so critic_only_iterations "
                "cannot hold the policy still: set weight_decay to 0, or use DDP or FSDP"
            )

    # --- construction -----------------------------------------------------

    def _add_scoring_heads(self) -> None:
        models = [self.model]
        if self.ref_model is not None:
            models.append(self.accelerator.unwrap_model(self.ref_model))
        for model in models:
            add_scoring_head(model, self.temperature, self.entropy_coef != 0.0)
        # The reference is of the same family, and stands in an autocast of its own.
        if not (self.is_deepspeed_enabled or self.is_fsdp_enabled):
            check_scoring_head(self.model, self.temperature)

    def _send_telemetry(self) -> None:
        """TRL reports its own trainers' use; this one has nothing to report."""

    # --- writing ----------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            write_beside_weights(folder, self.args, of_package=isinstance(self._play, ModelGames))

    def create_model_card(
        self,
        model_name: str | None = None,
        dataset_name: str | None = None,
        tags: str | list[str] | None = None,
    ) -> None:
        """Write ``README.md`` in the output folder."""
        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        card = model_card(
            self.args,
            name=model_name or folder.name,
            base=self.model.config.name_or_path,
            tags=sorted({*self._tag_names, *([tags] if isinstance(tags, str) else tags or [])}),
        )
        (folder / "README.md").write_text(card, encoding="utf-8")


def _roll_out(prompts: list[str], trainer: OMARTrainer) -> dict[str, list[Any]]:
    return trainer._roll_out(prompts)


AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""By accelerate's names: rows are sampled in the precision that they are scored in."""


def _total_reward(
    prompts: list[Any], completions: list[Any], episode_return: list[float], **_: Any
) -> list[float]:
    """TRL wants a reward function; the real rewards reach the advantages per turn."""
    return episode_return


def _transformers_generator(
    trainer: OMARTrainer, seed: int, model: PreTrainedModel | PeftModel | None = None
) -> TextGenerator:
    return TransformersGenerator(
        model or trainer.sampling_model,
        end_token_id=trainer.processing_class.eos_token_id,
        pad_token_id=trainer.processing_class.pad_token_id,
        seed=seed,
        max_context=trainer.max_row_tokens,
        autocast=AUTOCAST.get(trainer.accelerator.mixed_precision),
        decode=partial(decode_reply, trainer.processing_class),
    )
