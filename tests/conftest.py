"""Settings of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Machines differ tenfold in speed: how long an example takes says nothing.
settings.register_profile(
    "omar", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("omar")
