"""Judges: language models that score finished conversations, and how far to trust them.

::

    from omar_envs import sotopia_v0
    from omar_envs.judge import OpenAIJudge, failure_rate

    with OpenAIJudge("Qwen/Qwen3-32B", base_url="http://localhost:8000/v1") as judge:
        # Finished episodes, as rollout.run or transcript.read_episodes give them:
        results = judge.judge_many(episodes)
        print(failure_rate(results), [result.scores for result in results])
        # Or as the reward of a game, paid at its end:
        env = sotopia_v0.env(reward="judge", judge=judge)

A failed judgement is not a zero: see :class:`omar_envs.types.JudgeResult`.
"""

from omar_envs.judge.agreement import Agreement, agreement
from omar_envs.judge.many import judge_all
from omar_envs.judge.openai_judge import OpenAIJudge, judge_from_url
from omar_envs.judge.panel import PanelJudge
from omar_envs.judge.results import Judgement, TurnQuality, failure_rate
from omar_envs.judge.rubric_files import rubric_by_name, rubric_from_yaml
from omar_envs.judge.rubrics import (
    IMPORTANCE,
    OMAR,
    RUBRICS,
    SOTOPIA,
    TURN_QUALITY,
    Dimension,
    Rubric,
)
from omar_envs.judge.saved import JudgedEpisode, read_judged

__all__ = [
    "IMPORTANCE",
    "OMAR",
    "RUBRICS",
    "SOTOPIA",
    "TURN_QUALITY",
    "Agreement",
    "Dimension",
    "JudgedEpisode",
    "Judgement",
    "OpenAIJudge",
    "PanelJudge",
    "Rubric",
    "TurnQuality",
    "agreement",
    "failure_rate",
    "judge_all",
    "judge_from_url",
    "read_judged",
    "rubric_by_name",
    "rubric_from_yaml",
]
