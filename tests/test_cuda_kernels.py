"""What the CUDA kernels cost: the reader of the compiler's output, and the kernels themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import check_kernels as script
import pytest

ROOT = Path(__file__).resolve().parents[1]


SYMBOL = (
    "_ZN7coalign4cuda41_GLOBAL__N__00000000_10_warping_cu_00000000"
    "10warp_pairsIfNS1_15UnivariateCostsIfLNS_7warping6MetricE2ELi1ELi2EEELb1ELb0EEEvNS1_4CallIT_EE"
)
NAME = "warp_pairs float32 1-D cityblock 1×2, window"

REPORT = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{symbol}' for 'sm_90'
ptxas info    : Function properties for {symbol}
    {stack} bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads
ptxas info    : Used {registers} registers, used 0 barriers
"""

# A step loop of two cells: a shuffle, a branch around the cells, a shorter way with half of them, a
# loop that only a next block takes, and a lane's store past the end.
CODE = """\
	.headerflags	@"EF_CUDA_SM90"
.text.{symbol}:
        /*0000*/                   S2R R0, SR_TID.X ;
.L_x_1:
        /*0010*/                   SHFL.IDX PT, R1, R2, R3, R4 ;
        /*0020*/               @P0 BRA `(.L_x_3) ;
        /*0030*/                   LDG.E.CONSTANT R5, desc[UR4][R6.64] ;
        /*0040*/              @!P1 BRA `(.L_x_2) ;
        /*0050*/                   FADD R7, -R8, R5 ;
        /*0060*/                   VIMNMX3 R9, R9, R10, R11, PT ;
        /*0070*/                   FADD R7, -R8, R5 ;
        /*0080*/                   VIMNMX3 R9, R9, R10, R11, PT ;
        /*0090*/                   BRA `(.L_x_3) ;
.L_x_2:
        /*00a0*/                   FADD R7, -R8, R5 ;
        /*00b0*/                   VIMNMX3 R9, R9, R10, R11, PT ;
.L_x_3:
        /*00c0*/               @P2 BRA `(.L_x_5) ;
.L_x_4:
        /*00d0*/                   IADD3 R12, R12, 0x1, RZ ;
        /*00e0*/               @P3 BRA `(.L_x_4) ;
.L_x_5:
        /*00f0*/              @!P4 BRA `(.L_x_1) ;
        /*0100*/                   STG.E.64 desc[UR4][R6.64], R8 ;
        /*0110*/                   EXIT ;
"""
# SHFL, BRA, LDG, BRA, four of arithmetic, BRA, BRA, BRA.
INSTRUCTIONS = 11 / 2

LINE = "        /*0000*/                   REDUX"
# Two loops over a row of two columns: for bids, which store nothing, and along a path.
SCAN = """\
.text.{symbol}:
.L_x_1:
        /*0010*/                   LDG.E.CONSTANT R5, desc[UR4][R6.64] ;
        /*0020*/                   FADD R7, -R8, R5 ;
        /*0030*/                   FADD R7, -R8, R5 ;
        /*0040*/                   FADD R7, -R8, R5 ;
        /*0050*/                   FADD R7, -R8, R5 ;
        /*0060*/                   REDUX.MIN UR5, R9 ;
        /*0070*/               @P0 BRA `(.L_x_1) ;
.L_x_2:
        /*0080*/                   LDG.E.CONSTANT R5, desc[UR4][R6.64] ;
        /*0090*/                   FADD R7, -R8, R5 ;
        /*00a0*/                   FADD R7, -R8, R5 ;
        /*00b0*/                   FADD R7, -R8, R5 ;
        /*00c0*/                   FADD R7, -R8, R5 ;
        /*00d0*/               @P1 STS [R2], R5 ;
        /*00e0*/               @P2 STS [R2], R5 ;
        /*00f0*/                   REDUX.MIN UR5, R9 ;
        /*0100*/               @P3 BRA `(.L_x_2) ;
        /*0110*/                   EXIT ;
"""

ASSIGNMENT = (
    "_ZN7coalign4cuda44_GLOBAL__N__00000000_13_assignment_cu_00000000"
    "{name}{argument}EEvNS1_4CallIT_EE"
)


def figures(
    code: str = CODE,
    symbol: str = SYMBOL,
    registers: int = 100,
    stack: int = 0,
    stores: int = 0,
    loads: int = 0,
) -> tuple[Any, list[str]]:
    """Of one made-up kernel, and what must not be."""
    report = REPORT.format(
        symbol=symbol, registers=registers, stack=stack, stores=stores, loads=loads
    )
    ((name, measured, wrong),) = script.measure(report, code.format(symbol=symbol))
    assert name == str(script.read_name(symbol).name)
    return measured, wrong


@pytest.mark.parametrize(
    ("name", "argument", "words"),
    [
        ("14assign_by_warp", "IdLi16E", "assign_by_warp float64 16 columns a thread"),
        ("15assign_by_block", "If", "assign_by_block float32 6 columns a thread"),
        ("16assign_by_memory", "If", "assign_by_memory float32"),
        ("14align_problems", "If", "align_problems float32"),
        ("11trace_paths", "IdLi2ELi16E", "trace_paths float64 2×16"),
        ("11walk_frames", "IfLi8E", "walk_frames float32 8"),
        ("11warp_softly", "IfLb1E", "warp_softly float32, gradients"),
        ("14warp_carefully", "IdLb0E", "warp_carefully float64"),
        ("11scan_points", "IffLi0E", "scan_points float32, rows"),
        ("11scan_points", "IdfLi1E", "scan_points float64 of float32, columns"),
        ("11read_frames", "IfLb0E", "read_frames float32 by warp"),
        ("11read_frames", "IdLb1E", "read_frames float64 by block"),
    ],
)
def test_names_are_read(name: str, argument: str, words: str) -> None:
    assert script.read_name(ASSIGNMENT.format(name=name, argument=argument)).name == words
    assert script.read_name(SYMBOL).name == NAME
    with pytest.raises(script.MeasureError, match="cannot read the name of kernel _ZN3other"):
        script.read_name("_ZN3otherEv")


