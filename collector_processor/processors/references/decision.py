"""Which reference decides whether a column drifted, where several were asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collector_processor.processors.references.settings import BASELINE, SEASONAL, TRAILING


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a column drifted, and who says so.

    Attributes:
        drifted: The column is unlike what it should be, and unlike what is usual at this time.
        agreed: References it drifted from, of those that were asked.
        overruled_by: Seasonal references that find it usual for the time, where it is unlike what it should be.
        is_confirmed: A seasonal reference agrees. The column should then be marked (`WindowHistory.mark_drifted`), so
            that tomorrow is not compared with it.
    """

    drifted: bool
    agreed: tuple[str, ...] = ()
    overruled_by: tuple[str, ...] = ()
    is_confirmed: bool = False


def decide(verdicts: Mapping[str, bool | None]) -> Decision:
    """Whether a column drifted, from what each reference says by the same rule of effect and significance.

    The baseline says how the column should be, and every seasonal reference that has data must find it unusual for the
    time too: nights that always differ from the average of the training data are no drift. Where no seasonal reference
    has data, the baseline decides alone.

    Without a baseline the windows just before stand for it. They know no nights, so that they never decide alone
    where a seasonal reference is configured; without either, the seasonal references decide. The stable deployment has
    no say in this: to drift from it is another finding, about the deployment.

    Args:
        verdicts: By the name of each reference that is configured: whether the column drifted from it, None where it
            had not enough data.
    """
    agreed = tuple(name for name, drifted in verdicts.items() if drifted)
    seasonal = {name: verdicts[name] for name in SEASONAL if verdicts.get(name) is not None}
    opposed = tuple(name for name, drifted in seasonal.items() if not drifted)
    primary = next((name for name in (BASELINE, TRAILING) if verdicts.get(name) is not None), None)
    if primary is None:
        drifted = bool(seasonal) and not opposed
    else:
        must_wait = primary == TRAILING and not seasonal and any(name in verdicts for name in SEASONAL)
        drifted = bool(verdicts[primary]) and not opposed and not must_wait
    is_suspected = primary is not None and bool(verdicts[primary])
    return Decision(drifted, agreed, opposed if is_suspected else (), drifted and bool(seasonal))
