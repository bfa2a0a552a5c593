"""What the kernel objects hold: code of one instruction set, under names of that set alone.

Where two objects define one inline function the linker keeps either, and the one from the wider set
would then run on every CPU. So a kernel object defines no global symbol outside its namespace, and
runs nothing when the library is loaded, before the CPU has been asked.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETS = ("v2", "v3", "v4")
# The one that CMake chooses, so that ccache knows the objects of a wheel.
COMPILER = "c++"


def tool(name: str) -> str | None:
    """Find a program beside the interpreter, where its package puts it, or on the path."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=beside) or shutil.which(name)


TOOLS = {name: tool(name) for name in ("cmake", COMPILER, "nm", "objdump")}
MISSING = [name for name, path in TOOLS.items() if path is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.system() != "Linux" or platform.machine() != "x86_64",
        reason="the instruction sets are those of x86-64, and the objects ELF",
    ),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]


def run(name: str, *arguments: object) -> str:
    command = [TOOLS[name] or name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def objects() -> dict[str, list[Path]]:
    """Build the kernels as a release has them: every object of each instruction set."""
    build = ROOT / "build" / "objects"
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if (ninja := tool("ninja")) else []
    run(
        "cmake",
        *("-S", ROOT, "-B", build, *generator),
        *(f"-DCMAKE_CXX_COMPILER={TOOLS[COMPILER]}", "-DCMAKE_BUILD_TYPE=Release"),
        *("-DCOALIGN_PYTHON=OFF", "-DCOALIGN_NATIVE_TESTS=OFF", "-DCOALIGN_WERROR=ON"),
    )
    run("cmake", "--build", build, "--target", "coalign_native")
    return {name: sorted(build.glob(f"CMakeFiles/*_kernels_{name}.dir/**/*.o")) for name in SETS}


def global_symbols(path: Path) -> list[str]:
    """Mangled names that the object defines for others: strong, weak and unique ones."""
    lines = run("nm", "--extern-only", "--defined-only", path).splitlines()
    return [line.split()[-1] for line in lines if line]


def outside(symbols: Iterable[str], name: str) -> list[str]:
    """Pick the symbols outside the set's namespace; tables and guards count as what they serve."""
    inside = re.compile(rf"_Z(T[VTIS]|GV)?N[VK]*7coalign{len(name)}{name}\w")
    return [symbol for symbol in symbols if not inside.match(symbol)]


def initialisers(path: Path) -> list[str]:
    """Name the sections and functions of the object that run when it is loaded."""
    sections = re.findall(
        r"\s(\.(?:init_array|preinit_array|ctors)\S*)", run("objdump", "-h", path)
    )
    return sections + re.findall(r"_GLOBAL__sub_I_\w+", run("nm", path))


def registers(path: Path) -> set[str]:
    """Tell the kinds of vector registers that the object's code names: x, y, z."""
    return set(re.findall(r"%([xyz])mm\d", run("objdump", "-d", "--no-show-raw-insn", path)))


@pytest.mark.parametrize("name", SETS)
def test_every_global_symbol_lies_in_the_namespace_of_its_set(
    objects: dict[str, list[Path]], name: str
) -> None:
    assert objects[name]
    for path in objects[name]:
        symbols = global_symbols(path)
        assert symbols, path
        assert outside(symbols, name) == [], path


@pytest.mark.parametrize("name", SETS)
def test_no_kernel_object_has_a_static_initialiser(
    objects: dict[str, list[Path]], name: str
) -> None:
    assert objects[name]
    assert [found for path in objects[name] for found in initialisers(path)] == []


def test_each_set_uses_vectors_of_its_width_and_none_wider(objects: dict[str, list[Path]]) -> None:
    used = {name: {kind for path in objects[name] for kind in registers(path)} for name in SETS}
    assert used["v2"] == {"x"}
    assert used["v3"] - {"x"} == {"y"}
    assert "z" in used["v4"]


def compile_source(folder: Path, source: str) -> Path:
    (folder / "bad.cpp").write_text(source)
    path = folder / "bad.o"
    run(COMPILER, "-std=c++20", "-O2", "-march=x86-64-v3", "-c", folder / "bad.cpp", "-o", path)
    return path


@pytest.mark.parametrize(
    ("source", "leaked"),
    [
        ("int add(int a, int b) { return a + b; }", ["_Z3addii"]),
        ("namespace coalign { int width = 8; }", ["_ZN7coalign5widthE"]),
        ("namespace coalign::v2 { int width = 8; }", ["_ZN7coalign2v25widthE"]),
        ("namespace coalign::v33 { int width = 8; }", ["_ZN7coalign3v335widthE"]),
        ('extern "C" void kernel() {}', ["kernel"]),
        (
            "template <class T> [[gnu::noinline]] T twice(T a) { return a + a; }\n"
            "namespace coalign::v3 { float four(float a) { return twice(twice(a)); } }",
            ["_Z5twiceIfET_S0_"],
        ),
        ("namespace coalign::v3 { int width = 8; struct A { virtual ~A(); }; A::~A() {} }", []),
    ],
)
def test_a_symbol_outside_the_namespace_is_seen(
    tmp_path: Path, source: str, leaked: list[str]
) -> None:
    symbols = global_symbols(compile_source(tmp_path, source))
    assert symbols
    assert outside(symbols, "v3") == leaked


def test_a_static_initialiser_is_seen(tmp_path: Path) -> None:
    source = "int ask(); namespace coalign::v3 { int answer = ask(); }"
    found = initialisers(compile_source(tmp_path, source))
    assert ".init_array" in found
    assert any(name.startswith("_GLOBAL__sub_I_") for name in found)
    assert initialisers(compile_source(tmp_path, "namespace coalign::v3 { int answer = 1; }")) == []


def test_a_wider_vector_is_seen(tmp_path: Path) -> None:
    source = (
        "typedef float V __attribute__((vector_size(32)));\n"
        "namespace coalign::v3 { void add(V* a, const V* b) { *a += *b; } }"
    )
    assert registers(compile_source(tmp_path, source)) == {"y"}


@pytest.mark.parametrize(
    ("compiler", "release"), [("GNU", "11.4.0"), ("Clang", "17.0.6"), ("MSVC", "19.40")]
)
def test_a_compiler_that_lacks_what_the_lanes_need_is_refused(
    compiler: str, release: str, tmp_path: Path
) -> None:
    ninja = tool("ninja")
    command = [
        *(TOOLS["cmake"] or "cmake", "-S", ROOT, "-B", tmp_path),
        *(["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []),
        *("-DCMAKE_CXX_COMPILER_ID_RUN=1", "-DCMAKE_CXX_COMPILER_FORCED=1"),
        *(f"-DCMAKE_CXX_COMPILER_ID={compiler}", f"-DCMAKE_CXX_COMPILER_VERSION={release}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert f"expected GCC 12, clang 18, Apple clang 17 or later, got {compiler} {release}" in said
