"""The house model: a tiny language model of this project's own, and how it is made."""

from omar_trainers.house.directory import house_directory

__all__ = ["house_directory"]
