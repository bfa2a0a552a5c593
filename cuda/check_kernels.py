"""What every kernel costs on its architecture, held against docs/performance.md.

    python cuda/check_kernels.py [--write] [--architecture 90]

Compiles each cuda/**/*.cu to machine code with the flags of cuda/CMakeLists.txt, and reads ptxas's
report and the disassembly. Needs nvcc and nvdisasm; no GPU. Exit status 1: a kernel spills, has a
stack frame or touches local memory, or an instance of `warp_pairs`, or of `assign_by_warp` and
`assign_by_block`, takes more instructions a cell than the table says; --write puts the table in
order instead.

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
of arithmetic for every column. Few warps are at work there, each alone: what is predicted is the
time of a pass, and bounds it from both sides, by what memory is.

Clocks. A scheduler issues one instruction a clock. Integers, comparisons, minima and selections
run at half that rate, float64 arithmetic likewise; the prediction is the largest of the three
counts, every lane at work and latencies hidden.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- kernels: begin -->", "<!-- kernels: end -->"

METRICS = ("sqeuclidean", "euclidean", "cityblock", "cosine")  # csrc/warping/problem.hpp
DTYPES = {"f": "float32", "d": "float64"}
# Minimum, minimum, addition, and what makes the cost of one dimension: a subtraction, whose square
# is fused with the addition where it can be, and whose absolute value is free.
OPERATIONS = {
    ("UnivariateCosts", "sqeuclidean"): 4,
    ("UnivariateCosts", "cityblock"): 4,
    ("MultivariateCosts", "sqeuclidean"): 5,
    ("MultivariateCosts", "euclidean"): 6,
    ("MultivariateCosts", "cityblock"): 5,
    ("MultivariateCosts", "cosine"): 6,
}

# Of an H200.
MULTIPROCESSORS, CLOCKS_HZ, SCHEDULERS, LANES = 132, (1.755e9, 1.98e9), 4, 32

THREADS_PER_BLOCK = {"warp_pairs": 64, "trace_paths": 64, "assign_by_warp": 32}
THREADS_PER_BLOCK |= {"check_frames": 256, "copy_costs": 256}
THREADS_PER_BLOCK |= {"assign_by_block": 512, "assign_by_memory": 512}
# Columns that a thread of a block has in registers: cuda/assignment.cu.
BLOCK_COLUMNS = {"f": 6, "d": 4}
REGISTERS, REGISTER_UNIT = 65_536, 256
# Warps and blocks that a multiprocessor holds.
RESIDENT = {75: (32, 16), 80: (64, 32), 86: (48, 16), 89: (48, 24), 90: (64, 32), 100: (64, 32)}


class MeasureError(Exception):
    """What cannot be measured, in words."""


# Tools


def find_tool(name: str) -> str | None:
    """Find a program on the path, beside nvcc, or where NVIDIA's Python packages put it."""
    if found := shutil.which(name):
        return found
    folders = [Path(path) / "nvidia" / "cu13" / "bin" for path in sys.path]
    if nvcc := shutil.which("nvcc"):
        folders.insert(0, Path(nvcc).resolve().parent)
    return shutil.which(name, path=":".join(map(str, folders)))


