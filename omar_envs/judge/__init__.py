"""Judges: language models that score finished conversations, and how far to trust them.

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

__all__ = [
    "IMPORTANCE",
    "OMAR",
    "RUBRICS",
    "SOTOPIA",
    "TURN_QUALITY",
    "Agreement",
    "Dimension",
    "Judgement",
    "OpenAIJudge",
    "PanelJudge",
    "Rubric",
    "TurnQuality",
    "agreement",
    "failure_rate",
    "judge_all",
    "judge_from_url",
    "rubric_by_name",
    "rubric_from_yaml",
]
