"""bench/report.py: from a benchmark run to the record, the floors and the documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import plot
import report

UNIFORM, RAGGED = "all pairs 100x512", "ragged 100 series of 100 to 1000"
PAIR, PATH = "one pair 10000x10000", "one pair 10000x10000, with path"
TWO_THREADS = "all pairs 100x512, two threads"
HOST = "secret-host-17"


def entry(case: str, contender: str, median: float, cells: int = 10**9) -> Any:
    """Give a benchmark; dtype, instruction set and threads are read from the contender's name."""
    own = contender.startswith("coalign")
    return report.Benchmark(
        case=case,
        contender=contender,
        peer=not own,
        dtype="float32" if "f32" in contender else "float64",
        isa=contender.split("-")[2] if own and "." not in contender else None,
        threads=2 if "2threads" in contender else 1,
        cells=cells,
        median=median,
        rounds=5,
    )


def record(*entries: tuple[Any, ...], suite: str = "warping") -> Any:
    machine = {"cpu": "Some CPU", "cpus": 2, "isa": "v4", "python": "3.11.7"}
    packages = {"coalign": "0.1", "aeon": "1.6.0"}
    return report.Record(suite, "2026-05-04", machine, packages, tuple(entry(*e) for e in entries))


def floors(run: Any, case: str, contender: str) -> list[str]:
    """Give what is said of a benchmark's floors."""
    (found,) = (b for b in run.benchmarks if (b.case, b.contender) == (case, contender))
    return [str(verdict) for verdict in report.verdicts(run, found)]


def uniform(own: float = 0.1) -> tuple[tuple[Any, ...], ...]:
    return (
        (UNIFORM, "aeon-f64", 6.0),
        (UNIFORM, "aeon-f32", 5.0),
        (UNIFORM, "tslearn-f64", 1.0),
        (UNIFORM, "coalign-f32-v4", own),
        (UNIFORM, "coalign-f64-v4", 0.2),
        (UNIFORM, "coalign-f32-v3", 0.2),
        (UNIFORM, "coalign-f32-v2", 1.0),
    )


def raw(*suites: str) -> dict[str, Any]:
    """Give what pytest-benchmark writes, as far as the report may care."""
    named = {"contender": "coalign-f32-v4", "peer": False, "dtype": "float32", "isa": "v4"}
    return {
        "machine_info": {
            "node": HOST,
            "python_version": "3.11.7",
            "python_build": [f"/opt/{HOST}/python", "now"],
            "cpu": {"brand_raw": "Some CPU", "count": 2, "hz_actual": [1, 0]},
            "isa": "v4",
            "packages": {"coalign": "0.1", "aeon": "1.6.0"},
        },
        "commit_info": {"id": "0" * 40, "project": HOST},
        "datetime": "2026-05-04T03:02:01.000000+00:00",
        "benchmarks": [
            {
                "fullname": f"/home/{HOST}/bench/test_bench_warping.py",
                "extra_info": {"suite": suite, "case": UNIFORM, "threads": 1, "cells": 9, **named},
                "stats": {"median": 0.12345678, "rounds": 5, "data": [0.1] * 5},
            }
            for suite in suites
        ],
    }


def test_a_record_names_the_machine_but_not_the_host(tmp_path: Path) -> None:
    run, kept, again = (tmp_path / f"{name}.json" for name in ("run", "kept", "again"))
    run.write_text(json.dumps(raw("warping")))
    report.main([str(run), "--record", str(kept)])
    content = json.loads(kept.read_text())
    assert content == {
        "schema": 2,
        "suite": "warping",
        "date": "2026-05-04",
        "machine": {"cpu": "Some CPU", "cpus": 2, "isa": "v4", "python": "3.11.7"},
        "packages": {"coalign": "0.1", "aeon": "1.6.0"},
        "benchmarks": [
            {
                "case": UNIFORM,
                "contender": "coalign-f32-v4",
                "peer": False,
                "dtype": "float32",
                "isa": "v4",
                "threads": 1,
                "cells": 9,
                "median": 0.123457,
                "rounds": 5,
            }
        ],
    }
    report.main([str(kept), "--record", str(again)])
    assert again.read_text() == kept.read_text()