def run(*command: object) -> tuple[str, str]:
    """Give what a command wrote to its two outputs."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MeasureError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def compiler_flags(lists: str) -> list[str]:
    """The flags that cuda/CMakeLists.txt gives the CUDA compiler in a release build."""
    standard = re.search(r"CUDA_STANDARD (\d+)", lists)
    options = re.search(r"\$<\$<COMPILE_LANGUAGE:CUDA>:(-fmad[^>]*)>", lists)
    if standard is None or options is None:
        raise MeasureError("cuda/CMakeLists.txt: no CUDA_STANDARD, or no options with -fmad")
    include = [f"-I{ROOT / folder}" for folder in ("cuda", "csrc")]
    return [f"-std=c++{standard[1]}", "-O3", *options[1].split(), *include]


def compiler(architecture: int) -> str:
    """Say by what, and for what, the kernels are compiled."""
    nvcc = find_tool("nvcc")
    if nvcc is None:
        raise MeasureError("nvcc not found")
    version = re.search(r"V([\d.]+)", run(nvcc, "--version")[0])
    return f"nvcc {version[1] if version else 'of no version'} for sm_{architecture}"


def compile_and_disassemble(source: Path, architecture: int) -> tuple[str, str]:
    """Give ptxas's report and the machine code in words."""
    nvcc, nvdisasm = find_tool("nvcc"), find_tool("nvdisasm")
    if nvcc is None or nvdisasm is None:
        raise MeasureError(f"{'nvdisasm' if nvcc else 'nvcc'} not found")
    flags = compiler_flags((ROOT / "cuda" / "CMakeLists.txt").read_text())
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        target = f"-arch=sm_{architecture}"
        _, report = run(nvcc, target, *flags, "-Xptxas", "-v", "-cubin", "-o", cubin, source)
        return report, run(nvdisasm, "-c", cubin)[0]


# Names


class Kernel(NamedTuple):
    """One instance of a kernel, by its template's arguments."""

    template: str
    dtype: str
    costs: str = ""
    metric: str = ""
    rows: int = 0
    columns: int = 0
    windowed: bool = False
    path: bool = False

    @property
    def is_lattice(self) -> bool:
        """Whether it has the cells of a lattice."""
        return self.template == "warp_pairs"

    @property
    def is_scan(self) -> bool:
        """Whether its threads go over rows of costs with columns in registers."""
        return self.template in ("assign_by_warp", "assign_by_block")

    def __str__(self) -> str:
        tile = f" {self.rows}×{self.columns}" if self.rows else ""
        tile += f" {self.columns} columns a thread" if self.is_scan else ""
        words = [self.dtype]
        if self.is_lattice:
            words += ["1-D" if self.costs == "UnivariateCosts" else "n-D", self.metric]
        options = ", window" * self.windowed + ", path" * self.path
        return f"{self.template} {' '.join(words)}{tile}{options}"


def demangle(symbol: str) -> Kernel:
    """Read the template and its arguments from a mangled name."""
    at, name = 3, ""
    while found := re.match(r"\d+", symbol[at:]):
        start = at + found.end()
        at = start + int(found[0])
        name = symbol[start:at]
    arguments = symbol[at:]
    if name == "warp_pairs":
        lattice = re.match(
            r"I([fd])NS1_\d+(\w+Costs)I[fd]LNS\w+?MetricE(\d)ELi(\d+)ELi(\d+)EEE"
            r"Lb([01])ELb([01])EEEv",
            arguments,
        )
        if lattice:
            dtype, costs, metric, rows, columns, windowed, path = lattice.groups()
            tile = int(rows), int(columns), windowed == "1", path == "1"
            return Kernel(name, DTYPES[dtype], costs, METRICS[int(metric)], *tile)
    elif warp := re.match(r"I([fd])Li(\d+)EEEv", arguments):
        return Kernel(name, DTYPES[warp[1]], columns=int(warp[2]))
    elif name == "assign_by_block" and arguments[1:2] in DTYPES:
        return Kernel(name, DTYPES[arguments[1]], columns=BLOCK_COLUMNS[arguments[1]])
    elif other := re.match(r"I([fd])(?:Li(\d+)ELi(\d+)E)?EEv", arguments):
        dtype, rows, columns = other.groups()
        return Kernel(name, DTYPES[dtype], rows=int(rows or 0), columns=int(columns or 0))
    raise MeasureError(f"cannot read the name of kernel {symbol}")


# The compiler's report


@dataclass(frozen=True)
class Resources:
    """Of one kernel, in registers and bytes."""

    registers: int
    stack: int
    spills: int


