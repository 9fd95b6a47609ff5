"""The trainer's first half: an iteration's games, played by the current model in every seat.

TRL asks for completions through ``rollout_func``; here it is answered with games. They
are played with a generator made for the iteration, some of them against past models,
or recalled where a killed run had played them already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from accelerate.utils import gather_object
from transformers import PreTrainedModel

from omar_trainers.alarms import REPEATED, repeated_mean
from omar_trainers.filters import TurnFilter
from omar_trainers.game_plans import (
    GamePlan,
    PlayedGames,
    PlayGames,
    SeedStream,
    derive_seed,
    plans_of,
)
from omar_trainers.generation_protocol import TextGenerator
from omar_trainers.guards import TooManyUnscored, check_rewards, check_unscored, together
from omar_trainers.metrics import Mean, round_means
from omar_trainers.opponents.learned_seats import LearnedSeats, check_some_meant
from omar_trainers.opponents.play import Opponents
from omar_trainers.replica import PolicyReplica
from omar_trainers.resuming.resumable import ResumableTrainer
from omar_trainers.scoring import OwnTokens
from omar_trainers.seat_rows import RoundTensors, SelfPlayRound
from omar_trainers.shown.game_text import games_path, write_games
from omar_trainers.shown.tracked_games import send_text
from omar_trainers.watch import HeldOut

if TYPE_CHECKING:
    from omar_trainers.trainer import OMARTrainer

GeneratorFactory = Callable[["OMARTrainer", int], TextGenerator]
"""Makes the generator that plays one iteration: (trainer, sampling seed)."""


class PlayingTrainer(ResumableTrainer):
    """Plays what is learned from. A subclass makes the parts that it needs for that."""

    opponents: Opponents | None
    """Past models that play on one side of some games."""

    _play: PlayGames
    _make_generator: GeneratorFactory
    _replica: PolicyReplica | None
    _scenarios: list[dict[str, Any]]
    _turn_filter: TurnFilter | None
    _learns: LearnedSeats | None
    _sides_known: bool
    _held_out: HeldOut | None
    _vocabulary: int

    _round: SelfPlayRound | None
    _tensors: RoundTensors | None
    _own: OwnTokens | None
    _means: list[dict[str, Mean]]

    @property
    def sampling_model(self) -> PreTrainedModel:
        """The policy as each process may call it alone, up to date while games are played."""
        if self._replica is not None:
            return self._replica.model
        return self.accelerator.unwrap_model(self.model)

    @property
    def max_row_tokens(self) -> int:
        """Longest row, in tokens: the setting, or the model's own limit."""
        limit = self.model.config.get_text_config().max_position_embeddings
        return min(self.args.max_row_tokens or limit, limit)

    @property
    def _iteration(self) -> int:
        """Iterations that are over."""
        return self.state.global_step // self.args.steps_per_iteration

    def play_round(self, prompts: Sequence[str]) -> SelfPlayRound:
        """Play the games that ``prompts`` stand for with the current model.

        Raises:
            TrainingError: memory ran out, a reward is no number, or too many seats have one
                that could not be determined, on any process.
            PolicyError: the model's logits are no numbers.
        """
        args, iteration = self.args, self._iteration
        started = time.perf_counter()
        process = self.accelerator.process_index
        plans = plans_of(prompts, args.seats, process * len(prompts), self.num_generations)
        if self.opponents is not None:
            self.opponents.begin(iteration)
        games = None if self._rollouts is None else self._rollouts.recall(iteration, prompts)
        reused = games is not None
        if games is None:
            games = together(lambda: self._play_to_learn(plans))
            if self._rollouts is not None:
                self._rollouts.keep(iteration, prompts, games)
        played = SelfPlayRound(
            games,
            seats=args.seats,
            filler=self._tokenizer.pad_token_id,
            turn_filter=self._turn_filter,
            learns=self._learns,
            critic=args.uses_critic,
            scenarios=self._scenario_names(plans),
        )
        self._check_scored(played)
        seconds = 0.0 if reused else time.perf_counter() - started
        self._means += [
            round_means(played),
            {
                "play/reused": Mean(reused, 1),
                "play/cached_prompt_share": Mean(played.num_reused, played.num_asked),
                "play/tokens_per_second": Mean(played.sampled_tokens, seconds),
            },
        ]
        if self.alarms.on:
            self._means.append({REPEATED: repeated_mean(played.episodes)})
        if self._learns is not None and not self._sides_known and iteration == 0:
            check_some_meant(self._learns, played.episodes)
        if self.opponents is not None:
            results = self.opponents.results(games)
            self._means.append(self.opponents.count(results, gather_object(results)))
        self._show_games(played)
        return played

    def _check_scored(self, played: SelfPlayRound) -> None:
        try:
            check_unscored(played.unscored, played.num_seats, self.args.max_unscored_fraction)
        except TooManyUnscored:
            if self._rollouts is not None:
                # The same command shall ask the judge again.
                self._rollouts.forget(self._iteration)
            raise

    def _show_games(self, played: SelfPlayRound) -> None:
        args = self.args
        if not (args.log_games and self.is_world_process_zero()):
            return
        number = self._iteration + 1
        shown = played.episodes[: args.log_games]
        text = write_games(games_path(args.output_dir, number), shown)
        send_text(self.callback_handler.callbacks, text, number * args.steps_per_iteration)

    def _scenario_names(self, plans: Sequence[GamePlan]) -> list[str] | None:
        if len(self._scenarios) == 1:
            return None
        return [str(self._scenarios.index(plan.scenario)) for plan in plans]

    def _play_to_learn(self, plans: Sequence[GamePlan]) -> PlayedGames:
        games = self._play_plans(plans, SeedStream.SAMPLING, self.opponents)
        check_rewards(games.episodes)
        return games

    def _play_plans(
        self, plans: Sequence[GamePlan], stream: SeedStream, opponents: Opponents | None = None
    ) -> PlayedGames:
        """Play with the current model in every seat that no opponent has.

        Samples by a seed of ``stream``.
        """
        process = self.accelerator.process_index
        if self._replica is not None:
            self._replica.refresh(self.model)
        seed = derive_seed(self.args.seed, stream, self.state.global_step, process)
        generator = self._make_generator(self, seed)
        generator.forget()
        with ExitStack() as playing:
            if isinstance(generator, AbstractContextManager):
                playing.enter_context(generator)
            if opponents is None:
                return self._play(plans, generator)
            return opponents.play(
                self._play,
                plans,
                generator,
                iteration=self._iteration,
                first_game=process * len(plans),
            )

    def _roll_out(self, prompts: list[str]) -> dict[str, list[Any]]:
        if self._held_out is not None and self._held_out.due(self._iteration):
            with self._clock.phase("watch"):
                self._means.append(self._look(self._held_out))
        with self._clock.phase("play"):
            self._round = self.play_round(prompts)
        self._tensors = self._round.tensors(self._vocabulary, self.accelerator.device)
        self._own = self._tensors.own
        return self._round.rollout()

    def _look(self, held_out: HeldOut) -> dict[str, Mean]:
        """This process's part of a look, from before the run was killed if there was one."""
        kept, iteration = self._rollouts, self._iteration
        known = None if kept is None else kept.recall_look(iteration, held_out.name)
        if known is not None:
            return known
        found = held_out.look(
            lambda plans: together(lambda: self._play_plans(plans, SeedStream.WATCH)),
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        if kept is not None:
            kept.keep_look(iteration, held_out.name, found)
        return found