def test_what_is_no_record_of_one_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"one suite, got \['calls', 'warping'\]"):
        report.cut(raw("warping", "calls"))
    (tmp_path / "old.json").write_text('{"schema": 1}')
    with pytest.raises(SystemExit, match="neither a record of schema 2 nor a run"):
        report.main([str(tmp_path / "old.json")])
    with pytest.raises(SystemExit):
        report.main([])


def test_the_fastest_peer_has_no_less_precision() -> None:
    run = record(*uniform()[:2], *uniform()[3:5])
    f32, f64 = run.benchmarks[2:]
    assert report.fastest_peer(run, f32).contender == "aeon-f32"
    assert report.fastest_peer(run, f64).contender == "aeon-f64"


@pytest.mark.parametrize(("own", "words"), [(0.1, "50.0"), (0.1001, "50.0 **missed**")])
def test_floor_against_some_of_the_peers_at_the_border(own: float, words: str) -> None:
    run = record(*uniform(own))
    assert floors(run, UNIFORM, "coalign-f32-v4") == [f"≥ 50.0 × aeon-f32: {words}"]


def test_floor_of_avx2_is_a_share_and_the_baseline_has_none() -> None:
    run = record(*uniform())
    assert floors(run, UNIFORM, "coalign-f32-v3") == ["≥ 27.5 × aeon-f32: 25.0 **missed**"]
    assert floors(run, UNIFORM, "coalign-f32-v2") == floors(run, UNIFORM, "aeon-f64") == []


def test_a_yardstick_of_another_case_is_no_rival() -> None:
    run = record((UNIFORM, "coalign-f32-v4", 2.0), (PAIR, "copy-f32", 1.0), (UNIFORM, "a-f32", 9.0))
    own = run.benchmarks[0]
    floor = report.PeerFloor(0.5, ("copy-f32",), avx2=0.6, case=PAIR)
    assert str(report.hold(run, own, floor)) == "≥ 0.500 × copy-f32: 0.500"
    assert report.fastest_peer(run, own).contender == "a-f32"


def test_every_floor_of_a_case_is_held() -> None:
    case = "integers 1000x1000"
    run = record(
        (case, "scipy-f64", 2.8),
        (case, "lapjv-f64", 1.4),
        (case, "lapjvr-f64", 1.3),
        (case, "coalign-f64-v4", 1.0),
        (case, "coalign-f64-v3", 1.0),
        suite="assignment",
    )
    v4 = floors(run, case, "coalign-f64-v4")
    assert v4 == ["≥ 3.00 × scipy-f64: 2.80 **missed**", "≥ 1.20 × lapjv-f64: 1.40"]
    assert [floor.split()[1] for floor in floors(run, case, "coalign-f64-v3")] == ["2.10", "0.840"]
    assert f"| {'; '.join(v4)} | 1.00 s |" in report.table(run, run.benchmarks)


def test_coalign_called_another_way_is_a_peer_only_where_it_is_named() -> None:
    run = record(*uniform(), (UNIFORM, "coalign.dtw_cdist-f64", 0.5))
    entries = [replace(b, peer=b.peer or "cdist" in b.contender) for b in run.benchmarks]
    run = replace(run, benchmarks=tuple(entries))
    (own,) = (b for b in entries if b.contender == "coalign-f64-v4")
    assert report.fastest_peer(run, own).contender == "tslearn-f64"
    named = ("coalign.dtw_cdist-f64", "aeon-f64")
    assert report.fastest_peer(run, own, named).contender == named[0]


def test_peers_have_no_more_threads() -> None:
    case = "208 problems 300x100, two threads"
    run = record(
        (case, "scipy-f32", 12.0),
        (case, "lapjvh_batch-2threads-f32", 2.0),
        (case, "coalign-f32-v4", 1.9),
        (case, "coalign-f32-v4-2threads", 1.0),
        suite="assignment",
    )
    one, two = (report.fastest_peer(run, b).contender for b in run.benchmarks[2:])
    assert (one, two) == ("scipy-f32", "lapjvh_batch-2threads-f32")