def read_report(text: str) -> dict[str, Resources]:
    """Read the report of ptxas -v, by symbol."""
    found = re.findall(
        r"Function properties for (\w+)\s*\n\s*(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads\s*\n.*?Used (\d+) registers",
        text,
    )
    return {
        symbol: Resources(int(registers), int(stack), int(stores) + int(loads))
        for symbol, stack, stores, loads, registers in found
    }


def resident_warps(registers: int, architecture: int, threads: int) -> int:
    """Warps that a multiprocessor holds at once."""
    most_warps, most_blocks = RESIDENT[architecture]
    block = threads // LANES
    each = math.ceil(registers * LANES / REGISTER_UNIT) * REGISTER_UNIT
    # Each scheduler has its quarter of the registers.
    by_registers = REGISTERS // SCHEDULERS // each * SCHEDULERS
    return min(most_warps, most_blocks * block, by_registers) // block * block


# The machine code


class Instruction(NamedTuple):
    """One line of a disassembly."""

    predicated: bool
    opcode: str  # with its suffixes
    target: int | None  # where it jumps, by number of instruction

    @property
    def base(self) -> str:
        """The opcode without its suffixes."""
        return self.opcode.partition(".")[0]


ARITHMETIC = {"FADD", "FMUL", "FFMA", "DADD", "DMUL", "DFMA", "VIMNMX3"}
FLOAT64 = {"DADD", "DMUL", "DFMA", "DSETP", "DMNMX"}
# What no half-rate integer unit runs: float32 and integer multiply-adds, memory, shuffles, jumps.
ELSEWHERE = {
    "FADD",
    "FMUL",
    "FFMA",
    "IMAD",
    "LD",
    "LDG",
    "ST",
    "STG",
    "LDC",
    "ULDC",
    "SHFL",
    "MUFU",
    "NOP",
}
ELSEWHERE |= {"BRA", "BSSY", "BSYNC", "WARPSYNC", "CALL", "RET", "EXIT", "UMOV", "ULOP3", "R2UR"}
LOCAL = {"LDL", "STL"}

LINE = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(@!?U?P[T\d]+\s+)?([A-Z][\w.]*)\s*([^;]*);")


def read_code(text: str) -> dict[str, list[Instruction]]:
    """Read nvdisasm -c, by symbol."""
    sections = re.split(r"^\.text\.(\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(sections[1::2], map(read_section, sections[2::2]), strict=True))


def read_section(text: str) -> list[Instruction]:
    """Read the instructions of one kernel."""
    lines: list[tuple[str | None, str, str]] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"(\.L\w+):", line):
            labels[label[1]] = len(lines)
        elif found := LINE.match(line):
            lines.append((found[1], found[2], found[3]))
    code = []
    for predicate, opcode, operands in lines:
        to = re.search(r"\((\.L\w+)\)", operands) if opcode.startswith("BRA") else None
        # BRA P1, BRA.DIV: on a condition too.
        operand = re.match(r"!?U?P\d", operands) or opcode.startswith("BRA.DIV")
        target = labels.get(to[1]) if to else None
        code.append(Instruction(bool(predicate or operand), opcode, target))
    return code


class Way(NamedTuple):
    """Instructions on a way through a loop: greater is more arithmetic, then fewer instructions."""

    arithmetic: int
    shortness: int
    before: int  # the instruction that it came from


def way_through(code: list[Instruction], head: int, last: int) -> list[int]:
    """The way from a loop's head to its end, by number: the most arithmetic, then the shortest."""
    ways: dict[int, Way] = {}

    def offer(at: int | None, way: Way) -> None:
        if at is not None and at <= last and (at not in ways or way[:2] > ways[at][:2]):
            ways[at] = way

    offer(head, Way(0, 0, -1))
    for at in range(head, last):
        if at not in ways:
            continue
        instruction = code[at]
        arithmetic, shortness, _ = ways[at]
        so_far = Way(arithmetic + (instruction.base in ARITHMETIC), shortness - 1, at)
        jumps = instruction.base in {"BRA", "EXIT", "RET"}
        if jumps and (instruction.target or 0) > at:
            offer(instruction.target, so_far)
        if not jumps or instruction.predicated:
            offer(at + 1, so_far)
    if last not in ways:
        return []
    trail = [last]
    while (before := ways[trail[-1]].before) >= 0:
        trail.append(before)
    return trail[::-1]


