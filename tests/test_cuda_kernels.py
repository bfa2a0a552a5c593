"""What the CUDA kernels cost: the reader of the compiler's output, and the kernels themselves."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "cuda" / "check_kernels.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_kernels", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


script = load_script()

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


def figures(
    code: str = CODE, registers: int = 100, stack: int = 0, stores: int = 0, loads: int = 0
) -> list[object]:
    """Of one made-up kernel."""
    report = REPORT.format(
        symbol=SYMBOL, registers=registers, stack=stack, stores=stores, loads=loads
    )
    measured: list[object] = script.measure(report, code.format(symbol=SYMBOL), 90)
    return measured


def document(instructions: str, measured: str = "") -> str:
    cells = ["", *[""] * len(script.HEADER), ""]
    cells[1] = NAME
    cells[1 + script.HEADER.index("instructions per cell")] = instructions
    cells[-2] = measured
    return f"before\n{script.BEGIN}\n{'|'.join(cells)}\n{script.END}\nafter\n"


def problems(measured: list[object], text: str) -> list[str]:
    return list(script.problems(measured, script.read_table(text)))


def test_a_name_is_read() -> None:
    assert str(script.demangle(SYMBOL)) == NAME
    with pytest.raises(script.MeasureError, match="cannot read the name of kernel _ZN3other"):
        script.demangle("_ZN3otherEv")


ASSIGNMENT = (
    "_ZN7coalign4cuda44_GLOBAL__N__00000000_13_assignment_cu_00000000"
    "{name}{argument}EEvNS1_4CallIT_EE"
)


def test_names_of_assignment_are_read() -> None:
    warp = ASSIGNMENT.format(name="14assign_by_warp", argument="IdLi16E")
    assert str(script.demangle(warp)) == "assign_by_warp float64 16 columns a thread"
    block = ASSIGNMENT.format(name="15assign_by_block", argument="If")
    assert str(script.demangle(block)) == "assign_by_block float32 6 columns a thread"
    memory = ASSIGNMENT.format(name="16assign_by_memory", argument="If")
    assert str(script.demangle(memory)) == "assign_by_memory float32"


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


def test_the_pass_along_a_path_is_counted() -> None:
    symbol = ASSIGNMENT.format(name="14assign_by_warp", argument="IfLi2E")
    report = REPORT.format(symbol=symbol, registers=40, stack=0, stores=0, loads=0)
    (only,) = script.measure(report, SCAN.format(symbol=symbol), 90)
    assert (only.instructions, only.shuffles, only.bytes) == (9 / 2, 1 / 2, 4 / 2)
    # 32 blocks of a warp each.
    assert only.warps == 32
    row = script.row(only)
    assert row[4:8] == ["4.50", "", "0.500", "2.00"]
    recorded = {row[0]: [*row[:4], "4.49", *row[5:]]}
    assert list(script.problems([only], recorded)) == [
        "assign_by_warp float32 2 columns a thread: 4.50 instructions per cell, recorded 4.49"
    ]
    with pytest.raises(script.MeasureError, match="no loop over 2 columns found"):
        script.measure(report, SCAN.replace("STS", "NOP").format(symbol=symbol), 90)


def test_the_way_of_whole_tiles_is_counted() -> None:
    (only,) = figures()
    assert only.instructions == INSTRUCTIONS
    assert only.shuffles == 1 / 2
    assert only.bytes == 4 / 2
    assert only.per_dimension == 0
    assert (only.bound, only.clocks) == ("issue", INSTRUCTIONS)


def test_half_rate_units_bound_the_prediction() -> None:
    minima = "        /*0080*/                   VIMNMX3 R9, R9, R10, R11, PT ;\n"
    (only,) = figures(CODE.replace(minima, minima * 11))
    assert (only.bound, only.clocks) == ("integer units", 2 * 12 / 2)
    (only,) = figures(CODE.replace(minima, minima + minima.replace("VIMNMX3", "DSETP.LT.AND") * 12))
    assert (only.bound, only.clocks) == ("float64 units", 2 * 12 / 2)


def test_a_loop_over_dimensions_counts_once_and_apart() -> None:
    inner = "        /*0070*/                   FADD R7, -R8, R5 ;\n"
    looped = (
        ".L_x_8:\n" + inner * 8 + "        /*0078*/               @P5 BRA `(.L_x_8) ;\n"
    )  # two dimensions of two operations for each of two cells
    (only,) = figures(CODE.replace(inner, looped))
    assert only.per_dimension == 9 / 2 / 2
    assert only.instructions == (11 - 1 + 9 / 2) / 2


def test_a_kernel_without_its_loop_is_an_error() -> None:
    with pytest.raises(script.MeasureError, match="no step loop with 2 cells found"):
        figures(CODE.replace("@!P4 BRA", "@!P4 NOP"))
    with pytest.raises(script.MeasureError, match="not in the disassembly"):
        script.measure(
            REPORT.format(symbol="_ZN1fEv", registers=1, stack=0, stores=0, loads=0), "", 90
        )


@pytest.mark.parametrize(
    ("registers", "warps"), [(24, 64), (32, 64), (33, 48), (128, 16), (129, 12), (255, 8)]
)
def test_registers_bound_the_warps(registers: int, warps: int) -> None:
    (only,) = figures(registers=registers)
    assert only.warps == warps
    assert only.occupancy == warps / 64


def test_what_is_no_worse_than_recorded_passes() -> None:
    assert problems(figures(), document("5.50")) == []
    assert problems(figures(), document("9.00")) == []


def test_memory_of_a_thread_is_found() -> None:
    assert problems(figures(stores=28, loads=16), document("5.50")) == [
        f"{NAME}: 44 bytes of spills"
    ]
    assert problems(figures(stack=16), document("5.50")) == [f"{NAME}: a stack frame of 16 bytes"]
    local = CODE.replace("EXIT ;", "EXIT ;\n        /*0120*/              @P0 LDL R1, [R1] ;")
    assert problems(figures(local), document("5.50")) == [f"{NAME}: 1 instructions on local memory"]


def test_more_instructions_than_recorded_are_found() -> None:
    assert problems(figures(), document("5.49")) == [
        f"{NAME}: 5.50 instructions per cell, recorded 5.49"
    ]
    other = document("5.50").replace("float32", "float64")
    assert problems(figures(), other) == [f"{NAME}: not in docs/performance.md; run with --write"]


def test_a_table_is_rewritten_between_its_marks_and_keeps_what_was_measured() -> None:
    measured = figures()
    text = script.write_table(document("9.00", "3.1"), [*measured], [])
    assert text.startswith(f"before\n{script.BEGIN}\n| kernel |")
    assert text.endswith(f"\n{script.END}\nafter\n")
    assert script.read_table(text)[NAME][-1] == "3.1"
    assert problems(measured, text) == []
    assert script.write_table(text, measured, []) == text
    with pytest.raises(script.MeasureError, match="expected <!-- kernels: begin -->"):
        script.write_table("no table", measured, [])


def test_steps_of_a_schedule() -> None:
    # One round: each lane waits for its left neighbour, two rows a step.
    assert script.steps(1024, 1024, None, 32, 2, 32) == (31 + 512, False)
    assert script.steps(7, 64, None, 32, 2, 2) == (1 + 4, False)
    # Two rounds of one lane, through memory: a step to write the last row and one to fetch it.
    assert script.steps(64, 64, None, 32, 2, 1) == (33 + 32, True)
    # Two columns a row: a lane is done before its next turn.
    assert script.steps(64, 64, 0, 8, 1, 4) == (4 + 3 + 64, False)


def test_flags_are_those_of_the_build() -> None:
    flags = script.compiler_flags((ROOT / "cuda" / "CMakeLists.txt").read_text())
    assert flags[:3] == ["-std=c++20", "-O3", "-fmad=false"]
    with pytest.raises(script.MeasureError, match="no CUDA_STANDARD"):
        script.compiler_flags("")


@pytest.mark.slow
def test_the_kernels_cost_no_more_than_recorded() -> None:
    missing = [name for name in ("nvcc", "nvdisasm") if script.find_tool(name) is None]
    if missing and not os.environ.get("COALIGN_REQUIRE_CUDA_TOOLS"):
        pytest.skip(f"needs {' and '.join(missing)}")
    done = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
