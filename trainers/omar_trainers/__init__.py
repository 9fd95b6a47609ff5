"""Training for omar-envs: self-play PPO with hierarchical advantages, on TRL.

Importing this package loads nothing; its modules load torch and, some of them,
transformers and TRL. It sets ``OMP_WAIT_POLICY=PASSIVE`` unless the environment
says otherwise, before torch reads it: torch's threads wait for one another many
times per layer, and where another program wants the same cores, waiting by
spinning made a step of the house model ten times slower.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
