"""The mechanisms: each kind of outcome that can be computed, and the union of them.

A data file names the mechanism under the key ``mechanism``.
"""

from __future__ import annotations

from omar_envs.sotopia.mechanisms.assignment import Assignment
from omar_envs.sotopia.mechanisms.division import Division
from omar_envs.sotopia.mechanisms.hidden_profile import Clue, HiddenProfile
from omar_envs.sotopia.mechanisms.matrix import Matrix
from omar_envs.sotopia.mechanisms.mutual_friend import Friend, MutualFriend
from omar_envs.sotopia.mechanisms.price import Price
from omar_envs.sotopia.mechanisms.public_goods import PublicGoods
from omar_envs.sotopia.mechanisms.schedule import Schedule
from omar_envs.sotopia.mechanisms.split import Split

__all__ = [
    "AnyOutcome",
    "Assignment",
    "Clue",
    "Division",
    "Friend",
    "HiddenProfile",
    "Matrix",
    "MutualFriend",
    "Price",
    "PublicGoods",
    "Schedule",
    "Split",
]

AnyOutcome = (
    Assignment
    | Division
    | HiddenProfile
    | Matrix
    | MutualFriend
    | Price
    | PublicGoods
    | Schedule
    | Split
)
"""Every mechanism; the union that data files are read as."""
