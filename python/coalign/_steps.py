"""Step patterns: the steps that a path may take, and what their cells weigh."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._scalars import as_integer, take_flag

# What native code takes at most.
_MOST_STEPS, _MOST_FRAMES = 64, 64

Move = tuple[int, int, float]
Step = tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class StepPattern:
    """The steps that a path may take from one pair of frames to a later one.

    A step is a few moves in a row. A move (dx, dy, weight) goes dx frames on in x and dy in y, and
    adds weight times the local cost of the pair that it reaches. The path visits every pair that a
    move reaches, so all of them must lie in the window. The first pair of a path has weight 1.

    Parameters
    ----------
    steps : sequence of sequences of (dx, dy, weight)
        The moves of each step: at most 64 steps, each of at most 64 frames in either series. Of
        equally cheap ways to reach a pair, the path takes the step that is listed first, except
        that steps which advance x come before those that do not.
    normalization : {"N+M", "N", "M", None}
        What to divide a cost by so that it does not depend on the lengths of the series: the
        cost of a path from end to end is a sum of weights that is about so large for each path.
        None if there is no such number. The library never divides by it.

    Raises
    ------
    TypeError
        A step is not a sequence of triples, or a number of frames is not an integer.
    ValueError
        There are no steps or too many, a move goes nowhere or back, a weight is negative or not
        finite, or the normalization is none of the four.

    See Also
    --------
    rabiner_juang : The patterns of Rabiner and Juang.
    dtw : Names the patterns that it knows.

    Examples
    --------
    >>> import coalign
    >>> pattern = coalign.StepPattern([[(1, 1, 2.0)], [(1, 0, 1.0)], [(0, 1, 1.0)]], "N+M")
    >>> x, y = [0.0, 1.0, 2.0], [0.0, 2.0]
    >>> float(coalign.dtw(x, y, step=pattern).cost)
    1.0
    >>> print(pattern)
    1: (1, 1) x 2
    2: (1, 0) x 1
    3: (0, 1) x 1
    divide by N+M
    """

    steps: tuple[Step, ...]
    normalization: str | None = None

    def __post_init__(self) -> None:
        steps = tuple(_take_step(step, s) for s, step in enumerate(_items(self.steps, "steps")))
        if not 1 <= len(steps) <= _MOST_STEPS:
            raise ValueError(f"steps: expected 1 to {_MOST_STEPS} steps, got {len(steps)}")
        wanted = ("N+M", "N", "M")
        is_name = isinstance(self.normalization, str) and self.normalization in wanted
        if not (is_name or self.normalization is None):
            raise ValueError(
                f"normalization: expected 'N+M', 'N', 'M' or None, got {self.normalization!r}"
            )
        object.__setattr__(self, "steps", steps)

    def __str__(self) -> str:
        lines = [
            f"{s}: " + ", ".join(f"({dx}, {dy}) x {weight:g}" for dx, dy, weight in step)
            for s, step in enumerate(self.steps, 1)
        ]
        end = (
            "no normalization" if self.normalization is None else f"divide by {self.normalization}"
        )
        return "\n".join([*lines, end])

    @property
    def is_symmetric(self) -> bool:
        """Whether exchanging x and y gives the same steps."""
        mirrored = (tuple((dy, dx, weight) for dx, dy, weight in step) for step in self.steps)
        return {_cells(step) for step in mirrored} == {_cells(step) for step in self.steps}

    def plot(self, axes: Any = None) -> Any:
        """Draw the steps, which all end in one corner, with the weight of each move upon it.

        Parameters
        ----------
        axes : matplotlib Axes, optional
            Where to draw. None makes a figure of its own, without pyplot.

        Returns
        -------
        matplotlib.axes.Axes
            What was drawn on: frames of y to the right, those of x upwards.

        Raises
        ------
        ImportError
            matplotlib is not installed; the extra `plot` brings it.

        Examples
        --------
        >>> import coalign
        >>> len(coalign.rabiner_juang(3, "c").plot().lines)
        3
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError('plot needs matplotlib: pip install "coalign[plot]"') from None
        if axes is None:
            axes = Figure(figsize=(4.0, 4.0), layout="constrained").add_subplot()
        for step in self.steps:
            rows, columns, weights = zip(*_cells(step), strict=True)
            axes.plot([-c for c in columns], [-r for r in rows], "o-", color="tab:blue")
            for k, weight in enumerate(weights[1:], 1):
                middle = [-(at[k - 1] + at[k]) / 2 for at in (columns, rows)]
                axes.annotate(f"{weight:g}", middle, ha="center", va="center", backgroundcolor="w")
        axes.set(xlabel="frames of y", ylabel="frames of x", aspect="equal")
        axes.locator_params(integer=True)
        return axes


