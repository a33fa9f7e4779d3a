"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmdist.engine.gap.findings import Number

NOTHING = "-"
ALIKE = 0.1  # a cosine within this of 0 is neither for nor against


def percent(value: Number) -> str:
    """A share.

    Example:
        >>> percent(0.12345), percent(None)
        ('12.3 %', '-')
    """
    return NOTHING if value is None else f"{100 * value:.1f} %"


def points(value: Number) -> str:
    """A difference of shares, in percentage points.

    Example:
        >>> points(0.051), points(-0.0001), points(None)
        ('+5.1', '0.0', '-')
    """
    if value is None:
        return NOTHING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def plain(value: Number) -> str:
    """A number of any size.

    Example:
        >>> plain(1234), plain(0.12345), plain(None)
        ('1,234', '0.123', '-')
    """
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"


def against(gap: float | None) -> str:
    """Who is better, and by how much.

    Example:
        >>> against(0.05), against(-0.01), against(0.0)
        ('a gap of 5.0 points', 'the student is ahead by 1.0 points', 'no gap')
    """
    if gap is None:
        return "no gap to speak of"
    if points(gap) == "0.0":
        return "no gap"
    return f"a gap of {100 * gap:.1f} points" if gap > 0 else f"the student is ahead by {-100 * gap:.1f} points"


def confidence(error: float | None, excess: float | None) -> str:
    """A calibration error, and which way a model errs.

    Args:
        error (float, optional): Expected calibration error, 0 to 1.
        excess (float, optional): Mean confidence minus the share that is right.

    Returns:
        str: The way is named where it makes up at least half of the error.

    Example:
        >>> confidence(0.1, -0.09), confidence(0.1, 0.02)
        ('10.0 % (too unsure)', '10.0 %')
    """
    if error is None or excess is None or abs(excess) < error / 2 or percent(error) == percent(0.0):
        return percent(error)
    return f"{percent(error)} ({'too sure' if excess > 0 else 'too unsure'})"


def sentence_of_gradients(whole: Mapping[str, Number], batches: int) -> str:
    """How the two losses pull, in words.

    Args:
        whole (Mapping[str, Number]): ``cosine`` and ``ratio`` of all parameters.
        batches (int): How many they are the mean of.

    Returns:
        str: A sentence.

    Example:
        >>> print(sentence_of_gradients({'cosine': 0.5, 'ratio': 2.0}, 4))
        Over 4 training batches distillation and task pull together: cosine 0.50, the gradient of the first 2.00 times
        as long.
    """
    cosine, ratio = whole["cosine"], whole["ratio"]
    count = f"Over {batches} training batch{'es' if batches != 1 else ''}"
    if cosine is None:
        return f"{count} one of the two losses, distillation and task, has no gradient."
    ways = (
        "pull together" if cosine > ALIKE else "pull against each other" if cosine < -ALIKE else "are at right angles"
    )
    length = "" if ratio is None else f", the gradient of the first {ratio:.2f} times as long"
    return f"{count} distillation and task {ways}: cosine {cosine:.2f}{length}."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right.

    Example:
        >>> print(table(['a', 'b'], [['x', '1']]))
        | a | b |
        |---|--:|
        | x | 1 |
    """
    marks = ["---", *(["--:"] * (len(head) - 1))]
    cells = [[text.replace("|", "\\|") for text in row] for row in rows]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(marks)}|", *(f"| {' | '.join(row)} |" for row in cells)]
    return "\n".join(lines)
