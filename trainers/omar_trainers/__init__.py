"""Training for omar-envs: self-play PPO with hierarchical advantages, on TRL.

Importing this package loads nothing; its modules load torch and, some of them,
transformers and TRL.
"""
