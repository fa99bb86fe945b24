"""What is wrong with a dataset before any model reads it: labels that can be told without knowing the concept.

Each check is a number with a limit of the config section ``data_audit``; one that is beyond its limit is a warning.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from conceptdepth.datasets.checks import CHECKS, Data
from conceptdepth.ground.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One check of a dataset."""

    check: str
    """A name from `LIMITED` or `FACTS`."""
    value: float
    """What was found; NaN if there was nothing to check."""
    limit: float
    """What is allowed, NaN for a fact."""
    verdict: str
    """``ok``, ``warning`` or ``fact``."""
    finding: str
    """In words."""


LIMITED = (
    "larger_class",
    "repeated_texts",
    "contradictory_texts",
    "partner_in_training",
    "near_duplicate_in_training",
    "text_length",
    "bag_of_words",
    "text_start",
    "text_end",
    "prompt_end",
    "first_rows",
    "answer_in_text",
    "dropped_too_long",
)
"""Checks with a limit; the last is made only where too long prompts are dropped."""

HELD_OUT = ("bag_of_words", "text_start", "text_end", "prompt_end")
"""Accuracies on held-out statements. As far below chance is a warning, too: partners in training bring them there."""

FACTS = ("groups", "opposites")
"""What is told without judging it."""


def audit_data(data: Data, limits: Mapping[str, float]) -> Iterator[Finding]:
    """Yield what each check finds. ``limits`` are by the names of `LIMITED`."""
    for checks in CHECKS:
        for name, value, said in checks(data):
            limit = limits.get(name, np.nan)
            verdict = "fact" if name in FACTS else "warning" if _beyond(name, value, limit) else "ok"
            yield Finding(name, value, limit, verdict, said)


def _beyond(name: str, value: float, limit: float) -> bool:
    return value > limit + 1e-9 or (name in HELD_OUT and value < 1 - limit - 1e-9)


def problems(name: str, findings: Sequence[Finding]) -> UserError:
    """Return the error that ends a run whose policy is to stop."""
    warnings = "; ".join(finding.finding for finding in findings if finding.verdict == "warning")
    return UserError(
        f"datasets.{name}: {warnings}. Change the dataset or the split, raise `data_audit.limits`, or set "
        "`data_audit.policy` to warn."
    )
