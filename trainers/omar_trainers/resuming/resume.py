"""Where a run goes on, and whether it is still the same run."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.trainer_utils import SaveStrategy

from omar_envs.errors import ConfigError
from omar_trainers.config import OMARConfig
from omar_trainers.judges import without_address
from omar_trainers.resuming.changed_settings import FIXED_SETTINGS
from omar_trainers.resuming.checkpoints import (
    MANIFEST_FILE,
    complete_checkpoints,
    last_checkpoint,
    read_manifest,
    step_of,
)
from omar_trainers.settings import (
    ActingSettings,
    AdvantageSettings,
    CriticSettings,
    GameSettings,
    OpponentSettings,
    SafetySettings,
)

FREE_SETTINGS = frozenset(
    {
        # How long the run is and how often it is saved.
        *("total_iterations", "save_iterations", "keep_rollouts"),
        # What is shown or watched, and when it stops.
        *("progress", "log_games", "log_credit", "watch", "watch_every", "watch_games"),
        *("alarm", "alarm_entropy_low", "alarm_entropy_high"),
        *("alarm_repetition", "alarm_patience"),
        *("max_unscored_fraction", "max_grad_norm_stop"),
        # A path; what stands in the file counts.
        "scenarios",
    }
)
"""This package's settings that a run may change when it goes on."""

BOUND_SETTINGS = (
    *("seed", "data_seed", "shuffle_dataset", "temperature", "num_iterations"),
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps"),
    *("optim", "optim_args", "optim_target_modules", "weight_decay"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "neftune_noise_alpha"),
    *("bf16", "fp16", "cast_lm_head_to_fp32", "disable_dropout", "model_init_kwargs"),
    *("loss_type", "epsilon", "epsilon_high", "delta", "beta", "entropy_coef"),
    *("top_entropy_quantile", "use_bias_correction_kl"),
    *("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"),
    *("vllm_importance_sampling_correction", "vllm_importance_sampling_mode"),
    *("vllm_importance_sampling_clip_max", "vllm_importance_sampling_clip_min"),
)
"""Settings of TRL and transformers that change what is learned. The others do not,
or only by rounding."""

_OWN = (
    GameSettings,
    ActingSettings,
    AdvantageSettings,
    CriticSettings,
    OpponentSettings,
    SafetySettings,
)


_CHANGEABLE = frozenset(field.name for field in fields(OMARConfig))


def identity(args: OMARConfig, model: PreTrainedModel | PeftModel) -> dict[str, Any]:
    """All that decides what a run learns, as plain JSON.

    Two runs of one identity make the same models, to rounding; one may go on from
    the checkpoints of the other, even if it is longer.

    Args:
        args: settings.
        model: as the run starts from it, before anything was learned.
    """
    own = {field.name for kind in _OWN for field in fields(kind)} - FREE_SETTINGS
    found = {name: getattr(args, name) for name in sorted(own | {*BOUND_SETTINGS})}
    found["env_kwargs"] = without_address(args.env_kwargs or {})
    found["scenarios"] = _digest(args.load_scenarios())
    if _length_matters(args):
        found["total_iterations"] = args.total_iterations
    found["model"] = {"name": model.config.name_or_path, "weights": fingerprint(model)}
    if isinstance(model, PeftModel):
        found["adapters"] = {name: kind.to_dict() for name, kind in model.peft_config.items()}
    return json.loads(json.dumps(found, sort_keys=True, default=_plain))