@pytest.mark.parametrize(
    ("suite", "other", "own", "words"),
    [
        # Per cell: 2 Gcells in 0.53 s, beside 1 Gcell in 0.2 s of the same instruction set.
        (
            "warping",
            (UNIFORM, "coalign-f32-v3", 0.2),
            (RAGGED, "coalign-f32-v3", 0.53, 2 * 10**9),
            f"≥ 0.750 × our {UNIFORM}, per cell: 0.755",
        ),
        (
            "warping",
            (PAIR, "coalign-f64-v4", 0.01),
            (PATH, "coalign-f64-v4", 0.021),
            f"≥ 0.500 × our {PAIR}: 0.476 **missed**",
        ),
        (
            "warping",
            (PAIR, "coalign-f64-v3", 0.01),
            (PATH, "coalign-f64-v4", 0.021),
            f"≥ 0.500 × our {PAIR}: not measured",
        ),
        (
            "warping",
            (TWO_THREADS, "coalign-f32-v4", 1.0),
            (TWO_THREADS, "coalign-f32-v4-2threads", 0.5),
            "≥ 1.80 × one thread: 2.00",
        ),
        (
            "assignment",
            ("uniform 4000x4000", "coalign-f64-v4", 1.0),
            ("uniform 4000x4000", "coalign-f32-v4", 0.67),
            "≥ 1.50 × our float64: 1.49 **missed**",
        ),
    ],
)
def test_floor_against_our_own(suite: str, other: Any, own: Any, words: str) -> None:
    run = record(other, own, suite=suite)
    assert floors(run, *own[:2]) == [words]
    if words.endswith("one thread: 2.00"):
        assert floors(run, *other[:2]) == []