def test_the_pass_along_a_path_is_counted() -> None:
    symbol = ASSIGNMENT.format(name="14assign_by_warp", argument="IfLi2E")
    measured, wrong = figures(SCAN, symbol, registers=40)
    assert measured == {
        "registers": 40,
        "warps per SM": 32,  # blocks of a warp each
        "instructions per cell": 9 / 2,
        "shuffles per cell": 1 / 2,
        "bytes per cell": 4 / 2,
    }
    assert wrong == []
    # Of two such passes the shorter one counts.
    passed = SCAN[SCAN.index(".L_x_2:") : SCAN.index("        /*0110*/")]
    longer = passed.replace("L_x_2", "L_x_3").replace("REDUX", "REDUX.MIN UR5, R9 ;\n" + LINE)
    assert figures(SCAN.replace(passed, passed + longer), symbol, registers=40)[0] == measured
    with pytest.raises(script.MeasureError, match="no loop over 2 columns found"):
        figures(SCAN.replace("STS", "NOP"), symbol)


def test_the_way_of_whole_tiles_is_counted() -> None:
    measured, wrong = figures()
    assert measured == {
        "registers": 100,
        "warps per SM": 16,
        "instructions per cell": INSTRUCTIONS,
        "per dimension": 0,
        "shuffles per cell": 1 / 2,
        "bytes per cell": 4 / 2,
    }
    assert wrong == []


def test_a_loop_over_dimensions_counts_once_and_apart() -> None:
    inner = "        /*0070*/                   FADD R7, -R8, R5 ;\n"
    looped = (
        ".L_x_8:\n" + inner * 8 + "        /*0078*/               @P5 BRA `(.L_x_8) ;\n"
    )  # two dimensions of two operations for each of two cells
    measured, _ = figures(CODE.replace(inner, looped))
    assert measured["per dimension"] == 9 / 2 / 2
    assert measured["instructions per cell"] == (11 - 1 + 9 / 2) / 2


def test_a_kernel_without_its_loop_is_an_error() -> None:
    with pytest.raises(script.MeasureError, match="no step loop with 2 cells found"):
        figures(CODE.replace("@!P4 BRA", "@!P4 NOP"))
    with pytest.raises(script.MeasureError, match="not in the disassembly"):
        figures("")


@pytest.mark.parametrize(
    ("registers", "warps"), [(24, 64), (32, 64), (33, 48), (128, 16), (129, 12), (255, 8)]
)
def test_registers_bound_the_warps(registers: int, warps: int) -> None:
    assert figures(registers=registers)[0]["warps per SM"] == warps


def test_memory_of_a_thread_is_found() -> None:
    assert figures(stores=28, loads=16)[1] == [f"{NAME}: 44 bytes of spills"]
    assert figures(stack=16)[1] == [f"{NAME}: a stack frame of 16 bytes"]
    local = CODE.replace("EXIT ;", "EXIT ;\n        /*0120*/              @P0 LDL R1, [R1] ;")
    assert figures(local)[1] == [f"{NAME}: 1 instructions on local memory"]


@pytest.mark.parametrize(
    ("name", "instructions", "warps", "problems"),
    [
        (NAME, 5.5, 16, []),
        (NAME, 9.0, 12, []),
        (NAME, 5.49, 16, [f"{NAME}: 5.50 instructions per cell, recorded 5.49"]),
        (NAME, 5.5, 20, [f"{NAME}: 16 warps per SM, recorded 20"]),
        ("other", 5.5, 16, [f"{NAME}: not in docs/performance.md; run with --write"]),
    ],
)
def test_what_is_worse_than_recorded_is_found(
    name: str, instructions: float, warps: int, problems: list[str]
) -> None:
    recorded = {name: {"instructions per cell": instructions, "warps per SM": float(warps)}}
    assert list(script.worse({NAME: figures()[0]}, recorded)) == problems


def test_a_table_is_rewritten_between_its_marks() -> None:
    measured = {NAME: figures()[0], "small": {"registers": 32, "warps per SM": 64}}
    before = f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n"
    text = script.write_table(before, measured, "By nvcc.")
    assert text.startswith(f"before\n{script.BEGIN}\n| kernel | registers |")
    assert text.endswith(f"\nBy nvcc.\n{script.END}\nafter\n")
    read = script.read_table(text)
    assert read["small"] == measured["small"]
    assert read[NAME]["instructions per cell"] == INSTRUCTIONS
    assert list(script.worse(measured, read)) == []
    assert script.write_table(text, measured, "By nvcc.") == text
    with pytest.raises(script.MeasureError, match="expected <!-- kernels: begin -->"):
        script.read_table("no table")


def test_flags_are_those_of_the_build() -> None:
    flags = script.compiler_flags((ROOT / "cuda" / "CMakeLists.txt").read_text())
    assert flags[:3] == ["-std=c++20", "-O3", "-fmad=false"]
    with pytest.raises(script.MeasureError, match="no CUDA_STANDARD"):
        script.compiler_flags("")


@pytest.mark.slow
def test_the_kernels_cost_no_more_than_recorded() -> None:
    missing = [name for name in ("nvcc", "nvdisasm", "c++filt") if script.find_tool(name) is None]
    if missing and not os.environ.get("COALIGN_REQUIRE_CUDA_TOOLS"):
        pytest.skip(f"needs {' and '.join(missing)}")
    done = subprocess.run(
        [sys.executable, script.__file__], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
