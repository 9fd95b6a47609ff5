"""What is added to vLLM's workers so that they can take new weights without NCCL.

vLLM is started with ``--worker-extension-cls omar_trainers.vllm.worker.WeightReload``,
and its methods are then called through ``collective_rpc``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor


class WeightReload:
    """Extends vLLM's worker, on whose ``reload_weights`` it builds."""

    model_runner: Any
    reload_weights: Any

    def take_weights(self, weights: Iterable[tuple[str, Tensor]] | None, path: str | None) -> None:
        """Load a model's weights in place: those given, or those in a folder.

        Where input and output embeddings are one (``tie_word_embeddings``), vLLM 0.32
        loads the first, but on the CPU its kernels go on with the copy that they made of
        the second. So that copy is made again.
        """
        self.reload_weights(weights_iterator=weights, weights_path=path)
        model = self.model_runner.get_model()
        if model.config.tie_word_embeddings:
            model.lm_head.quant_method.process_weights_after_loading(model.lm_head)