def loops(code: list[Instruction]) -> Iterator[tuple[int, int]]:
    """First and last instruction of each loop."""
    for at, instruction in enumerate(code):
        if instruction.target is not None and instruction.target < at:
            yield instruction.target, at


def count(code: Iterable[Instruction], bases: set[str]) -> int:
    """How many of the instructions are of those kinds."""
    return sum(instruction.base in bases for instruction in code)


def moved_bytes(code: Iterable[Instruction]) -> int:
    """Bytes that a lane loads from and stores to global memory."""
    total = 0
    for instruction in code:
        if instruction.base in {"LD", "LDG", "ST", "STG"}:
            width = re.search(r"\.(64|128)\b", instruction.opcode)
            total += int(width[1]) // 8 if width else 4
    return total


# Figures


@dataclass(frozen=True)
class Figures:
    """A kernel's costs; those of a cell are 0 where it has none."""

    kernel: Kernel
    resources: Resources
    local: int
    warps: int
    occupancy: float
    instructions: float = 0
    per_dimension: float = 0
    shuffles: float = 0
    bytes: float = 0
    clocks: float = 0
    bound: str = ""

    @property
    def operations(self) -> int:
        """Of a cell, as arithmetic has them, whatever the machine makes of it."""
        return OPERATIONS[self.kernel.costs, self.kernel.metric]

    def cells_per_second(self, clock: float) -> float:
        """With every lane at work."""
        return MULTIPROCESSORS * SCHEDULERS * LANES * clock / self.clocks


def measure_step(figures: Figures, code: list[Instruction]) -> Figures:
    """Add the figures of a cell."""
    kernel = figures.kernel
    cells = kernel.rows * kernel.columns
    found = []
    for head, last in loops(code):
        if count(code[head : last + 1], {"SHFL"}):
            way = way_through(code, head, last)
            found.append((count((code[at] for at in way), ARITHMETIC), head - last, way))
    arithmetic, _, way = max(found, default=(0, 0, []))
    # A minimum is two comparisons in float64, which are not counted as arithmetic.
    if arithmetic < 2 * cells:
        raise MeasureError(f"{kernel}: no step loop with {cells} cells found")
    # The loop over dimensions, which the compiler may have unrolled.
    dimensions, inside, step = 0, [], [code[at] for at in way]
    for start, end in loops(code):
        loop = [code[at] for at in way_through(code, start, end)]
        passes = round(count(loop, ARITHMETIC) / cells / (1 if kernel.metric == "cosine" else 2))
        if way[0] < start and end < way[-1] and passes > dimensions:
            dimensions, inside = passes, loop
            step = [code[at] for at in way if not start <= at <= end]
    dimensions = max(1, dimensions)

    def each(of_step: int, of_loop: int) -> float:
        return (of_step + of_loop / dimensions) / cells

    def half_rate(part: list[Instruction]) -> int:
        return sum(i.base not in ELSEWHERE | FLOAT64 for i in part)

    limits = {
        "issue": each(len(step), len(inside)),
        "integer units": 2 * each(half_rate(step), half_rate(inside)),
        "float64 units": 2 * each(count(step, FLOAT64), count(inside, FLOAT64)),
    }
    bound = max(limits, key=lambda name: limits[name])
    return replace(
        figures,
        instructions=limits["issue"],
        per_dimension=each(0, len(inside)),
        shuffles=each(count(step, {"SHFL"}), 0),
        bytes=each(moved_bytes(step), moved_bytes(inside)),
        clocks=limits[bound],
        bound=bound,
    )


