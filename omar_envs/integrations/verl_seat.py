"""The class of :mod:`omar_envs.integrations.verl`, which says what it does."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from omar_envs.by_name import environment_name
from omar_envs.errors import ConfigError
from omar_envs.integrations.libraries import library
from omar_envs.rollout import make
from omar_envs.wrappers.single_agent import SingleAgentEnv

if TYPE_CHECKING:
    import omegaconf
    from verl.experimental.agent_loop import agent_loop
else:
    agent_loop = library("verl", "experimental.agent_loop.agent_loop")
    import omegaconf


class SeatAgentLoop(agent_loop.AgentLoopBase):
    """Plays one seat, a game per call of :meth:`run`.

    Args:
        game: ``"werewolf"`` or ``"sotopia"``.
        seat: index, agent id or ``"random"``, where a row says nothing.
        opponents: name of the policy in the other seats; each game makes its own.
        settings: arguments of ``werewolf_v0`` or ``sotopia_v0``.
        verl: what verl gives every agent loop.

    Raises:
        ConfigError: an argument is impossible.
    """

    def __init__(
        self,
        *verl_arguments: Any,
        game: str = "werewolf",
        seat: int | str = 0,
        opponents: str = "scripted",
        settings: dict[str, Any] | None = None,
        **verl: Any,
    ) -> None:
        super().__init__(*verl_arguments, **verl)
        self._game = environment_name(game)
        self._seat = seat
        self._opponents = opponents
        # Hydra hands over a configuration of its own kind.
        plain = omegaconf.OmegaConf.create(settings or {})
        self._settings: dict[str, Any] = omegaconf.OmegaConf.to_container(plain)
        self._seat_env(seat)

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> Any:
        """Play one game. -> ``AgentLoopOutput``

        Args:
            sampling_params: for the server, as verl gives them.
            row: fields of the dataset; ``seed`` and ``seat`` are read.

        Raises:
            ConfigError: the prompt is longer than ``prompt_length``.
        """
        told = {**(row.get("extra_info") or {}), **row}
        env = self._seat_env(told.get("seat", self._seat))
        seed = told.get("seed")
        await asyncio.to_thread(env.reset, seed=None if seed is None else int(seed))
        chat = [dict(message) for message in env.view().messages]
        episode = _Row(await self._prompt_ids(chat))
        room = self.rollout_config.response_length
        over = env.view().request is None
        request_id = uuid4().hex
        while not over and len(episode.mask) < room:
            started = perf_counter()
            output = await self.server_manager.generate(
                request_id=request_id, prompt_ids=episode.ids, sampling_params=sampling_params
            )
            episode.seconds += perf_counter() - started
            await self._add_reply(episode, output)
            reply = self.tokenizer.decode(output.token_ids, skip_special_tokens=True)
            over = await asyncio.to_thread(episode.play, env, reply)
            if not over:
                chat = [dict(message) for message in env.view().messages]
                await self._add_context(episode, chat[:-1], chat)
        while not over:
            over = await asyncio.to_thread(episode.play, env, "")
        return self._output(episode, room)

    def _seat_env(self, seat: int | str) -> SingleAgentEnv:
        return SingleAgentEnv(make(self._game, self._settings), seat, self._opponents)

    async def _prompt_ids(self, chat: list[dict[str, Any]]) -> list[int]:
        whole = await asyncio.to_thread(self.continuous_token_builder.build_initial_tokens, chat)
        if len(whole) > self.rollout_config.prompt_length:
            raise ConfigError(
                f"the game's first question needs {len(whole)} tokens, rollout.prompt_length is "
                f"{self.rollout_config.prompt_length}: raise it"
            )
        return list(whole)

    async def _add_reply(self, episode: _Row, output: Any) -> None:
        known = episode.log_probs or output.log_probs
        merged, episode.mask, log_probs = await self.ct_merge_assistant_token(
            episode.ids,
            output.token_ids,
            episode.mask,
            episode.log_probs if known else None,
            assistant_logprobs=output.log_probs or None,
        )
        episode.ids, episode.log_probs = merged.token_ids, log_probs or []
        episode.replies += 1

    async def _add_context(
        self, episode: _Row, before: list[dict[str, Any]], after: list[dict[str, Any]]
    ) -> None:
        merged, episode.mask, log_probs = await self.ct_merge_context_msg(
            before, after, episode.ids, episode.mask, episode.log_probs or None
        )
        episode.ids, episode.log_probs = merged.token_ids, log_probs or []

    def _output(self, episode: _Row, room: int) -> Any:
        start = len(episode.ids) - len(episode.mask)
        # verl has no rows without a response: who was never asked has one masked token.
        response = episode.ids[start:] or [self.tokenizer.eos_token_id]
        mask = episode.mask or [0]
        return agent_loop.AgentLoopOutput(
            prompt_ids=episode.ids[:start],
            response_ids=response[:room],
            response_mask=mask[:room],
            response_logprobs=episode.log_probs[:room] or None,
            reward_score=episode.paid,
            num_turns=2 * episode.replies,
            metrics=agent_loop.AgentLoopMetrics(generate_sequences=episode.seconds),
            extra_fields={"turn_scores": [], "tool_rewards": []},
        )


class _Row:
    """The seat's tokens so far, and what it was paid.

    Attributes:
        ids: prompt and response.
        mask, log_probs: of the response; ``log_probs`` is empty where the server gives none.
    """

    def __init__(self, prompt_ids: list[int]) -> None:
        self.ids = prompt_ids
        self.mask: list[int] = []
        self.log_probs: list[float] = []
        self.paid = 0.0
        self.replies = 0
        self.seconds = 0.0

    def play(self, env: SingleAgentEnv, reply: str) -> bool:
        """Act for the seat. -> whether the game is over"""
        _, reward, terminated, truncated, _ = env.step(reply)
        self.paid += reward
        return terminated or truncated
