"""bench/report.py: from a benchmark run to the record, the tables and the verdicts."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPORT = Path(__file__).resolve().parents[1] / "bench" / "report.py"
HOST = "secret-host-17"
README = "# Title\n\n<!-- bench:warping begin -->\nold\n<!-- bench:warping end -->\n\nEnd.\n"

UNIFORM = "all pairs 100x512"
BAND = "all pairs 100x512, band 10 %"
RAGGED = "ragged 100 series of 100 to 1000"
PAIR = "one pair 10000x10000"
PATH = "one pair 10000x10000, with path"
TWO_THREADS = "all pairs 100x512, two threads"


@pytest.fixture(scope="module")
def report() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_report", REPORT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their own module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def entry(
    case: str,
    contender: str,
    median: float,
    *,
    isa: str | None = None,
    threads: int = 1,
    cells: int = 10**9,
    suite: str = "warping",
) -> dict[str, Any]:
    """Give what pytest-benchmark writes for one benchmark, as far as the report may care."""
    return {
        "group": case,
        "name": f"test_warping[{contender}]",
        "fullname": f"/home/{HOST}/bench/test_bench_warping.py::test_warping[{contender}]",
        "extra_info": {
            "suite": suite,
            "case": case,
            "contender": contender,
            "peer": isa is None,
            "dtype": "float32" if "f32" in contender else "float64",
            "isa": isa,
            "threads": threads,
            "cells": cells,
        },
        "stats": {"median": median, "rounds": 5, "min": median, "data": [median] * 5},
    }


def raw_run(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "machine_info": {
            "node": HOST,
            "processor": "x86_64",
            "python_version": "3.11.7",
            "python_build": [f"/opt/{HOST}/python", "now"],
            "cpu": {"brand_raw": "Some CPU", "count": 2, "hz_actual": [1, 0]},
            "isa": "v4",
            "packages": {"coalign": "0.1", "aeon": "1.6.0"},
        },
        "commit_info": {"id": "0" * 40, "project": HOST, "branch": "main"},
        "datetime": "2026-05-04T03:02:01.000000+00:00",
        "version": "5.3.1",
        "benchmarks": entries,
    }


def uniform_entries(own: float = 0.1) -> list[dict[str, Any]]:
    return [
        entry(UNIFORM, "aeon-f64", 6.0),
        entry(UNIFORM, "aeon-f32", 5.0),
        entry(UNIFORM, "tslearn-f64", 8.0),
        entry(UNIFORM, "coalign-f32-v4", own, isa="v4"),
        entry(UNIFORM, "coalign-f64-v4", 0.2, isa="v4"),
        entry(UNIFORM, "coalign-f32-v3", 0.2, isa="v3"),
    ]


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def summarise(report: ModuleType, tmp_path: Path, entries: list[dict[str, Any]], name: str) -> Path:
    """Take a raw run through the command line to a record."""
    raw = write(tmp_path / f"{name}-raw.json", raw_run(entries))
    record = tmp_path / f"{name}.json"
    assert report.main([str(raw), "--summary", str(record)]) == 0
    return record


def verdict_of(report: ModuleType, record: Any, case: str, contender: str) -> Any:
    benchmark = record.find(case, contender)
    assert benchmark is not None
    held = report.verdicts(record, benchmark)
    assert len(held) <= 1
    return held[0] if held else None


def assignment_run(report: ModuleType, entries: list[tuple[str, str, float, int]]) -> Any:
    """Give a record of assignments from cases, contenders, medians and threads."""
    return report.record_from_raw(
        raw_run(
            [
                entry(
                    case,
                    contender,
                    median,
                    isa=contender.split("-")[2] if contender.startswith("coalign") else None,
                    threads=threads,
                    suite="assignment",
                )
                for case, contender, median, threads in entries
            ]
        )
    )


def test_record_holds_ratios_to_the_fastest_peer(report: ModuleType, tmp_path: Path) -> None:
    path = summarise(report, tmp_path, uniform_entries(), "run")
    by_name = {b["contender"]: b for b in json.loads(path.read_text())["benchmarks"]}
    assert by_name["coalign-f32-v4"]["against"] == "aeon-f32"
    assert by_name["coalign-f32-v4"]["ratio"] == pytest.approx(50.0)
    # A float32 answer is no competitor for a float64 one.
    assert by_name["coalign-f64-v4"]["against"] == "aeon-f64"
    assert by_name["coalign-f64-v4"]["ratio"] == pytest.approx(30.0)
    assert by_name["tslearn-f64"]["ratio"] == pytest.approx(0.75)
    assert by_name["coalign-f32-v4"]["rounds"] == 5


def test_record_names_the_machine_but_not_the_host(report: ModuleType, tmp_path: Path) -> None:
    text = summarise(report, tmp_path, uniform_entries(), "run").read_text()
    content = json.loads(text)
    assert content["machine"] == {"cpu": "Some CPU", "cpus": 2, "isa": "v4", "python": "3.11.7"}
    assert content["packages"] == {"coalign": "0.1", "aeon": "1.6.0"}
    assert content["date"] == "2026-05-04"
    assert HOST not in text
    assert "/" not in text
    assert "0" * 40 not in text


def test_record_survives_a_round_trip(report: ModuleType, tmp_path: Path) -> None:
    record = summarise(report, tmp_path, uniform_entries(), "run")
    again = tmp_path / "new-folder" / "again.json"
    assert report.main([str(record), "--summary", str(again)]) == 0
    assert again.read_text() == record.read_text()
    assert report.load(record) == report.load(tmp_path / "run-raw.json")


@pytest.mark.parametrize(("own", "met"), [(0.1, True), (0.1001, False)])
def test_floor_against_peers_at_the_border(report: ModuleType, own: float, met: bool) -> None:
    record = report.record_from_raw(raw_run(uniform_entries(own)))
    held = verdict_of(report, record, UNIFORM, "coalign-f32-v4")
    assert (held.minimum, held.against, held.met) == (50, "aeon-f32", met)
    assert held.measured == pytest.approx(5.0 / own)


def test_floor_of_avx2_is_a_share_and_the_baseline_has_none(report: ModuleType) -> None:
    entries = [*uniform_entries(), entry(UNIFORM, "coalign-f32-v2", 1.0, isa="v2")]
    record = report.record_from_raw(raw_run(entries))
    held = verdict_of(report, record, UNIFORM, "coalign-f32-v3")
    assert held.minimum == pytest.approx(27.5)
    assert held.met is False
    assert verdict_of(report, record, UNIFORM, "coalign-f32-v2") is None
    assert verdict_of(report, record, UNIFORM, "aeon-f64") is None


def test_floor_of_the_band_counts_both_peers_but_not_tslearn(report: ModuleType) -> None:
    entries = [
        entry(BAND, "aeon-f64", 4.0),
        entry(BAND, "dtaidistance-f64", 3.0),
        entry(BAND, "tslearn-f64", 1.0),
        entry(BAND, "coalign-f64-v4", 0.2, isa="v4"),
    ]
    record = report.record_from_raw(raw_run(entries))
    held = verdict_of(report, record, BAND, "coalign-f64-v4")
    assert (held.minimum, held.against, held.met) == (14, "dtaidistance-f64", True)
    assert held.measured == pytest.approx(15.0)
    benchmark = record.find(BAND, "coalign-f64-v4")
    assert report.fastest_peer(record, benchmark).contender == "tslearn-f64"


def test_floors_are_those_of_the_suite(report: ModuleType) -> None:
    record = report.record_from_raw(
        raw_run(
            [{**e, "extra_info": {**e["extra_info"], "suite": "other"}} for e in uniform_entries()]
        )
    )
    assert verdict_of(report, record, UNIFORM, "coalign-f32-v4") is None
    # The README's table needs none.
    assert "| all pairs 100x512 | float32 | 100 ms |" in report.short_table(record)


def test_every_floor_of_a_case_is_held(report: ModuleType) -> None:
    record = assignment_run(
        report,
        [
            ("integers 1000x1000", "scipy-f64", 2.8, 1),
            ("integers 1000x1000", "lapjv-f64", 1.4, 1),
            ("integers 1000x1000", "lapjvr-f64", 1.3, 1),
            ("integers 1000x1000", "coalign-f64-v4", 1.0, 1),
            ("integers 1000x1000", "coalign-f64-v3", 1.0, 1),
        ],
    )
    v4, v3 = (
        report.verdicts(record, record.find("integers 1000x1000", name))
        for name in ("coalign-f64-v4", "coalign-f64-v3")
    )
    assert [(v.minimum, v.against, v.met) for v in v4] == [
        (3, "scipy-f64", False),
        (1.2, "lapjv-f64", True),
    ]
    assert [v.minimum for v in v3] == pytest.approx([2.1, 0.84])
    assert "| ≥ 3.00 × scipy-f64; ≥ 1.20 × lapjv-f64 | 2.80; 1.40 | **no**; yes |" in (
        report.full_table(record)
    )


@pytest.mark.parametrize(("median", "met"), [(0.66, True), (0.67, False)])
def test_floor_of_float32_is_against_our_float64(
    report: ModuleType, median: float, met: bool
) -> None:
    case = "uniform 4000x4000"
    record = assignment_run(
        report, [(case, "coalign-f64-v4", 1.0, 1), (case, "coalign-f32-v4", median, 1)]
    )
    held = verdict_of(report, record, case, "coalign-f32-v4")
    assert (held.against, held.met) == ("uniform 4000x4000, float64", met)
    assert held.measured == pytest.approx(1 / median)


def test_floor_of_sparse_costs_and_none_of_rankings(report: ModuleType) -> None:
    sparse, ranking = "CSR 20,000x20,000, 20 entries a row", "100 cheapest of 30x30"
    record = assignment_run(
        report,
        [
            (sparse, "scipy-f64", 2.9, 1),
            (sparse, "coalign-f64-v4", 1.0, 1),
            (ranking, "murty-scipy-f64", 50.0, 1),
            (ranking, "coalign-f64-v4", 1.0, 1),
        ],
    )
    held = verdict_of(report, record, sparse, "coalign-f64-v4")
    assert (held.minimum, held.against, held.met) == (3, "scipy-f64", False)
    assert verdict_of(report, record, ranking, "coalign-f64-v4") is None
    assert "| murty-scipy | 50.0 s | 50.0 |" in report.short_table(record)


def test_floor_with_threads_speaks_of_those_only(report: ModuleType) -> None:
    case = "208 problems 300x100, two threads"
    record = assignment_run(
        report,
        [
            (case, "scipy-f32", 12.0, 1),
            (case, "lapjvh_batch-2threads-f32", 2.0, 2),
            (case, "coalign-f32-v4", 1.9, 1),
            (case, "coalign-f32-v4-2threads", 1.0, 2),
        ],
    )
    assert verdict_of(report, record, case, "coalign-f32-v4") is None
    assert verdict_of(report, record, case, "coalign-f32-v4-2threads").met is True
    # One thread of ours is not compared with two of somebody else's.
    one = report.fastest_peer(record, record.find(case, "coalign-f32-v4"))
    two = report.fastest_peer(record, record.find(case, "coalign-f32-v4-2threads"))
    assert (one.contender, two.contender) == ("scipy-f32", "lapjvh_batch-2threads-f32")


def test_readme_row_of_a_warm_start_is_against_the_cold_one(report: ModuleType) -> None:
    cold, warm = "1 % of rows changed 2000x2000", "1 % of rows changed 2000x2000, warm start"
    record = assignment_run(
        report, [(cold, "coalign-f64-v4", 1.0, 1), (warm, "coalign-f64-v4", 0.1, 1)]
    )
    assert f"| 100 ms | 10.0 | coalign, {cold} | 1.00 s | 10.0 |" in report.short_table(record)
    assert verdict_of(report, record, warm, "coalign-f64-v4").met is True


@pytest.mark.parametrize("suite", ["warping", "assignment"])
def test_every_floor_speaks_of_a_case_of_its_suite(report: ModuleType, suite: str) -> None:
    cases = (REPORT.parent / f"test_bench_{suite}.py").read_text(encoding="utf-8")
    named = {case for case, _ in report.FLOORS[suite].by_case}
    # Cases named by a loop over shapes are spelt in pieces there.
    missing = [case for case in named if f'"{case}"' not in cases and "208 problems" not in case]
    assert missing == []


@pytest.mark.parametrize(("median", "met"), [(0.53, True), (0.54, False)])
def test_floor_of_ragged_series_is_per_cell(report: ModuleType, median: float, met: bool) -> None:
    # 2 Gcells in 0.53 s, beside 1 Gcell in 0.2 s of the same instruction set.
    ragged = entry(RAGGED, "coalign-f32-v3", median, isa="v3", cells=2 * 10**9)
    record = report.record_from_raw(raw_run([*uniform_entries(), ragged]))
    held = verdict_of(report, record, RAGGED, "coalign-f32-v3")
    assert held.measured == pytest.approx(0.4 / median)
    assert (held.minimum, held.met) == (0.75, met)


@pytest.mark.parametrize(("median", "met"), [(0.02, True), (0.021, False)])
def test_floor_of_the_path_is_twice_our_time(report: ModuleType, median: float, met: bool) -> None:
    entries = [
        entry(PAIR, "coalign-f64-v4", 0.01, isa="v4"),
        entry(PATH, "coalign-f64-v4", median, isa="v4"),
    ]
    record = report.record_from_raw(raw_run(entries))
    assert verdict_of(report, record, PATH, "coalign-f64-v4").met is met


def test_floor_of_two_threads_is_against_one(report: ModuleType) -> None:
    entries = [
        entry(TWO_THREADS, "coalign-f32-v4", 1.0, isa="v4"),
        entry(TWO_THREADS, "coalign-f32-v4-2threads", 0.55, isa="v4", threads=2),
    ]
    record = report.record_from_raw(raw_run(entries))
    held = verdict_of(report, record, TWO_THREADS, "coalign-f32-v4-2threads")
    assert held.measured == pytest.approx(1 / 0.55)
    assert held.met is True
    assert verdict_of(report, record, TWO_THREADS, "coalign-f32-v4") is None


def test_floor_without_its_other_side_is_not_met_by_silence(report: ModuleType) -> None:
    record = report.record_from_raw(
        raw_run([entry(PATH, "coalign-f64-v4", 0.02, isa="v4"), uniform_entries()[3]])
    )
    assert verdict_of(report, record, PATH, "coalign-f64-v4").met is None
    assert verdict_of(report, record, UNIFORM, "coalign-f32-v4").met is None
    assert report.full_table(record).count("not measured") == 2


def test_full_table_row(report: ModuleType) -> None:
    rows = report.full_table(report.record_from_raw(raw_run(uniform_entries()))).splitlines()
    assert (
        "| all pairs 100x512 | coalign-f32-v4 | 100 ms | 5 | 10.0 | 50.0 (aeon-f32) "
        "| ≥ 50.0 × aeon-f32 | 50.0 | yes |"
    ) in rows
    assert (
        "| all pairs 100x512 | coalign-f32-v3 | 200 ms | 5 | 5.00 | 25.0 (aeon-f32) "
        "| ≥ 27.5 × aeon-f32 | 25.0 | **no** |"
    ) in rows
    assert "| all pairs 100x512 | aeon-f64 | 6.00 s | 5 | 0.167 |  |  |  |  |" in rows


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0999, "0.0999"),
        (0.234, "0.234"),
        (9.996, "10.0"),
        (13.56, "13.6"),
        (1234, "1230"),
    ],
)
def test_numbers_have_three_digits(report: ModuleType, value: float, text: str) -> None:
    assert report.format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5.678, "5.68 s"), (0.0123, "12.3 ms"), (4.2e-5, "42.0 µs"), (3e-7, "0.300 µs")],
)
def test_times_have_a_unit(report: ModuleType, seconds: float, text: str) -> None:
    assert report.format_seconds(seconds) == text


def slower(entries: list[dict[str, Any]], factor: float) -> list[dict[str, Any]]:
    """Give the same run on a machine on which everything takes longer."""
    copies: list[dict[str, Any]] = json.loads(json.dumps(entries))
    for copy in copies:
        copy["stats"]["median"] *= factor
    return copies


@pytest.mark.parametrize(("share", "status"), [(1.2, 0), (0.85, 0), (0.849, 1)])
def test_compare_fails_beyond_fifteen_percent(
    report: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    share: float,
    status: int,
) -> None:
    old = summarise(report, tmp_path, uniform_entries(), "old")
    new = summarise(report, tmp_path, slower(uniform_entries(0.1 / share), 3.0), "new")
    capsys.readouterr()
    assert report.main(["--compare", str(old), str(new)]) == status
    printed = capsys.readouterr().out
    assert printed.count("worse") == status
    row = next(line for line in printed.splitlines() if "coalign-f32-v4" in line)
    assert f"{100 * (share - 1):+.1f} %" in row


def test_compare_keeps_to_the_peer_of_the_old_run(report: ModuleType) -> None:
    old = report.record_from_raw(raw_run(uniform_entries()))
    changed = uniform_entries()
    # tslearn becoming faster is news about tslearn, not a loss of ours.
    changed[2]["stats"]["median"] = 0.5
    table, ok = report.compare(old, report.record_from_raw(raw_run(changed)))
    assert ok
    assert "tslearn" not in table


def test_compare_covers_our_own_ratios(report: ModuleType) -> None:
    def run(two: float) -> Any:
        one = entry(TWO_THREADS, "coalign-f32-v4", 1.0, isa="v4")
        other = entry(TWO_THREADS, "coalign-f32-v4-2threads", two, isa="v4", threads=2)
        return report.record_from_raw(raw_run([one, other]))

    assert report.compare(run(0.5), run(0.55))[1] is True
    assert report.compare(run(0.5), run(0.6))[1] is False


def test_compare_of_nothing_in_common_fails(report: ModuleType) -> None:
    old = report.record_from_raw(raw_run(uniform_entries()))
    new = report.record_from_raw(raw_run([entry(PAIR, "coalign-f64-v4", 0.01, isa="v4")]))
    table, ok = report.compare(old, new)
    assert not ok
    assert table.count("only in the old run") == 3


def test_compare_lists_what_vanished_and_what_is_new(report: ModuleType) -> None:
    entries = uniform_entries()
    every = report.record_from_raw(raw_run(entries))
    fewer = report.record_from_raw(raw_run(entries[:-1]))
    table, ok = report.compare(every, fewer)
    assert ok
    assert table.count("only in the old run") == 1
    table, ok = report.compare(fewer, every)
    assert ok
    assert table.count("only in the new run") == 1


def test_readme_is_rewritten_once(report: ModuleType, tmp_path: Path) -> None:
    record = summarise(report, tmp_path, uniform_entries(), "run")
    readme = tmp_path / "README.md"
    readme.write_text(README, encoding="utf-8")
    assert report.main([str(record), "--readme", str(readme)]) == 0
    once = readme.read_text(encoding="utf-8")
    assert once.startswith("# Title\n\n<!-- bench:warping begin -->\n|")
    assert once.endswith("<!-- bench:warping end -->\n\nEnd.\n")
    assert "old" not in once
    # Of two instruction sets, only the one this machine selects.
    assert "| all pairs 100x512 | float32 | 100 ms | 10.0 | aeon | 5.00 s | 50.0 |" in once
    assert once.count("all pairs 100x512") == 2
    assert report.main([str(record), "--readme", str(readme)]) == 0
    assert readme.read_text(encoding="utf-8") == once


def test_check_readme_detects_a_stale_table(
    report: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = summarise(report, tmp_path, uniform_entries(), "run")
    faster = summarise(report, tmp_path, uniform_entries(0.05), "faster")
    readme = tmp_path / "README.md"
    readme.write_text(README, encoding="utf-8")
    assert report.main([str(record), "--check-readme", str(readme)]) == 1
    assert report.main([str(record), "--readme", str(readme)]) == 0
    capsys.readouterr()
    assert report.main([str(record), "--check-readme", str(readme)]) == 0
    assert capsys.readouterr().out == ""
    assert report.main([str(faster), "--check-readme", str(readme)]) == 1
    assert "+| all pairs 100x512 | float32 | 50.0 ms |" in capsys.readouterr().out


def test_readme_row_without_a_peer_is_against_one_thread(report: ModuleType) -> None:
    entries = [
        entry(TWO_THREADS, "coalign-f32-v4", 1.0, isa="v4"),
        entry(TWO_THREADS, "coalign-f32-v4-2threads", 0.5, isa="v4", threads=2),
    ]
    table = report.short_table(report.record_from_raw(raw_run(entries)))
    assert "| 500 ms | 2.00 | coalign, one thread | 1.00 s | 2.00 |" in table
    assert table.count(TWO_THREADS) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schema": 99}, "expected schema 1, got 99"),
        ({"machine_info": {}}, "neither a record nor a pytest-benchmark file"),
        ([], "neither a record nor a pytest-benchmark file"),
        (
            raw_run([uniform_entries()[0], entry(UNIFORM, "x-f64", 1.0, suite="transport")]),
            "expected the benchmarks of one suite, got ['transport', 'warping']",
        ),
    ],
)
def test_unusable_input_is_refused(
    report: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: Any,
    message: str,
) -> None:
    assert report.main([str(write(tmp_path / "run.json", content))]) == 2
    assert message in capsys.readouterr().err


def test_readme_without_markers_is_refused(
    report: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = summarise(report, tmp_path, uniform_entries(), "run")
    readme = tmp_path / "README.md"
    readme.write_text("no markers\n", encoding="utf-8")
    assert report.main([str(record), "--readme", str(readme)]) == 2
    assert "expected the markers <!-- bench:warping begin -->" in capsys.readouterr().err
    assert readme.read_text(encoding="utf-8") == "no markers\n"


def test_a_run_must_be_named(report: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([]) == 2
    assert "name a run" in capsys.readouterr().err


def test_plot_draws_a_picture(report: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    record = summarise(report, tmp_path, uniform_entries(), "run")
    picture = tmp_path / "ratios.png"
    assert report.main([str(record), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
