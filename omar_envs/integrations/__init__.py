"""The games inside other people's libraries, one module per library.

==================  ==========================================================
``textarena``       games in TextArena's registry; its agents as policies
``verifiers``       self-play with one model in every seat, and one seat alone
``openenv``         one seat behind OpenEnv's WebSocket server, with a client
``trl``             one seat for ``GRPOTrainer(environment_factory=…)``
``skyrl_gym``       one seat in SkyRL-Gym's registry
``gem``             one seat in GEM's registry
``verl``            one seat as a verl ``AgentLoop``
==================  ==========================================================

Importing any of them imports no library; what needs one says which extra brings it, and
refuses versions outside the range that was tried (:mod:`omar_envs.integrations.libraries`).
"""
