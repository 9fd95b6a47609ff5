"""The fields of :class:`~omar_trainers.config.OMARConfig`, one module per subject.

Each class holds the fields, what they mean and the checks on them alone. Checks
that read fields of several subjects stand in :mod:`omar_trainers.config`.
"""

from omar_trainers.settings.acting import ActingSettings
from omar_trainers.settings.advantage import AdvantageSettings
from omar_trainers.settings.critic import CriticSettings
from omar_trainers.settings.game import GameSettings
from omar_trainers.settings.opponents import OpponentSettings
from omar_trainers.settings.safety import SafetySettings

__all__ = [
    "ActingSettings",
    "AdvantageSettings",
    "CriticSettings",
    "GameSettings",
    "OpponentSettings",
    "SafetySettings",
]
