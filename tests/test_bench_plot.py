"""bench/plot_assignment.py: time against size, from the race to the picture."""

import importlib.util
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture(scope="module")
def plot():
    sys.path.insert(0, str(BENCH))
    try:
        spec = importlib.util.spec_from_file_location(
            "plot_assignment", BENCH / "plot_assignment.py"
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCH))
    return module


class Clock:
    """A clock that only contenders move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def contender(self, seconds, calls=None, name=None):
        """Give one that takes as long as `seconds(n)` says and finds the diagonal."""

        def solve(costs):
            self.now += seconds(len(costs))
            if calls is not None:
                calls.append((name, len(costs)))
            return np.arange(len(costs))

        return solve


def constant(seed, n):
    return np.ones((n, n))


def test_contenders_take_turns_and_the_median_counts(plot):
    clock, calls = Clock(), []
    slow = itertools.cycle([0.0, 1.0, 3.0, 2.0])  # the first is the call that warms it up
    contenders = {
        "a": clock.contender(lambda n: next(slow), calls, "a"),
        "b": clock.contender(lambda n: 0.5, calls, "b"),
    }
    times = plot.measure({"ones": constant}, contenders, [8], lambda n: 3, clock=clock)
    assert [name for name, n in calls if n == 8] == ["a", "b", "b", "a", "a", "b"]
    assert times == [
        {"family": "ones", "contender": "a", "n": 8, "seconds": 2.0, "rounds": 3},
        {"family": "ones", "contender": "b", "n": 8, "seconds": 0.5, "rounds": 3},
    ]


def test_who_is_too_slow_leaves_the_family_and_comes_back_for_the_next(plot):
    clock = Clock()
    contenders = {
        "quick": clock.contender(lambda n: 0.01),
        "leaps": clock.contender(lambda n: 5.0 if n == 16 else 0.1),
        "grows": clock.contender(lambda n: n * n / 100),
    }
    families = {"one": constant, "two": constant}
    times = plot.measure(families, contenders, [8, 16, 32], lambda n: 2, limit=4.0, clock=clock)
    for family in families:
        points = [(t["contender"], t["n"], t["rounds"]) for t in times if t["family"] == family]
        assert sorted(points) == [
            *(("grows", n, 2) for n in (8, 16)),
            ("leaps", 8, 2),
            ("leaps", 16, 1),  # beyond the limit at once
            *(("quick", n, 2) for n in (8, 16, 32)),
        ]


def test_a_family_that_is_too_slow_for_all_has_what_was_measured(plot):
    clock = Clock()
    times = plot.measure(
        {"ones": constant},
        {"slow": clock.contender(lambda n: 9.0)},
        [8, 16],
        lambda n: 2,
        clock=clock,
    )
    assert [(t["n"], t["rounds"]) for t in times] == [(8, 1)]


def test_answers_have_to_agree(plot):
    def costs(seed, n):
        return np.arange(n * n, dtype=float).reshape(n, n) ** 2 + 1

    contenders = {"right": plot.scipy, "wrong": lambda costs: np.arange(len(costs))}
    with pytest.raises(AssertionError, match=r"expected the total .*'wrong'"):
        plot.measure({"squares": costs}, contenders, [4], lambda n: 1)
    contenders = {"none": lambda costs: np.zeros(len(costs), int)}
    with pytest.raises(AssertionError, match="a permutation"):
        plot.measure({"squares": costs}, contenders, [4], lambda n: 1)


def test_coalign_and_scipy_race_through_every_family(plot):
    contenders = {"coalign": plot.coalign, "SciPy": plot.scipy}
    times = plot.measure(plot.FAMILIES, contenders, plot.SMALL_SIZES, lambda n: 1)
    assert len(times) == len(plot.FAMILIES) * 2 * len(plot.SMALL_SIZES)
    assert all(0 < entry["seconds"] < 4 for entry in times)


@pytest.fixture
def content(plot):
    # lapx leaves early in one family.
    times = [
        {"family": family, "contender": name, "n": n, "seconds": 1e-9 * n**2, "rounds": 3}
        for family in plot.FAMILIES
        for name in plot.CONTENDERS
        for n in plot.SIZES
        if not (family == "low rank 4" and name.startswith("lapx") and n > 1000)
    ]
    return {"schema": 1, "machine": {"cpu": "Some CPU"}, "times": times}


def test_the_picture_is_small_and_the_same_each_time(plot, content, tmp_path):
    pictures = []
    for name in ("record", "again"):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        path = tmp_path / "new" / f"{name}.svg"
        assert plot.main([str(tmp_path / f"{name}.json"), "--svg", str(path)]) == 0
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < 150_000
    text = pictures[0].decode()
    for word in (*plot.FAMILIES, *plot.CONTENDERS, "Some CPU", *map(str, plot.SIZES)):
        assert word in text
    assert "dc:date" not in text


def test_something_must_be_asked_for(plot, tmp_path, capsys):
    with pytest.raises(SystemExit):
        plot.main([str(tmp_path / "record.json")])
    assert "nothing to do" in capsys.readouterr().err
