"""What watches over a run, and what is shown of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from omar_envs.errors import ConfigError
from omar_trainers.filters import check_script
from omar_trainers.settings.checks import (
    require_int,
    require_not_negative,
    require_one_of,
    require_share,
)


@dataclass
class SafetySettings:
    """What watches over a run, and what is shown of it.

    Args:
        turn_filter: which turns teach nothing (their tokens get advantage 0):
            ``none``, those that break a ``rules`` test (below; also speech without a
            letter or digit, and replies that the token limit cut), or those that the
            environment's ``judge`` calls poor. Rules read speech, never choices.
        filter_repetition: a speech in which more than this share of its word
            trigrams are repeats is dropped, in [0, 1].
        filter_copying: a speech of which more than this share of word trigrams
            stand in one message that the seat had read is dropped, in [0, 1]; 1 drops
            none, for games with a fixed phrase book.
        filter_words: a speech of more words is dropped; 0 sets no limit.
        filter_script: a speech with fewer than half of its letters in this Unicode
            script, such as ``LATIN`` or ``CYRILLIC``, is dropped; None allows all.
        alarm: what an alarm does: ``none`` (not computed), ``warn``, ``stop``, or
            ``rollback`` to the last checkpoint before the trouble, and stop there
            (needs ``save_strategy`` steps). Stopped or not, the model is saved. A run that
            was stopped goes on only with something changed, or ``resume_with`` alarm.
        alarm_entropy_low, alarm_entropy_high: bounds of the policy's entropy, as
            shares of what it was in the first iteration; 0 leaves one open.
        alarm_repetition: highest share of an iteration's speeches that repeat, word
            for word, another speech of the same game, in [0, 1].
        alarm_patience: iterations in a row beyond a bound before the alarm rings.
        watch: the held-out measure that is logged beside the training reward:
            ``outcome.NAME`` (an entry of the games' outcome: its mean, or the share of
            games of each word), ``reward.NAME`` (one component alone), or
            ``judge=URL#model`` (a judge that training does not pay by). A program may
            pass the trainer any other.
        watch_every: iterations between two looks at it, the first before anything is
            learned; 0 never looks.
        watch_games: games that are played for each look, on seeds that training never
            plays; their reward is logged as ``watch/return``, and by role and team.
        max_unscored_fraction: stop when more than this share of an iteration's
            seats has a reward component that could not be determined (a failed
            judgement). Fewer are left out of the loss and counted.
        max_grad_norm_stop: stop, with the batch saved for study, when the gradient
            norm of the policy or of the critic (before clipping) exceeds this, before
            either is changed; 0 sets no limit. NaN and infinity always stop.
        keep_rollouts: save every iteration's played games until the next checkpoint
            is complete, so that a run that was killed does not play or judge them again.
        progress: draw a progress bar (on a terminal) or print a line per iteration.
        log_games: games per iteration that are written as text to ``games/`` of the
            output folder.
        log_credit: keep those games as episodes as well, with the advantage and the
            critic's value of every token, for ``omar-envs replay OUTPUT_DIR/games``.
    """

    turn_filter: Literal["none", "rules", "judge"] = field(
        default="none", metadata={"help": "Which turns teach nothing."}
    )
    filter_repetition: float = field(
        default=0.5, metadata={"help": "Largest share of repeated trigrams in a speech."}
    )
    filter_copying: float = field(
        default=0.8, metadata={"help": "Largest share of a speech's trigrams copied from another."}
    )
    filter_words: int = field(
        default=0, metadata={"help": "Longest speech in words; 0 sets no limit."}
    )
    filter_script: str | None = field(
        default=None, metadata={"help": "Unicode script that speech must be in, such as LATIN."}
    )
    alarm: Literal["none", "warn", "stop", "rollback"] = field(
        default="warn", metadata={"help": "What an alarm does."}
    )
    alarm_entropy_low: float = field(
        default=0.1, metadata={"help": "Lowest entropy, as a share of the first iteration's."}
    )
    alarm_entropy_high: float = field(
        default=0.0, metadata={"help": "Highest entropy, as a share of the first iteration's."}
    )
    alarm_repetition: float = field(
        default=0.9, metadata={"help": "Largest share of speeches that repeat another."}
    )
    alarm_patience: int = field(
        default=3, metadata={"help": "Iterations beyond a bound before the alarm rings."}
    )
    watch: str | None = field(
        default=None,
        metadata={"help": "Held-out measure: outcome.NAME, reward.NAME or judge=URL#model."},
    )
    watch_every: int = field(
        default=0, metadata={"help": "Iterations between looks at the held-out measure."}
    )
    watch_games: int = field(default=64, metadata={"help": "Games played for each look."})
    max_unscored_fraction: float = field(
        default=0.2, metadata={"help": "Stop above this share of seats without a full reward."}
    )
    max_grad_norm_stop: float = field(
        default=0.0, metadata={"help": "Stop above this gradient norm; 0 sets no limit."}
    )
    keep_rollouts: bool = field(
        default=True, metadata={"help": "Save played games until the next checkpoint is complete."}
    )
    progress: bool = field(default=True, metadata={"help": "Show progress while training."})
    log_games: int = field(
        default=2, metadata={"help": "Games per iteration that are written as text."}
    )
    log_credit: bool = field(
        default=True, metadata={"help": "Keep those games with every token's advantage and value."}
    )

    def _check_safety(self) -> None:
        require_one_of("turn_filter", self.turn_filter, ("none", "rules", "judge"))
        if self.filter_script is not None:
            check_script(self.filter_script)
        require_one_of("alarm", self.alarm, ("none", "warn", "stop", "rollback"))
        for name in (
            "filter_repetition",
            "filter_copying",
            "alarm_repetition",
            "max_unscored_fraction",
        ):
            require_share(name, getattr(self, name))
        for name in ("alarm_entropy_low", "alarm_entropy_high", "max_grad_norm_stop"):
            require_not_negative(name, getattr(self, name))
        for name in ("filter_words", "watch_every", "log_games"):
            require_int(name, getattr(self, name), least=0)
        for name in ("alarm_patience", "watch_games"):
            require_int(name, getattr(self, name), least=1)
        if 0.0 < self.alarm_entropy_high <= self.alarm_entropy_low:
            raise ConfigError(
                f"alarm_entropy_high ({self.alarm_entropy_high}) must lie above alarm_entropy_low "
                f"({self.alarm_entropy_low}), or be 0"
            )