def heard_with(args: OMARConfig, run_identity: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that an alarm was heard with: those of the run, and its own."""
    own = {
        field.name: getattr(args, field.name)
        for field in fields(SafetySettings)
        if field.name == "alarm" or field.name.startswith("alarm_")
    }
    # Of a sharded model every process knows its own part.
    return {name: value for name, value in run_identity.items() if name != "model"} | own


def _length_matters(args: OMARConfig) -> bool:
    """Whether what is learned today depends on how long the run will be."""
    constant = args.lr_scheduler_type in ("constant", "constant_with_warmup")
    warmup_is_a_share = 0.0 < args.warmup_steps < 1.0
    critic = args.uses_critic and args.critic_lr_scheduler != "constant"
    return not constant or warmup_is_a_share or critic


def fingerprint(model: torch.nn.Module) -> str:
    """A short name of a model's weights: names, shapes and some values of each parameter.

    Of a sharded model every process names its own part.
    """
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
        local = parameter.detach()
        if isinstance(local, DTensor):
            local = local.to_local()
        values = local.flatten()
        some = values[:: max(1, values.numel() // _VALUES_PER_PARAMETER)]
        digest.update(some.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


_VALUES_PER_PARAMETER = 256


def lineage(
    run_identity: Mapping[str, Any],
    processes: int,
    version: str,
    changes: Sequence[Mapping[str, Any]] = (),
) -> str:
    """A short name of all runs that play the same games from the same weights.

    Args:
        run_identity: as :func:`identity` gives it.
        processes: that share the games.
        version: of this package.
        changes: what was changed on the way, as :func:`check_same_run` gives it.
    """
    return _digest([run_identity, processes, version, list(changes)])


def choose_checkpoint(args: OMARConfig, named: str | bool | None) -> Path | None:
    """The checkpoint that a run goes on from, None to begin at the start.

    Args:
        args: ``resume``, ``resume_from_checkpoint`` and ``output_dir`` decide.
        named: a folder; True for the last one of ``output_dir``; None to let
            ``args`` decide.

    Raises:
        ConfigError: there is none, there must be none, or it is not complete.
    """
    wanted = args.resume_from_checkpoint if named is None else named
    if wanted is None or wanted is False:
        return _by_setting(args)
    if wanted in ("last", "true", "True", True):
        found = last_checkpoint(args.output_dir)
        if found is None:
            raise ConfigError(f"resume_from_checkpoint: {args.output_dir} has no checkpoint")
        return found
    checkpoint = Path(wanted)
    if not checkpoint.is_dir():
        raise ConfigError(f"resume_from_checkpoint: there is no folder {checkpoint}")
    if read_manifest(checkpoint) is None:
        raise ConfigError(
            f"{checkpoint} is incomplete, or no checkpoint of OMARTrainer: it has no "
            f"{MANIFEST_FILE} that fits its files. Take another one"
        )
    later = [
        path.name
        for path in complete_checkpoints(args.output_dir)
        if step_of(path) > step_of(checkpoint)
    ]
    if later:
        raise ConfigError(
            f"{args.output_dir} already has {', '.join(later)}, later than {checkpoint}: move them "
            "away to go back to it, or give another output_dir"
        )
    return checkpoint


def _by_setting(args: OMARConfig) -> Path | None:
    if args.resume == "always" and args.save_strategy == SaveStrategy.NO:
        raise ConfigError("resume is always, but save_strategy no writes no checkpoints")
    found = last_checkpoint(args.output_dir)
    if args.resume == "always" and found is None:
        raise ConfigError(f"resume is always, but {args.output_dir} has no complete checkpoint")
    if args.resume == "never" and found is not None:
        raise ConfigError(
            f"resume is never, but {found} is there: give another output_dir, or set resume to auto"
        )
    return found


def check_same_run(
    checkpoint: Path,
    run_identity: Mapping[str, Any],
    processes: int,
    allowed: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Make sure that a run with other settings does not go on as if nothing had changed.

    Another number of processes is allowed, with a warning: games are then sampled
    from other seeds.

    Args:
        checkpoint: complete.
        run_identity: as :func:`identity` gives it.
        processes: of this run.
        allowed: names of settings that may differ (``resume_with``).

    Returns:
        What has been changed since the run began: that in the checkpoint, and now.

    Raises:
        ConfigError: the checkpoint was made with settings that teach something else;
            the message names them with both values.
    """
    manifest = read_manifest(checkpoint)
    assert manifest is not None  # it was chosen because it has one
    changed = list(_differences(manifest.identity, run_identity))
    refused = [each for each in changed if each.setting not in allowed]
    if refused:
        raise ConfigError(_why_refused(checkpoint, refused))
    if manifest.processes != processes:
        warnings.warn(
            f"{checkpoint} was made by {manifest.processes} processes, now there are {processes}: "
            "the run goes on, but not number for number",
            RuntimeWarning,
            stacklevel=2,
        )
    if not changed:
        return manifest.changes
    now = {"step": step_of(checkpoint), "settings": {each.name: each.values for each in changed}}
    return [*manifest.changes, now]


def _why_refused(checkpoint: Path, refused: Sequence[_Difference]) -> str:
    told = "; ".join(str(each) for each in refused)
    names = sorted({each.setting for each in refused})
    elsewhere = (
        "give another output_dir to begin a new run (which may start from that model: "
        f"model_name_or_path {checkpoint})"
    )
    start = f"{checkpoint} was made with other settings: {told}. Set them back to go on, or "
    if any(name in FIXED_SETTINGS or name not in _CHANGEABLE for name in names):
        return start + elsewhere
    return f"{start}go on with the new ones by --resume_with {' '.join(names)}, or {elsewhere}"


def going_on(args: OMARConfig, checkpoint: Path) -> str:
    """What to tell about a run that goes on from a checkpoint."""
    done = step_of(checkpoint) // args.steps_per_iteration
    if done >= args.total_iterations:
        return (
            f"{checkpoint} has all {done} iterations: this run is finished. To train longer, give "
            f"a total_iterations above {done}"
            + (" and --resume_with total_iterations" if _length_matters(args) else "")
        )
    return f"going on from {checkpoint}, iteration {done} of {args.total_iterations}"


class _Difference(NamedTuple):
    """A setting, or a part of one, that a checkpoint was made with and is another now.

    Attributes:
        name: as ``env_kwargs.num_players``.
        values: then and now.
    """

    name: str
    values: tuple[Any, Any]

    @property
    def setting(self) -> str:
        """What to name in ``resume_with``."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.name} was {self.values[0]}, now {self.values[1]}"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[_Difference]:
    if old.get("model", {}).get("weights") == new.get("model", {}).get("weights"):
        # A model that has moved is still the same.
        old, new = ({k: v for k, v in side.items() if k != "model"} for side in (old, new))
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for name in sorted({*before, *after}):
        was, now = (side.get(name, "unset") for side in (before, after))
        if was != now:
            yield _Difference(name, (was, now))


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()[
        :16
    ]


def _plain(value: Any) -> Any:
    """What stands for a value that JSON does not know: the same in every process."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, os.PathLike | torch.dtype):
        return str(value)
    return f"{type(value).__module__}.{type(value).__qualname__}"
