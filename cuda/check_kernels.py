"""What every kernel costs on sm_90, held against the table of docs/performance.md.

    python cuda/check_kernels.py [--write]

Compiles each cuda/**/*.cu to machine code with the flags of cuda/CMakeLists.txt, and reads ptxas's
report and the disassembly. Needs nvcc, nvdisasm and c++filt; no GPU. Exit status 1: a kernel
spills, has a stack frame or touches local memory; or fewer of its warps are resident, or it takes
more instructions a cell, than the table says, which --write puts in order.

Instructions per cell. The step loop of `warp_pairs` is the loop around its shuffle with the most
arithmetic. Of the ways from its head to its end we take the one with the most arithmetic (a whole
tile, by the branch for whole tiles), and among those the shortest, and count every instruction on
it. Left out are therefore what a lane does once a block (taking the next one, binary searches
included), the column handed on through memory between rounds of lanes, and the arithmetic of a
window's rows beyond what all kinds share. The figure is for one dimension; in a loop over
dimensions each further one adds "per dimension". Bytes are the loads and stores of that way, from
whatever cache.

Of `assign_by_warp` and `assign_by_block` a cell is a column of a thread, in one pass over a row
along a shortest path: the shortest loop with a reduction over the warp, a store and two operations
of arithmetic for every column.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- kernels: begin -->", "<!-- kernels: end -->"
ARCHITECTURE = "sm_90"

METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")  # csrc/warping/problem.hpp
THREADS_PER_BLOCK = {"warp_pairs": 64, "trace_paths": 64, "assign_by_warp": 32}
THREADS_PER_BLOCK |= {"check_frames": 256, "copy_costs": 256}
THREADS_PER_BLOCK |= {"assign_by_block": 512, "assign_by_memory": 512}
THREADS_PER_BLOCK |= {"prove_totals": 128, "solve_again": 512}
THREADS_PER_BLOCK |= {"align_problems": 256, "solve_in_threads": 128}
THREADS_PER_BLOCK |= dict.fromkeys(("take_texts", "read_frames", "judge"), 256)
THREADS_PER_BLOCK |= {"finish_gradient": 256, "solve_carefully": 256, "reduce_losses": 32}
THREADS_PER_BLOCK |= {"walk_frames": 512, "search_paths": 256}
THREADS_PER_BLOCK |= dict.fromkeys(("check_texts", "read_emissions", "write_paths"), 256)
THREADS_PER_BLOCK |= dict.fromkeys(("solve_alone", "solve_rest", "prepare_shared"), 256)
THREADS_PER_BLOCK |= dict.fromkeys(("sweep_shared", "update_shared", "finish_rows"), 256)
THREADS_PER_BLOCK |= dict.fromkeys(("finish_potentials", "sum_plans", "weigh_plans"), 256)
THREADS_PER_BLOCK |= dict.fromkeys(("measure_points", "prepare_clouds", "scan_points"), 256)
THREADS_PER_BLOCK |= dict.fromkeys(("finish_points", "prove_points", "weigh_points"), 256)
THREADS_PER_BLOCK |= dict.fromkeys(("place_points", "update_points", "gather_plan"), 128)
THREADS_PER_BLOCK |= {"warp_softly": 128, "warp_carefully": 256}
THREADS_PER_BLOCK |= {"warp_by_steps": 64, "keep_nearest": 256}
# Columns that a thread of a block has in registers: cuda/assignment.cu.
BLOCK_COLUMNS = {"float": 6, "double": 4}
# What a multiprocessor holds, and how registers are given to a warp.
WARPS, BLOCKS, REGISTERS, UNIT, SCHEDULERS, LANES = 64, 32, 65_536, 256, 4, 32

ARITHMETIC = {"FADD", "FMUL", "FFMA", "DADD", "DMUL", "DFMA", "VIMNMX3"}


class MeasureError(Exception):
    """What cannot be measured, in words."""


# Tools


def run(name: str, *arguments: object, given: str = "") -> tuple[str, str]:
    """Give what a program wrote to its two outputs."""
    command = [find_tool(name) or name, *map(str, arguments)]
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MeasureError(f"{name} not found") from error
    if done.returncode != 0:
        raise MeasureError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def find_tool(name: str) -> str | None:
    """Find a program on the path, beside nvcc, or where NVIDIA's Python packages put it."""
    folders = [Path(path) / "nvidia" / "cu13" / "bin" for path in sys.path]
    if nvcc := shutil.which("nvcc"):
        folders.insert(0, Path(nvcc).resolve().parent)
    return shutil.which(name) or shutil.which(name, path=":".join(map(str, folders)))