def native_table(pattern: StepPattern) -> npt.NDArray[np.float64]:
    """Return the cells as native code takes them: step, frames before its end, weight."""
    ordered = sorted(pattern.steps, key=lambda step: sum(move[0] for move in step) == 0)
    rows = [(s, *cell) for s, step in enumerate(ordered) for cell in _cells(step)]
    return np.array(rows, np.float64)


def _cells(step: Step) -> tuple[Move, ...]:
    """Each cell of a step, the one where it starts first, counted back from where it ends."""
    rows, columns = sum(move[0] for move in step), sum(move[1] for move in step)
    cells = [(rows, columns, 0.0)]
    for dx, dy, weight in step:
        rows, columns = rows - dx, columns - dy
        cells.append((rows, columns, weight))
    return tuple(cells)


def _items(value: Any, name: str) -> Iterable[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected a sequence, got {type(value).__name__}")
    return value


def _take_step(step: Any, number: int) -> Step:
    name = f"steps[{number}]"
    moves = tuple(_take_move(move, f"{name}[{k}]") for k, move in enumerate(_items(step, name)))
    if not moves:
        raise ValueError(f"{name}: expected a move, got none")
    for axis in (0, 1):
        frames = sum(move[axis] for move in moves)
        if frames > _MOST_FRAMES:
            raise ValueError(f"{name}: expected at most {_MOST_FRAMES} frames, got {frames}")
    return moves


def _take_move(move: Any, name: str) -> Move:
    parts = tuple(_items(move, name))
    if len(parts) != 3:
        raise TypeError(f"{name}: expected (dx, dy, weight), got {len(parts)} numbers")
    dx, dy = (as_integer(part) for part in parts[:2])
    if dx is None or dy is None:
        raise TypeError(f"{name}: expected integer numbers of frames")
    if dx < 0 or dy < 0 or dx + dy == 0:
        raise ValueError(f"{name}: expected a move forward, got ({dx}, {dy})")
    try:
        weight = float(parts[2])
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a number as weight") from None
    if not 0 <= weight < math.inf:
        raise ValueError(f"{name}: expected a finite weight of at least 0, got {weight}")
    return dx, dy, weight


# The moves of each production of Rabiner and Juang's local constraints, table 4.5: the diagonal
# first, then those that advance x more.
_PRODUCTIONS: dict[int, tuple[tuple[tuple[int, int], ...], ...]] = {
    1: (((1, 1),), ((1, 0),), ((0, 1),)),
    2: (((1, 1),), ((1, 1), (1, 0)), ((1, 1), (0, 1))),
    3: (((1, 1),), ((2, 1),), ((1, 2),)),
    4: (((1, 1),), ((1, 1), (1, 0)), ((1, 2), (1, 0)), ((1, 2),)),
    5: (
        ((1, 1),),
        ((1, 1), (1, 0)),
        ((1, 1), (1, 0), (1, 0)),
        ((1, 1), (0, 1)),
        ((1, 1), (0, 1), (0, 1)),
    ),
    6: (((1, 1),), ((1, 1), (1, 1), (1, 0)), ((1, 1), (1, 1), (0, 1))),
    7: tuple(((1, across), *((1, 0),) * more) for more in (0, 1, 2) for across in (1, 2, 3)),
}
_SLOPES: dict[str, tuple[Any, str | None]] = {
    "a": (min, None),
    "b": (max, None),
    "c": (lambda dx, dy: dx, "N"),
    "d": (lambda dx, dy: dx + dy, "N+M"),
}


def rabiner_juang(type: int, slope: str = "d", smoothed: bool = False) -> StepPattern:
    """Return a step pattern by Rabiner and Juang's classification.

    Parameters
    ----------
    type : int
        Local continuity constraint, from 1 to 7.
    slope : {"a", "b", "c", "d"}
        What a move (dx, dy) weighs: min(dx, dy), max(dx, dy), dx, or dx + dy.
    smoothed : bool
        Give each move of a step the mean of their weights.

    Returns
    -------
    StepPattern
        Its normalization is N for slope "c", N + M for "d", and None otherwise.

    Raises
    ------
    ValueError
        There is no such type or slope.
    TypeError
        `smoothed` is no bool.

    References
    ----------
    * L. Rabiner, B.-H. Juang: Fundamentals of Speech Recognition, section 4.7. Prentice Hall
      (1993).

    Examples
    --------
    >>> import coalign
    >>> print(coalign.rabiner_juang(2, "c"))
    1: (1, 1) x 1
    2: (1, 1) x 1, (1, 0) x 1
    3: (1, 1) x 1, (0, 1) x 0
    divide by N
    """
    number = as_integer(type)
    if number not in _PRODUCTIONS:
        raise ValueError(f"type: expected an integer from 1 to 7, got {type!r}")
    if not isinstance(slope, str) or slope not in _SLOPES:
        raise ValueError(f"slope: expected 'a', 'b', 'c' or 'd', got {slope!r}")
    weigh, normalization = _SLOPES[slope]
    is_smoothed = take_flag(smoothed, "smoothed")
    steps = []
    for moves in _PRODUCTIONS[number]:
        weights = [float(weigh(dx, dy)) for dx, dy in moves]
        if is_smoothed:
            weights = [sum(weights) / len(weights)] * len(weights)
        steps.append(
            tuple((dx, dy, weight) for (dx, dy), weight in zip(moves, weights, strict=True))
        )
    return StepPattern(tuple(steps), normalization)


def _slope_constrained(least: str, *, symmetric: bool) -> StepPattern:
    """Return a pattern of Sakoe and Chiba, whose slope constraint P is 0, 1/2, 1 or 2.

    A step makes a diagonal moves and then b straight ones, with a / b at least P. Symmetric steps
    weigh dx + dy. Asymmetric ones weigh dx, spread over the pairs of a step that goes on in y.
    """
    if least == "P0":
        runs = [(1, 0)]
    else:
        runs = {"P05": [(1, 0), (1, 1), (1, 2)], "P1": [(1, 0), (1, 1)], "P2": [(1, 0), (2, 1)]}[
            least
        ]
    steps: list[Step] = []
    for straight in ((1, 0), (0, 1)):
        for diagonals, many in runs:
            if many == 0 and straight == (0, 1):
                continue
            moves = [(1, 1)] * diagonals + [straight] * many
            weights = [float(dx + dy if symmetric else dx) for dx, dy in moves]
            if not symmetric and straight == (0, 1):
                weights = [diagonals / len(moves)] * len(moves)
            steps.append(tuple((*move, w) for move, w in zip(moves, weights, strict=True)))
    if least == "P0":
        steps += [((1, 0, 1.0),), ((0, 1, 1.0 if symmetric else 0.0),)]
    return StepPattern(tuple(steps), "N+M" if symmetric else "N")


_ORDINARY = StepPattern((((1, 1, 1.0),), ((1, 0, 1.0),), ((0, 1, 1.0),)), None)
PATTERNS: dict[str, StepPattern] = {
    "symmetric1": _ORDINARY,
    "symmetric2": _slope_constrained("P0", symmetric=True),
    "asymmetric": StepPattern((((1, 1, 1.0),), ((1, 0, 1.0),), ((1, 2, 1.0),)), "N"),
    **{
        f"{name}{least}": _slope_constrained(least, symmetric=name == "symmetric")
        for name in ("symmetric", "asymmetric")
        for least in ("P0", "P05", "P1", "P2")
    },
    **{f"typeI{slope}": rabiner_juang(2, slope) for slope in "abcd"},
    **{f"typeI{slope}s": rabiner_juang(2, slope, True) for slope in "abcd"},
    **{f"typeII{slope}": rabiner_juang(3, slope) for slope in "abcd"},
    "typeIIIc": rabiner_juang(4, "c"),
    "typeIVc": rabiner_juang(7, "c"),
    "rigid": StepPattern((((1, 1, 1.0),),), "N"),
    "mori2006": StepPattern(
        (((1, 1, 3.0),), ((1, 1, 2.0), (1, 0, 1.0)), ((1, 1, 3.0), (0, 1, 3.0))), "M"
    ),
}


def take_steps(step: Any) -> tuple[str, StepPattern]:
    """Check a step pattern; return it with its name, which is empty for one that has none."""
    if isinstance(step, StepPattern):
        return "", step
    if not isinstance(step, str) or step not in PATTERNS:
        names = ", ".join(map(repr, PATTERNS))
        raise ValueError(f"step: expected a StepPattern or one of {names}, got {step!r}")
    return step, PATTERNS[step]