def measure_scan(figures: Figures, code: list[Instruction]) -> Figures:
    """Add the figures of a column in a pass over a row."""
    columns = figures.kernel.columns
    found = []
    for head, last in loops(code):
        way = [code[at] for at in way_through(code, head, last)]
        stores, arithmetic = count(way, {"ST", "STS", "STG"}), count(way, ARITHMETIC)
        if stores >= columns and arithmetic >= 2 * columns and count(way, {"REDUX"}):
            found.append((len(way), way))
    if not found:
        raise MeasureError(f"{figures.kernel}: no loop over {columns} columns found")
    length, way = min(found, key=lambda loop: loop[0])
    return replace(
        figures,
        instructions=length / columns,
        shuffles=count(way, {"SHFL", "REDUX"}) / columns,
        bytes=moved_bytes(way) / columns,
    )


def measure(report: str, disassembly: str, architecture: int) -> list[Figures]:
    """The figures of every kernel of one source."""
    code = read_code(disassembly)
    out = []
    for symbol, resources in read_report(report).items():
        if symbol not in code:
            raise MeasureError(f"{symbol} is in the report and not in the disassembly")
        kernel = demangle(symbol)
        threads = THREADS_PER_BLOCK[kernel.template]
        warps = resident_warps(resources.registers, architecture, threads)
        figures = Figures(
            kernel,
            resources,
            count(code[symbol], LOCAL),
            warps,
            warps / RESIDENT[architecture][0],
        )
        if kernel.is_lattice:
            figures = measure_step(figures, code[symbol])
        elif kernel.is_scan:
            figures = measure_scan(figures, code[symbol])
        out.append(figures)
    return sorted(out, key=lambda figures: figures.kernel)


# Predictions


# What a step takes besides where the last lane's column waits in memory for the first lane's next
# block, in instructions; counted by hand.
BY_MEMORY = 20


def steps(
    n: int, m: int, reach: int | None, columns: int, rows: int, lanes: int
) -> tuple[int, bool]:
    """Schedule of cuda/warping_schedule.cuh, for a band or none: steps, and whether by memory."""
    blocks = math.ceil(m / columns)

    def top(block: int) -> int:
        if reach is None:
            return 0
        return min(n, max(0, block * columns - reach - max(0, m - n))) // rows

    def bottom(block: int) -> int:
        first = n if reach is None else (block + 1) * columns + reach + max(0, n - m)
        return math.ceil(min(n, first) / rows)

    rolling = all(
        block + lanes >= blocks or bottom(block) < top(block + lanes) + lanes
        for block in range(blocks)
    )
    shift = 0
    for first in range(0, blocks - lanes, lanes):
        wait = bottom(first + lanes - 1) - top(first + lanes) + 1
        shift += lanes if rolling else max(wait, lanes + 2)
    return shift + (blocks - 1) % lanes + bottom(blocks - 1), blocks > lanes and not rolling


class Prediction(NamedTuple):
    """Of many pairs, cut for so many lanes."""

    clocks: float  # of a scheduler, for a pair
    lanes: int
    steps: int


def predict_pair(figures: Figures, n: int, m: int, reach: int | None, lanes: int) -> Prediction:
    """By instructions, or by cache lines where few lanes share a pair.

    A multiprocessor's cache gives one line a clock, and each group of lanes has lines of its own.
    """
    kernel = figures.kernel
    taken, by_memory = steps(n, m, reach, kernel.columns, kernel.rows, lanes)
    issued = figures.clocks * kernel.rows * kernel.columns + BY_MEMORY * by_memory
    lines = LANES / lanes * kernel.rows * (3 if by_memory else 1)
    return Prediction(taken * max(issued, SCHEDULERS * lines) * lanes / LANES, lanes, taken)