def compiler_flags(lists: str) -> list[str]:
    """The flags that cuda/CMakeLists.txt gives the CUDA compiler in a release build."""
    standard = re.search(r"CUDA_STANDARD (\d+)", lists)
    options = re.search(r"\$<\$<COMPILE_LANGUAGE:CUDA>:(-fmad[^>]*)>", lists)
    if standard is None or options is None:
        raise MeasureError("cuda/CMakeLists.txt: no CUDA_STANDARD, or no options with -fmad")
    include = [f"-I{ROOT / folder}" for folder in ("cuda", "csrc")]
    return [f"-std=c++{standard[1]}", "-O3", *options[1].split(), *include]


def compile_and_disassemble(source: Path) -> tuple[str, str]:
    """Give ptxas's report and the machine code in words."""
    flags = compiler_flags((ROOT / "cuda" / "CMakeLists.txt").read_text())
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        options = (f"-arch={ARCHITECTURE}", *flags, "-Xptxas", "-v", "-cubin", "-o", cubin)
        return run("nvcc", *options, source)[1], run("nvdisasm", "-c", cubin)[0]


# What they say


class Kernel(NamedTuple):
    """One instance of a kernel: its template, its name, and the cells that a thread has at once."""

    template: str
    name: str
    cells: int
    # Of arithmetic, that a dimension takes for a cell.
    operations: int = 2


def read_name(symbol: str) -> Kernel:
    """Read the template and its arguments from a mangled name."""
    whole = run("c++filt", given=symbol)[0]
    found = re.search(r"(\w+)<(float|double)(.*)>\(", whole)
    if found is None or found[1] not in THREADS_PER_BLOCK:
        raise MeasureError(f"cannot read the name of kernel {symbol}")
    template, kind, rest = found.groups()
    dtype = {"float": "float32", "double": "float64"}[kind]
    numbers = [int(n) for n in re.findall(r"\b\d+\b", rest)]
    if template == "warp_pairs":
        metric, rows, columns = numbers
        words = f"{'1-D' if 'Univariate' in rest else 'n-D'} {METRICS[metric]} {rows}×{columns}"
        flags = re.findall("true|false", rest)
        for option, flag in zip(("window", "path"), flags, strict=True):
            words += f", {option}" * (flag == "true")
        operations = 1 if METRICS[metric] == "cosine" else 2
        return Kernel(template, f"{template} {dtype} {words}", rows * columns, operations)
    if template == "warp_by_steps":
        return Kernel(template, f"{template} {dtype} {rest.rpartition('::')[2]}", 0)
    if template in ("warp_softly", "warp_carefully"):
        words = ", gradients" * ("true" in rest)
        return Kernel(template, f"{template} {dtype}{words}", 0)
    if template in ("scan_points", "prove_points", "update_points", "gather_plan"):
        words = " of float32" * (kind == "double" and "float" in rest.partition(">")[0])
        side = ("rows", "columns")[numbers[0]]
        return Kernel(template, f"{template} {dtype}{words}, {side}", 0)
    if template in ("read_frames", "read_emissions"):
        return Kernel(template, f"{template} {dtype} by {'block' if 'true' in rest else 'warp'}", 0)
    if template in ("assign_by_warp", "assign_by_block"):
        (columns,) = numbers or [BLOCK_COLUMNS[kind]]
        return Kernel(template, f"{template} {dtype} {columns} columns a thread", columns)
    return Kernel(template, " ".join((template, dtype, "×".join(map(str, numbers)))).strip(), 0)


class Instruction(NamedTuple):
    """One line of a disassembly."""

    conditional: bool
    opcode: str  # with its suffixes
    target: int | None  # where it jumps, by number of instruction

    @property
    def base(self) -> str:
        """The opcode without its suffixes."""
        return self.opcode.partition(".")[0]


LINE = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(@!?U?P[T\d]+\s+)?([A-Z][\w.]*)\s*([^;]*);")


def read_code(text: str) -> dict[str, list[Instruction]]:
    """Read nvdisasm -c, by symbol."""
    sections = re.split(r"^\.text\.(\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(sections[1::2], map(read_section, sections[2::2]), strict=True))


def read_section(text: str) -> list[Instruction]:
    """Read the instructions of one kernel."""
    lines: list[re.Match[str]] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"(\.L\w+):", line):
            labels[label[1]] = len(lines)
        elif found := LINE.match(line):
            lines.append(found)
    code = []
    for predicate, opcode, operands in (found.groups() for found in lines):
        to = re.search(r"\((\.L\w+)\)", operands) if opcode.startswith("BRA") else None
        # BRA P1, BRA.DIV: on a condition too.
        operand = re.match(r"!?U?P\d", operands) or opcode.startswith("BRA.DIV")
        code.append(
            Instruction(bool(predicate or operand), opcode, labels.get(to[1]) if to else None)
        )
    return code


