"""The games in TextArena's registry, and TextArena's agents in our games.

::

    import textarena as ta
    from omar_envs.integrations.textarena import register
    register()
    env = ta.make("omar/Werewolf-v0", discussion_rounds=1)
    env.reset(num_players=5, seed=1)
    done = False
    while not done:
        player_id, observation = env.get_observation()
        done, info = env.step(action=agent(observation))   # one agent in every seat
    rewards, game_info = env.close()

=========================  =====================================================
``omar/Werewolf-v0``       observations are the text of all that the player may know
``omar/Sotopia-v0``        likewise
``omar/Werewolf-v0-raw``   observations are TextArena's messages since the player's
                           last one: ``(sender, text, ObservationType)``
``omar/Sotopia-v0-raw``    likewise
=========================  =====================================================

TextArena asks one player after another; acts of a simultaneous stage are held back until
it closes, so that nobody reads what others say at the same time. An unreadable act is not
asked for again: as everywhere in these games it becomes the neutral act, the player is told,
and ``game_info`` counts it. Rewards are the games' own, not TextArena's ranks of −1 and 1.

Supported: ``textarena>=0.7.3,<0.8``; ``pip install 'omar-envs[textarena]'``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omar_envs.by_name import environment_name
from omar_envs.conversation import ConversationEnv
from omar_envs.errors import ConfigError, PolicyError, StateError
from omar_envs.integrations.libraries import library
from omar_envs.rollout import make
from omar_envs.types import Episode, Message, View

__all__ = ["TextArenaEnv", "TextArenaPolicy", "TextEnv", "register"]

IDS = {"omar/Werewolf-v0": "werewolf_v0", "omar/Sotopia-v0": "sotopia_v0"}
_NUMBER_OF = {"werewolf_v0": "num_players", "sotopia_v0": "num_agents"}


def register() -> None:
    """Put the games into TextArena's registry; again is harmless.

    Raises:
        ConfigError: TextArena is missing, or in an unsupported version.
    """
    ta = library("textarena")
    registration = library("textarena", "envs.registration")
    ta.Env.register(TextArenaEnv)
    ta.Env.register(TextEnv)
    for name, env in IDS.items():
        if name not in registration.ENV_REGISTRY:
            ta.register(name, TextArenaEnv, default_wrappers=[TextEnv], env=env)
            ta.register(f"{name}-raw", TextArenaEnv, env=env)


class TextArenaEnv:
    """A game as a ``textarena.Env``, with observations as TextArena's messages.

    ``state`` is a TextArena state, for wrappers and for readers of ``role_mapping``,
    ``logs`` and ``game_info``; it never touches the global random generator.

    Args:
        env: ``"werewolf"`` or ``"sotopia"``.
        settings: arguments of ``werewolf_v0`` or ``sotopia_v0``. The number of players is
            what ``reset`` is told.

    Raises:
        ConfigError: the game is unknown or a setting impossible, or TextArena is missing
            or in an unsupported version.
    """

    def __init__(self, env: str = "werewolf", **settings: Any) -> None:
        self._ta = library("textarena")
        self._env = environment_name(env)
        self._settings = settings
        self._conversation = make(self._env, settings)
        self._delivered: list[int] = []
        self.state: Any = None

    def reset(self, num_players: int | None = None, seed: int | None = None) -> None:
        """Start a new game.

        Args:
            num_players: how many play; the game's own number by default.
            seed: the same seed and acts give the same game; fresh without one.

        Raises:
            ConfigError: the settings do not fit this many players.
        """
        if num_players is not None and num_players != len(self._conversation.possible_agents):
            self._conversation = self._made_for(num_players)
        env = self._conversation
        env.reset(seed=seed)
        agents = env.possible_agents
        views = [env.view(agent) for agent in agents]
        self._delivered = [0] * len(agents)
        self.state = self._ta.MinimalMultiPlayerState(num_players=len(agents))
        # TextArena's role mapping says what players are called; roles are secret ones.
        self.state.reset(
            game_state={},
            player_prompt_function=lambda player_id, game_state: views[player_id].messages[0][
                "content"
            ],
            role_mapping={number: view.name for number, view in enumerate(views)},
            secret_roles={n: view.role for n, view in enumerate(views) if view.role is not None},
        )
        self._go_on()

    def step(self, action: str) -> tuple[bool, dict[str, Any]]:
        """Act for the player whose observation came last.

        Returns:
            Whether the game is over, and ``{"valid": bool, "error": str}`` of the act.

        Raises:
            StateError: before ``reset``, or after the end.
        """
        env = self._conversation
        if self.state is None or env.over:
            raise StateError("no game is running: call reset() before step()")
        read = env.read(env.agent_selection, action if isinstance(action, str) else "")
        env.step(action)
        if not read.valid:
            self.state.game_info[self.state.current_player_id]["invalid_move"] = True
        # Counted for who has acted, which is no longer the player to act below.
        self.state.step()
        self._go_on()
        return bool(self.state.done), {"valid": read.valid, "error": read.error}

    def get_observation(self) -> tuple[int, list[tuple[int, str, Any]]]:
        """The player to act, and what it has been told since its last observation.

        Raises:
            StateError: before ``reset``.
        """
        if self.state is None:
            raise StateError("no game is running: call reset() first")
        observation: list[tuple[int, str, Any]] = self.state.get_current_player_observation()
        return self.state.current_player_id, observation

    def close(self) -> tuple[dict[int, float] | None, dict[int, dict[str, Any]]]:
        """Rewards per player, ``None`` while the game runs, and what is known of each.

        ``game_info[player]`` has ``role``, ``invalid_move``, ``turn_count`` and, once the
        game is over, ``reason``, ``reward_components`` and ``invalid_actions``.

        Raises:
            StateError: before ``reset``.
        """
        if self.state is None:
            raise StateError("no game is running: call reset() first")
        rewards, info = self.state.close()
        return rewards, info

    # --- beyond TextArena -------------------------------------------------

    def view(self) -> View:
        """All that the player to act may know, with chat messages."""
        return self._conversation.view(self._agent)

    def episode(self) -> Episode:
        """The finished game; one row of training data per seat comes from it.

        Raises:
            StateError: the game is still running, or none was started.
        """
        return self._conversation.episode()

    @property
    def _agent(self) -> str:
        if self.state is None:
            raise StateError("no game is running: call reset() first")
        return str(self._conversation.possible_agents[self.state.current_player_id])

    def _made_for(self, num_players: int) -> ConversationEnv:
        number = _NUMBER_OF[self._env]
        made = make(self._env, {**self._settings, number: num_players})
        if self._settings.get(number, num_players) != num_players:
            raise ConfigError(
                f"made with {number}={self._settings[number]}, reset with num_players="
                f"{num_players}: say it in one place"
            )
        return made

    def _go_on(self) -> None:
        """Tell the players what has come, and whose move it is."""
        env, state = self._conversation, self.state
        kinds = self._ta.ObservationType
        for number, agent in enumerate(env.possible_agents):
            log = env.view(agent).log
            for message in log[self._delivered[number] :]:
                sender, kind = self._read_as(message, kinds)
                # TextArena's own add_observation would cut "[Ana]" out of what players say;
                # a message here is one line and cannot pass for another's.
                state.observations[number].append((sender, message.text, kind))
                if number == self._first_to_hear(message):
                    state.logs.append((sender, message.text))
            self._delivered[number] = len(log)
        if env.over:
            self._end()
            return
        mover = env.agent_selection
        number = env.possible_agents.index(mover)
        state.manually_set_current_player_id(number)
        request = env.view(mover).request
        assert request is not None  # it is its move
        state.add_observation(request.instruction, kinds.GAME_MESSAGE, to_id=number)

    def _read_as(self, message: Message, kinds: Any) -> tuple[int, Any]:
        agents = self._conversation.possible_agents
        sender = agents.index(message.sender) if message.sender in agents else self._ta.GAME_ID
        match message.kind:
            case "speech":
                return sender, kinds.PLAYER_ACTION
            case "action":
                return sender, kinds.GAME_ACTION_DESCRIPTION
        return sender, kinds.GAME_MESSAGE

    def _first_to_hear(self, message: Message) -> int:
        agents = self._conversation.possible_agents
        return 0 if message.audience is None else min(map(agents.index, message.audience))

    def _end(self) -> None:
        episode = self._conversation.episode()
        agents = self._conversation.possible_agents
        self.state.set_game_outcome(
            reward_dict={n: episode.total_reward(agent) for n, agent in enumerate(agents)},
            reason=str(episode.outcome["reason"]),
        )
        for number, agent in enumerate(agents):
            self.state.game_info[number] |= {
                "reward_components": episode.rewards[agent],
                "invalid_actions": sum(not turn.valid for turn in episode.turns_of(agent)),
            }


class TextEnv:
    """Around a :class:`TextArenaEnv`: observations are text, all that the player may know.

    Unlike TextArena's ``LLMObservationWrapper`` it keeps nothing from one game to the next.
    """

    def __init__(self, env: TextArenaEnv) -> None:
        self.env = env

    @property
    def state(self) -> Any:
        """TextArena's state of the game."""
        return self.env.state

    def reset(self, num_players: int | None = None, seed: int | None = None) -> None:
        """As :meth:`TextArenaEnv.reset`."""
        self.env.reset(num_players, seed)

    def step(self, action: str) -> tuple[bool, dict[str, Any]]:
        """As :meth:`TextArenaEnv.step`."""
        return self.env.step(action)

    def get_observation(self) -> tuple[int, str]:
        """The player to act, and all that it may know, ending with what it is asked."""
        player_id, _ = self.env.get_observation()
        return player_id, self.env.view().text

    def close(self) -> tuple[dict[int, float] | None, dict[int, dict[str, Any]]]:
        """As :meth:`TextArenaEnv.close`."""
        return self.env.close()

    def view(self) -> View:
        """As :meth:`TextArenaEnv.view`."""
        return self.env.view()

    def episode(self) -> Episode:
        """As :meth:`TextArenaEnv.episode`."""
        return self.env.episode()


class TextArenaPolicy:
    """A TextArena agent, or any function from text to text, as a policy.

    The agent is called once per view, with all that the seat may know as text, and holds
    every seat that this policy is given.

    Args:
        agent: a ``textarena.Agent``, called with the observation.
        name: what episodes call it; its class by default.

    Raises:
        ConfigError: ``agent`` cannot be called.
        PolicyError: from ``act``, when the agent returns anything but a ``str``.
    """

    def __init__(self, agent: Callable[[str], str], name: str = "") -> None:
        if not callable(agent):
            raise ConfigError(f"a TextArena agent is called with a text: got {agent!r}")
        self._agent = agent
        self.name = name or type(agent).__name__

    def act(self, views: Sequence[View]) -> list[str]:
        """One reply per view."""
        return [self._reply(view) for view in views]

    def _reply(self, view: View) -> str:
        reply: object = self._agent(view.text)
        if not isinstance(reply, str):
            raise PolicyError(
                f"agent {self.name!r} returned a {type(reply).__name__}, not text, for {view.agent}"
            )
        return reply
