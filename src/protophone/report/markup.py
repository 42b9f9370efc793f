"""Words and numbers made safe and readable for HTML."""

import html
import math

__all__ = ["amount", "name", "plain", "plural", "share"]

# What HTML forbids even when escaped; tab and line breaks are allowed.
_FORBIDDEN = {code: "\ufffd" for code in [*range(32), *range(127, 160)] if code not in {9, 10, 13}}


def plain(value: object) -> str:
    r"""Text for HTML, also inside quoted attributes: escaped, unprintable characters replaced.

    File names that are not UTF-8 reach Python with lone surrogates, which no file can hold; they show as ``\udcff``.
    """
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return html.escape(text.translate(_FORBIDDEN), quote=True)


def name(value: object) -> str:
    """A name somebody gave (recording, speaker, phone), kept apart from the writing direction of what is around it."""
    return f"<bdi>{plain(value)}</bdi>"


def amount(value: float, digits: int = 3) -> str:
    """A number to ``digits`` significant digits, large ones to the unit; an en dash for NaN and infinity."""
    if not math.isfinite(value):
        return "\u2013"
    if value == 0 or 10 ** (digits - 1) <= abs(value):
        return f"{value:,.0f}".replace(",", "\u202f")
    if abs(value) < 1e-3:
        return f"{value:.{digits - 1}e}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, decimals)}f}".rstrip("0").rstrip(".")


def share(part: float, whole: float) -> str:
    """``part`` of ``whole`` in percent, to a tenth below ten; an en dash where the whole is nothing."""
    if whole <= 0:
        return "\u2013"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1\u202f%"
    return f"{percent:.{1 if percent < 10 else 0}f}\u202f%"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``1 recording``, ``2 recordings``."""
    return f"{amount(count)} {noun if count == 1 else many or noun + 's'}"