def loops(code: list[Instruction]) -> Iterator[tuple[int, int]]:
    """First and last instruction of each loop."""
    for at, instruction in enumerate(code):
        if instruction.target is not None and instruction.target < at:
            yield instruction.target, at


def way_through(code: list[Instruction], head: int, last: int) -> list[int]:
    """The way from a loop's head to its end, by number: the most arithmetic, then the shortest."""
    # To each instruction: arithmetic, minus the length, and the instruction before.
    ways: dict[int, tuple[int, int, int]] = {head: (0, 0, -1)}
    for at in range(head, last):
        if at not in ways:
            continue
        instruction = code[at]
        so_far = (ways[at][0] + (instruction.base in ARITHMETIC), ways[at][1] - 1, at)
        jumps = instruction.base in {"BRA", "EXIT", "RET"}
        after = [instruction.target] if jumps and (instruction.target or 0) > at else []
        if not jumps or instruction.conditional:
            after.append(at + 1)
        for to in after:
            if to is not None and to <= last and (to not in ways or so_far[:2] > ways[to][:2]):
                ways[to] = so_far
    trail = [last] if last in ways else []
    while trail and ways[trail[-1]][2] >= 0:
        trail.append(ways[trail[-1]][2])
    return trail[::-1]


def count(code: Iterable[Instruction], bases: set[str]) -> int:
    """How many of the instructions are of those kinds."""
    return sum(instruction.base in bases for instruction in code)