def predict(figures: Figures, pairs: int, n: int, m: int, reach: int | None) -> str:
    """Time and rate of many pairs by the best number of lanes."""
    tile = figures.kernel.rows * figures.kernel.columns
    cells = n * m
    if reach is not None:
        past = reach + max(0, m - n) + 1
        before = reach + max(0, n - m)
        cells = sum(min(m, i + past) - max(0, i - before) for i in range(n))
    best = min(predict_pair(figures, n, m, reach, lanes) for lanes in (1, 2, 4, 8, 16, 32))
    wanted = cells / (best.steps * best.lanes * tile)
    slow, fast = (
        pairs * best.clocks / (MULTIPROCESSORS * SCHEDULERS * clock) for clock in CLOCKS_HZ
    )
    return (
        f"{best.lanes} lanes a pair, {best.steps} steps, {wanted:.0%} of whose cells are wanted: "
        f"{fast * 1e3:.1f}–{slow * 1e3:.1f} ms, "
        f"{pairs * cells / slow / 1e12:.2f}–{pairs * cells / fast / 1e12:.2f} Tcells/s"
    )


# Of 208 problems of noise, whose scans are counted by test_assignment_kernels.cpp: rows as they are
# solved, passes over rows for each row, the kernel and the columns of its thread.
ASSIGNMENTS = (
    ("208 problems of 300 × 100", 100, 1.45, "assign_by_warp", 10),
    ("208 problems of 300 × 300", 300, 5.46, "assign_by_warp", 10),
    ("208 problems of 300 × 600", 300, 2.04, "assign_by_block", 6),
)
# Clocks that a pass waits: for a row from the first-level cache at best, from memory at worst; and
# for what it reads and reduces in turn (docs/performance.md).
WAITS = (150, 1000)
# The longest problem of 208, to the mean.
LONGEST = 1.3


def predict_assignment(figures: Figures, rows: int, scans: float) -> str:
    """Time of the longest problem, each on a scheduler of its own."""
    instructions = figures.instructions * figures.kernel.columns
    fast, slow = (
        LONGEST * rows * scans * (instructions + wait) / clock
        for wait, clock in zip(WAITS, reversed(CLOCKS_HZ), strict=True)
    )
    return (
        f"{rows * scans:.0f} passes over rows of {instructions:.0f} instructions and one wait for "
        f"memory each: {fast * 1e3:.2f}–{slow * 1e3:.2f} ms"
    )


CASES = (
    ("200,000 pairs of 1024 frames", 200_000, 1024, 1024, None),
    ("the same, `window=102`", 200_000, 1024, 1024, 102),
    ("one series of 128 frames against 1,000,000", 1_000_000, 128, 128, None),
)


def predictions(all_figures: list[Figures]) -> list[str]:
    """One line for each case, in float32 and squared differences."""
    out = []
    for title, pairs, n, m, reach in CASES:
        wanted = Kernel("warp_pairs", "float32", "UnivariateCosts", "sqeuclidean")
        wide = [
            f
            for f in all_figures
            if f.kernel._replace(rows=0, columns=0) == wanted._replace(windowed=reach is not None)
        ]
        best = max(wide, key=lambda f: f.kernel.columns)
        out.append(f"- {title}: {predict(best, pairs, n, m, reach)}.")
    for title, rows, scans, template, each in ASSIGNMENTS:
        (solver,) = (
            f for f in all_figures if f.kernel == Kernel(template, "float32", columns=each)
        )
        out.append(f"- {title}: {predict_assignment(solver, rows, scans)}.")
    return out


# The document


HEADER = (
    "kernel",
    "registers",
    "warps per SM",
    "occupancy",
    "instructions per cell",
    "per dimension",
    "shuffles per cell",
    "bytes per cell",
    "operations per cell",
    "bound by",
    "predicted Tcells/s on an H200",
    "measured on a GPU",
)


