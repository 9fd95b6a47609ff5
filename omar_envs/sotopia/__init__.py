"""SOTOPIA-style social scenarios: profiles, visibility, outcomes, and the environment."""
