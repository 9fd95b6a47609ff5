"""Every error that this package raises on purpose.

::

    OmarError
    ├── ConfigError (ValueError)        an impossible or unknown setting, at construction
    ├── StateError (RuntimeError)       a call at the wrong time: before reset, after the end
    ├── PolicyError (RuntimeError)      a policy broke its contract, or its replies never came
    ├── CapReached                      the next request might pass max_cost (in metering)
    └── EpisodeError (ValueError)       an episode file that cannot be used
        ├── DamagedEpisodeError         not JSON, or not of the right shape
        └── SchemaVersionError          written by a newer version of this package

Each message says what was wrong, where, and what to do. What a player writes
raises none of them: an unreadable reply is an invalid act, not an error.
"""

from __future__ import annotations


class OmarError(Exception):
    """Base of the tree."""


class ConfigError(OmarError, ValueError):
    """A setting is unknown, out of range, or impossible beside another one."""


class StateError(OmarError, RuntimeError):
    """The environment was used before ``reset`` or after the game's end."""


class PolicyError(OmarError, RuntimeError):
    """A policy returned something other than one reply per view, or could get no replies."""


class EpisodeError(OmarError, ValueError):
    """An episode, or a file of them, cannot be used."""


class DamagedEpisodeError(EpisodeError):
    """A line is not JSON, or not an episode; the message names the line."""


class SchemaVersionError(EpisodeError):
    """The episode was written by a newer version of this package."""