def moved_bytes(code: Iterable[Instruction]) -> int:
    """Bytes that a lane loads from and stores to global memory."""
    moving = [i.opcode for i in code if i.base in {"LD", "LDG", "ST", "STG"}]
    widths = (re.search(r"\.(64|128)\b", opcode) for opcode in moving)
    return sum(int(width[1]) // 8 if width else 4 for width in widths)


# Figures

# The table's columns; of a cell but for the first two, and 0 where there is none.
COLUMNS = {
    "registers": "{:.0f}",
    "warps per SM": "{:.0f}",
    "instructions per cell": "{:.2f}",
    "per dimension": "{:.2f}",
    "shuffles per cell": "{:.3f}",
    "bytes per cell": "{:.2f}",
}
Figures = dict[str, float]


def resident_warps(registers: int, threads: int) -> int:
    """Warps that a multiprocessor holds at once."""
    block = threads // LANES
    each = math.ceil(registers * LANES / UNIT) * UNIT
    # Each scheduler has its quarter of the registers.
    by_registers = REGISTERS // SCHEDULERS // each * SCHEDULERS
    return min(WARPS, BLOCKS * block, by_registers) // block * block


def measure_step(kernel: Kernel, code: list[Instruction]) -> Figures:
    """The figures of a lattice's cell."""
    found = []
    for head, last in loops(code):
        if count(code[head : last + 1], {"SHFL"}):
            way = way_through(code, head, last)
            found.append((count((code[at] for at in way), ARITHMETIC), head - last, way))
    arithmetic, _, way = max(found, default=(0, 0, []))
    # A minimum is two comparisons in float64, which are not counted as arithmetic.
    if arithmetic < 2 * kernel.cells:
        raise MeasureError(f"{kernel.name}: no step loop with {kernel.cells} cells found")
    # The loop over dimensions, which the compiler may have unrolled.
    dimensions, inside, step = 0, [], [code[at] for at in way]
    for start, end in loops(code):
        loop = [code[at] for at in way_through(code, start, end)]
        passes = round(count(loop, ARITHMETIC) / kernel.cells / kernel.operations)
        if way[0] < start and end < way[-1] and passes > dimensions:
            dimensions, inside = passes, loop
            step = [code[at] for at in way if not start <= at <= end]
    each = 1 / max(1, dimensions)
    return {
        "instructions per cell": (len(step) + len(inside) * each) / kernel.cells,
        "per dimension": len(inside) * each / kernel.cells,
        "shuffles per cell": count(step, {"SHFL"}) / kernel.cells,
        "bytes per cell": (moved_bytes(step) + moved_bytes(inside) * each) / kernel.cells,
    }


def measure_scan(kernel: Kernel, code: list[Instruction]) -> Figures:
    """The figures of a column in a pass over a row."""
    ways = [[code[at] for at in way_through(code, *loop)] for loop in loops(code)]
    passes = [
        way
        for way in ways
        if count(way, {"ST", "STS", "STG"}) >= kernel.cells
        and count(way, ARITHMETIC) >= 2 * kernel.cells
        and count(way, {"REDUX"})
    ]
    if not passes:
        raise MeasureError(f"{kernel.name}: no loop over {kernel.cells} columns found")
    way = min(passes, key=len)
    return {
        "instructions per cell": len(way) / kernel.cells,
        "shuffles per cell": count(way, {"SHFL", "REDUX"}) / kernel.cells,
        "bytes per cell": moved_bytes(way) / kernel.cells,
    }


REPORT = re.compile(
    r"Function properties for (\w+)\s*\n\s*(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads\s*\n.*?Used (\d+) registers"
)


def measure(report: str, disassembly: str) -> Iterator[tuple[str, Figures, list[str]]]:
    """The figures of every kernel of one source, and what must not be, in words."""
    codes = read_code(disassembly)
    for symbol, *numbers in REPORT.findall(report):
        stack, stores, loads, registers = map(int, numbers)
        if symbol not in codes:
            raise MeasureError(f"{symbol} is in the report and not in the disassembly")
        kernel, code = read_name(symbol), codes[symbol]
        warps = resident_warps(registers, THREADS_PER_BLOCK[kernel.template])
        figures: Figures = {"registers": registers, "warps per SM": warps}
        if kernel.cells:
            lattice = kernel.template == "warp_pairs"
            figures |= (measure_step if lattice else measure_scan)(kernel, code)
        wrong = {
            f"{stores + loads} bytes of spills": stores + loads,
            f"a stack frame of {stack} bytes": stack,
            f"{count(code, {'LDL', 'STL'})} instructions on local memory": count(
                code, {"LDL", "STL"}
            ),
        }
        yield kernel.name, figures, [f"{kernel.name}: {words}" for words, n in wrong.items() if n]


# The document


def read_table(document: str) -> dict[str, Figures]:
    """The recorded figures by kernel."""
    _, begin, rest = document.partition(BEGIN)
    inside, end, _ = rest.partition(END)
    if not begin or not end:
        raise MeasureError(f"docs/performance.md: expected {BEGIN} and {END}")
    rows = [line.strip("| ").split("|") for line in inside.splitlines() if "|" in line][2:]
    return {
        name.strip(): {
            column: float(cell)
            for column, cell in zip(COLUMNS, cells, strict=False)
            if cell.strip()
        }
        for name, *cells in rows
    }


def write_table(document: str, measured: dict[str, Figures], made_by: str) -> str:
    """The document with the table of these figures."""
    lines = ["| " + " | ".join(("kernel", *COLUMNS)) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, figures in measured.items():
        cells = (
            form.format(figures[column]) if figures.get(column) else ""
            for column, form in COLUMNS.items()
        )
        lines.append("| " + " | ".join((name, *cells)) + " |")
    before, _, rest = document.partition(BEGIN)
    return "\n".join([before + BEGIN, *lines, "", made_by, END]) + rest.partition(END)[2]


def worse(measured: dict[str, Figures], recorded: dict[str, Figures]) -> Iterator[str]:
    """What is worse than recorded: in words, with the kernel and the figure."""
    for name, figures in measured.items():
        held = recorded.get(name)
        if held is None:
            yield f"{name}: not in docs/performance.md; run with --write"
            continue
        now, limit = (f.get("instructions per cell", 0.0) for f in (figures, held))
        # Half a unit of the last digit that the table shows.
        if now > limit + 0.005:
            yield f"{name}: {now:.2f} instructions per cell, recorded {limit:.2f}"
        now, limit = (f["warps per SM"] for f in (figures, held))
        if now < limit:
            yield f"{name}: {now:.0f} warps per SM, recorded {limit:.0f}"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong; 1 if something is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="refresh the table of the document")
    options = parser.parse_args(arguments)
    try:
        with ThreadPoolExecutor() as pool:
            outputs = pool.map(compile_and_disassemble, sorted((ROOT / "cuda").rglob("*.cu")))
            kernels = [found for output in outputs for found in measure(*output)]
        # By name, and numbers in names by their size.
        kernels.sort(key=lambda found: [part.zfill(3) for part in re.split(r"(\d+)", found[0])])
        version = re.search(r"V([\d.]+)", run("nvcc", "--version")[0])
        made_by = f"By nvcc {version[1] if version else 'of no version'} for {ARCHITECTURE}."
        measured = {name: figures for name, figures, _ in kernels}
        document = DOCUMENT.read_text(encoding="utf-8")
        if options.write:
            document = write_table(document, measured, made_by)
            DOCUMENT.write_text(document, encoding="utf-8")
        problems = [words for _, _, wrong in kernels for words in wrong]
        problems += worse(measured, read_table(document))
    except MeasureError as error:
        problems, made_by, document = [str(error)], "", ""
    if problems and made_by not in document:
        problems.append(f"{made_by} The table is of another compiler, whose counts may differ.")
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