def test_rows_of_the_table() -> None:
    run = record(*uniform())
    rows = report.table(run, run.benchmarks).splitlines()
    assert (
        f"| {UNIFORM} | coalign-f32-v4 | ≥ 50.0 × aeon-f32: 50.0 | 100 ms | 10.0 "
        "| tslearn-f64, 1.00 s | 10.0 |"
    ) in rows
    assert f"| {UNIFORM} | aeon-f64 |  | 6.00 s | 0.167 |  |  |" in rows
    assert (
        rows[-1]
        == "Some CPU (2 CPUs, AVX-512), 2026-05-04; Python 3.11.7, coalign 0.1, aeon 1.6.0."
    )
    assert [b.contender for b in run.own()] == ["coalign-f32-v4", "coalign-f64-v4"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.0999, "0.0999"), (9.996, "10.0"), (1234, "1230")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert report.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5.678, "5.68 s"), (0.0123, "12.3 ms"), (4.2e-5, "42.0 µs"), (3e-7, "0.300 µs")],
)
def test_times_have_a_unit(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


def test_content_goes_between_its_markers() -> None:
    text = "# Title\n<!-- bench:calls begin -->\nold\n<!-- bench:calls end -->\nEnd.\n"
    assert report.between(text, "calls", "new\n") == text.replace("old", "new")
    with pytest.raises(SystemExit, match="expected the markers <!-- bench:warping begin -->"):
        report.between(text, "warping", "new\n")


@pytest.mark.parametrize("suite", [*report.SUITES, *report.LATER, "scaling", "census"])
def test_cases_have_names_of_their_own_and_floors_speak_of_contenders(suite: str) -> None:
    cases = {case.name: case for case in report.cases(suite)}
    assert len(cases) == len(report.cases(suite))
    for case in cases.values():
        names = [contender.name for contender in case.contenders]
        assert len(set(names)) == len(names)
        assert bool(names) != bool(case.gpu), "a case runs on the CPU or on a GPU"
        for floor in (floor for floors in case.floors.values() for floor in floors):
            if isinstance(floor, report.OwnFloor):
                assert floor.case in cases
            else:
                among = cases[floor.case].contenders if floor.case else case.contenders
                assert set(floor.peers) <= {contender.name for contender in among}


def test_bars_lead_from_one_to_either_side() -> None:
    picture = plot.bars("Title", [("slow", 0.5, "0.5 × a"), ("fast & far", 2.0, "2 × b")])
    slow, fast = (line for line in picture.splitlines() if 'class="c' in line and "rect" in line)
    width = 'width="135.0"'
    assert 'class="c1" x="330.0"' in slow
    assert 'class="c0" x="465.0"' in fast
    assert width in slow
    assert width in fast
    assert "fast &amp; far" in picture


def test_curves_have_a_panel_for_each_family_and_end_where_their_contender_left() -> None:
    points = [("one", "a", 64, 1e-3), ("one", "a", 256, 1e-1), ("two", "a", 64, 1e-2)]
    picture = plot.curves("Title", [*points, ("two", "b", 64, 1e-1), ("two", "b", 256, 1.0)])
    lines = [line for line in picture.splitlines() if line.startswith('<path class="c')]
    assert len(lines) == 2 + 3  # two in the legend
    assert lines[2] == '<path class="c0" d="M64.0,220.0 240.0,129.3"/>'
    for words in ("one", "two", ">a<", ">b<", "1 ms", "1 s", ">64<"):
        assert words in picture


def test_points_of_ctc_are_of_a_frame_and_beside_a_copy() -> None:
    run = record(
        ("labels, n = 5", "coalign-f32-v4", 2.0),
        ("labels, n = 5", "torch-f32", 8.0),
        ("labels, n = 5", "copy-f32", 1.0),
    )
    assert plot.bandwidth(run.benchmarks) == [
        ("labels", "coalign", 5, 0.5),
        ("labels", "torch", 5, 0.125),
    ]
    assert plot.per_frame(run.benchmarks[:1], lambda case: 4) == [("labels", "coalign", 5, 0.5)]
    assert [plot.percent_in_words(k) for k in (0, -1, -3)] == ["100 %", "10 %", "0.1 %"]
    pictures = report.ctc_pictures(replace(run, suite="ctc_scaling"), Path("docs"))
    assert [path.name for path in pictures] == ["ctc-frames.svg", "ctc-bandwidth.svg"]
    assert ">10 %<" in list(pictures.values())[1]


def test_pictures_of_transport_count_iterations_where_they_are_known() -> None:
    run = record(
        ("to 1e-4, uniform, n = 10", "coalign-f64-v4", 2.0),
        ("to 1e-4, uniform, n = 10", "pot-sinkhorn-f64", 8.0),
        ("to 1e-4, uniform, n = 10", "pot-log-f64", 4.0),
        ("an iteration, n = 100", "coalign-f32-v4", 1.0),
        ("an iteration, n = 1000", "coalign-f32-v4", 30.0),
    )
    ours, theirs, *rest = run.benchmarks
    counted = replace(
        run, benchmarks=(replace(ours, iterations=30), replace(theirs, iterations=500), *rest)
    )
    assert plot.iterations(counted.benchmarks) == [
        ("to 1e-4, uniform", "coalign", 10, 30.0),
        ("to 1e-4, uniform", "pot-sinkhorn", 10, 500.0),
    ]
    pictures = report.transport_pictures(counted, Path("docs"))
    names = ["transport-iterations.svg", "transport-epsilon.svg", "transport-size.svg"]
    assert [path.name for path in pictures] == names
    made, time, size = pictures.values()
    assert ">1000<" in made
    assert ">pot-log<" not in made
    assert ">pot-log<" in time
    assert ">an iteration<" in size


def test_a_record_keeps_iterations_where_they_were_counted(tmp_path: Path) -> None:
    run = record((UNIFORM, "aeon-f64", 6.0), (UNIFORM, "coalign-f64-v4", 1.0))
    first, second = run.benchmarks
    run = replace(run, benchmarks=(first, replace(second, iterations=7)))
    text = run.text()
    assert text.count("iterations") == 1
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    assert report.load(tmp_path / "run.json") == run


def test_points_are_read_from_the_names_of_cases() -> None:
    run = record(("uniform, n = 64", "scipy-f64", 2.0), ("uniform, n = 64", "coalign-f64-v4", 1.0))
    assert plot.scaling(run.benchmarks) == [
        ("uniform", "coalign", 64, 1.0),
        ("uniform", "scipy", 64, 2.0),
    ]
