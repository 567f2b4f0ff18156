"""Numbers as people read them: few digits, round steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_MOST_DIGITS: Final = 17
_FEWEST_DIGITS: Final = 3
# Powers of ten from which on to write an exponent.
_FIXED: Final = (-4, 9)
_ROUND: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


def numeral(value: float, digits: int = 4) -> str:
    """A number with so many significant digits at most: 1,250,000 or 0.0125 or 3.2e-11."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "NaN"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if not mantissa.strip("-0."):
        return "0"
    if _FIXED[0] <= power < _FIXED[1]:
        return _without_zeros(f"{float(f'{mantissa}e{power}'):,.{max(digits - 1 - power, 0)}f}")
    return f"{_without_zeros(mantissa)}e{power}"


def numerals(values: Sequence[float]) -> list[str]:
    """Increasing numbers, each with as few digits as tell it from its neighbours and place it rightly between them."""
    return [numeral(value, _digits(value, _gap(values, position))) for position, value in enumerate(values)]


def percent(share: float) -> str:
    """A share as people say it: "12.3%", "<0.1%"."""
    if 0 < share < 0.001:
        return "<0.1%"
    return f"{100 * share:.3g}%" if share < 0.9995 else "100%"


def round_steps(highest: float, at_most: int) -> list[float]:
    """0 and some multiples of a round step, of which the last is at least `highest`; at most `at_most` steps."""
    if not (math.isfinite(highest) and highest / at_most > 0):
        return [0.0, 1.0]
    step = round_step(highest / at_most)
    count = max(1, math.ceil(highest / step - 1e-9))
    return [position * step for position in range(count + 1)]


def round_step(at_least: float) -> float:
    """The next number from `at_least` (above 0) on that people count in: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(at_least))
    if not power:
        return at_least
    return next(nice * power for nice in _ROUND if nice * power >= at_least * (1 - 1e-9))


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _gap(values: Sequence[float], position: int) -> float:
    beside = [
        abs(values[other] - values[position]) for other in (position - 1, position + 1) if 0 <= other < len(values)
    ]
    return min(beside, default=0.0)


def _digits(value: float, gap: float) -> int:
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS):
        rounded = float(f"{value:.{digits - 1}e}")
        if (gap and abs(rounded - value) <= gap / 50) or (not gap and abs(rounded - value) <= abs(value) * 1e-6):
            return digits
    return _MOST_DIGITS