def row(figures: Figures) -> list[str]:
    """One row of the table, but for what was measured."""
    common = [
        str(figures.kernel),
        str(figures.resources.registers),
        str(figures.warps),
        f"{figures.occupancy:.0%}",
    ]
    if figures.kernel.is_scan:
        of_column = [f"{figures.instructions:.2f}", "", f"{figures.shuffles:.3f}"]
        return [*common, *of_column, f"{figures.bytes:.2f}", *[""] * 3]
    if not figures.kernel.is_lattice:
        return [*common, *[""] * 7]
    low, high = (figures.cells_per_second(clock) / 1e12 for clock in CLOCKS_HZ)
    return [
        *common,
        f"{figures.instructions:.2f}",
        f"{figures.per_dimension:.2f}" if figures.per_dimension else "",
        f"{figures.shuffles:.3f}",
        f"{figures.bytes:.2f}",
        str(figures.operations),
        figures.bound,
        f"{low:.2f}–{high:.2f}",
    ]


def read_table(document: str) -> dict[str, list[str]]:
    """The recorded rows by kernel."""
    _, begin, rest = document.partition(BEGIN)
    inside, end, _ = rest.partition(END)
    if not begin or not end:
        raise MeasureError(f"docs/performance.md: expected {BEGIN} and {END}")
    rows = (line.strip().strip("|").split("|") for line in inside.splitlines() if "|" in line)
    return {cells[0].strip(): [cell.strip() for cell in cells] for cells in rows}


def write_table(document: str, all_figures: list[Figures], notes: list[str]) -> str:
    """The document with the table of these figures, and notes; what was measured stays."""
    recorded = read_table(document)
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    for figures in all_figures:
        cells = row(figures)
        measured = recorded.get(cells[0], [""])[-1]
        lines.append("| " + " | ".join([*cells, measured]) + " |")
    if notes:
        lines += ["", *notes]
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}" + rest.split(END)[1]


def problems(all_figures: list[Figures], recorded: dict[str, list[str]] | None) -> Iterator[str]:
    """What must not be: in words, with the kernel and the figure."""
    for figures in all_figures:
        resources, name = figures.resources, str(figures.kernel)
        if resources.spills:
            yield f"{name}: {resources.spills} bytes of spills"
        if resources.stack:
            yield f"{name}: a stack frame of {resources.stack} bytes"
        if figures.local:
            yield f"{name}: {figures.local} instructions on local memory"
        if recorded is None or not (figures.kernel.is_lattice or figures.kernel.is_scan):
            continue
        if name not in recorded:
            yield f"{name}: not in docs/performance.md; run with --write"
            continue
        limit = float(recorded[name][HEADER.index("instructions per cell")])
        # Half a unit of the last digit that the table shows.
        if figures.instructions > limit + 0.005:
            yield f"{name}: {figures.instructions:.2f} instructions per cell, recorded {limit:.2f}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if something is worse than recorded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="refresh the table of the document")
    parser.add_argument("--architecture", type=int, default=90, choices=sorted(RESIDENT))
    options = parser.parse_args(arguments)
    if options.write and options.architecture != 90:
        parser.error("the document has the table of architecture 90")
    sources = sorted((ROOT / "cuda").rglob("*.cu"))
    try:
        with ThreadPoolExecutor() as pool:
            outputs = list(
                pool.map(lambda s: compile_and_disassemble(s, options.architecture), sources)
            )
        all_figures = [f for output in outputs for f in measure(*output, options.architecture)]
        made_by = f"By {compiler(options.architecture)}."
        notes = [made_by, "", *predictions(all_figures)]
        document = DOCUMENT.read_text(encoding="utf-8")
        if options.write:
            document = write_table(document, all_figures, notes)
            DOCUMENT.write_text(document, encoding="utf-8")
        recorded = read_table(document) if options.architecture == 90 else None
    except MeasureError as error:
        print(error, file=sys.stderr)
        return 1
    table = [list(HEADER[:-1]), *map(row, all_figures)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)))
    print(*notes, sep="\n")
    found = list(problems(all_figures, recorded))
    if found and recorded is not None and made_by not in document:
        found.append(f"{made_by} The table is of another compiler, whose counts may differ.")
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
