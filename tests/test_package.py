"""The package as a whole: what it imports, what it shows, and what it says of itself."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import doctest
import importlib
import importlib.resources
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from contextvars import ContextVar
from importlib.metadata import requires, version
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import coalign
from coalign import _core, _device
from coalign._result import Result

OPTIONAL = ("scipy", "tqdm", "matplotlib", "torch", "cupy", "jax", "sklearn", "pandas", "numba")


def run_python(code: str) -> str:
    """What code prints in a fresh interpreter."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


# Imports


def test_importing_asks_for_no_optional_package() -> None:
    code = f"""
import sys

class Watch:
    asked = set()

    def find_spec(self, name, path=None, target=None):
        self.asked.add(name.split(".")[0])

sys.meta_path.insert(0, Watch())
import coalign
from coalign._result import Result
coalign.dtw([0.0, 1.0], [0.0])
coalign.dtw_cdist([[0.0, 1.0]])
coalign.assign([[0.0, 1.0]], max_cost=float("inf")).gap([[0.0, 1.0]])
coalign.linear_sum_assignment([[0.0, 1.0]])
coalign.show_config("dicts")
assert "coalign" in Watch.asked and "numpy" in Watch.asked
print(sorted(Watch.asked & set({OPTIONAL})))
"""
    assert run_python(code).strip() == "[]"


@pytest.mark.slow
def test_importing_is_quick() -> None:
    code = """
import time, numpy
start = time.process_time()
import coalign
from coalign._result import Result
print(time.process_time() - start)
"""
    # The machine may be busy: the quickest of a few, and none of the time that others had.
    assert min(float(run_python(code)) for _ in range(5)) < 0.150


# Names


def modules() -> list[ModuleType]:
    """The package and its Python modules."""
    names = [info.name for info in pkgutil.iter_modules(coalign.__path__)]
    wanted = [name for name in names if name not in ("__main__", "_core", "_cuda", "demo")]
    assert {"assignment", "warping", "_config", "_validate"} <= set(wanted)
    return [coalign, *(importlib.import_module(f"coalign.{name}") for name in wanted)]


def test_public_names_are_all_there_is() -> None:
    assert set(dir(coalign)) == {*coalign.__all__, "__version__"}
    assert coalign.__all__ == sorted(coalign.__all__)
    assert len(set(coalign.__all__)) == len(coalign.__all__)
    assert all(getattr(coalign, name) is not None for name in coalign.__all__)


def test_public_modules_are_those_of_public_names() -> None:
    public = {module.__name__.rpartition(".")[2] for module in modules()} - {"coalign"}
    public = {name for name in public if not name.startswith("_")}
    assert public == {name for name in vars(coalign)["_NAMES"] if not name.startswith("_")}
    run_python(f"import coalign; assert all(getattr(coalign, name) for name in {sorted(public)})")


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((importlib.resources.files("coalign") / "__init__.pyi").read_text())
    seen = {
        node.module: tuple(alias.name for alias in node.names)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level == 1
    }
    assert seen == vars(coalign)["_NAMES"]
    (listed,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert listed == coalign.__all__


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    code = """
import sys
import coalign
assert not {"coalign.assignment", "coalign.decoding"} & set(sys.modules)
assert coalign.assign([[1.0]]).total == 1.0
assert "assign" in vars(coalign) and "coalign.decoding" not in sys.modules
from coalign import *
assert dtw([0.0], [1.0]).cost == 1.0
try:
    coalign.allign
except AttributeError as error:
    print(error)
"""
    assert run_python(code).strip() == "module 'coalign' has no attribute 'allign'"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_what_a_module_lists_it_has(module: ModuleType) -> None:
    for name in getattr(module, "__all__", []):
        assert getattr(module, name).__module__.startswith("coalign")
    if not module.__name__.rpartition(".")[2].startswith("_"):
        assert module.__all__
    assert module.__doc__
    assert module.__doc__.splitlines()[0].endswith((".", "?"))


def test_the_version_is_the_installed_ones() -> None:
    assert coalign.__version__ == version("coalign")
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.\w+)?", coalign.__version__)


def test_only_two_packages_are_needed_to_run() -> None:
    needed = [entry for entry in requires("coalign") or [] if "extra ==" not in entry]
    names = {re.match(r"[\w-]+", entry)[0] for entry in needed}  # type: ignore[index]
    assert names == {"numpy", "array-api-compat"}


def test_types_are_installed() -> None:
    package = importlib.resources.files("coalign")
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()
    assert (package / "_cuda.pyi").is_file()


# Results and errors


def public(kind: Callable[[Any], bool]) -> list[Any]:
    """Public objects of one kind."""
    return [value for name in coalign.__all__ if kind(value := getattr(coalign, name))]


INSTANCES = {
    "Assignment": lambda: coalign.assign([[0.0]]),
    "CTCBeams": lambda: coalign.ctc_beam_search([[0.0]]),
    "CTCDecoding": lambda: coalign.ctc_greedy([[0.0]]),
    "CTCPosteriors": lambda: coalign.ctc_forward_backward([[0.0, 0.0]], [1]),
    "CTCAlignment": lambda: coalign.ctc_align([[0.0, 1.0]], [1]),
    "GaussianBarycenter": lambda: coalign.gaussian_barycenter([[0.0]], [[[1.0]]]),
    "MonotonicAlignment": lambda: coalign.monotonic_alignment([[0.0]]),
    "Neighbors": lambda: coalign.dtw_nearest([[0.0]], [[0.0]]),
    "PartialTransport": lambda: coalign.partial_transport([[0.0]], mass=0.5, epsilon=1.0),
    "RankedAssignments": lambda: coalign.assign_top_k([[1.0]], 2),
    "SinkhornBarycenter": lambda: coalign.sinkhorn_barycenter([[1.0]], [[0.0]], epsilon=1.0),
    "SoftWarping": lambda: coalign.soft_dtw([0.0], [0.0], grad=True),
    "StepPattern": lambda: coalign.StepPattern([[(1, 1, 1.0)]]),
    "Subsequences": lambda: coalign.dtw_subsequence([0.0], [1.0]),
    "Transport": lambda: coalign.sinkhorn([[0.0]], epsilon=1.0),
    "Warping": lambda: coalign.dtw([0.0], [1.0]),
    "WarpingBarycenter": lambda: coalign.dtw_barycenter([[0.0]]),
    "itakura": lambda: coalign.itakura(2),
    "slanted": lambda: coalign.slanted(3),
}


def fields_of(kind: type) -> tuple[str, ...]:
    if issubclass(kind, Result):
        return kind._fields
    return tuple(field.name for field in dataclasses.fields(kind))


def test_every_result_is_tried() -> None:
    def has_fields(kind: Any) -> bool:
        return isinstance(kind, type) and (
            issubclass(kind, Result) or dataclasses.is_dataclass(kind)
        )

    assert {kind.__name__ for kind in public(has_fields)} == set(INSTANCES)


@pytest.mark.parametrize("name", INSTANCES)
def test_results_are_frozen_and_have_slots(name: str) -> None:
    instance = INSTANCES[name]()
    assert type(instance).__name__ == name
    assert not hasattr(instance, "__dict__")
    for field in fields_of(type(instance)):
        with pytest.raises(AttributeError):
            setattr(instance, field, None)
    with pytest.raises((AttributeError, TypeError)):
        instance.unknown = 1


def test_windows_are_compared_by_value() -> None:
    assert coalign.slanted(3) == coalign.slanted(np.int64(3)) != coalign.slanted(4)


def test_errors_are_the_kinds_that_callers_catch() -> None:
    assert issubclass(coalign.InfeasibleError, ValueError)
    assert issubclass(coalign.DeviceError, RuntimeError)
    assert not issubclass(coalign.DeviceError, ValueError)
    assert {status.name: status.value for status in coalign.Status} == {
        "OK": 0,
        "NAN": 1,
        "INFEASIBLE": 2,
        "NOT_CONVERGED": 3,
        "PRECISION_LIMIT": 4,
        "INVALID": 5,
    }


def test_check_speaks_for_every_status_that_is_not_ok() -> None:
    warping = coalign.dtw([[[0.0]], [[0.0]]], [[[1.0]], [[0.0]]])
    assert warping.check() is warping
    for status, error in (
        (coalign.Status.INFEASIBLE, coalign.InfeasibleError),
        (coalign.Status.PRECISION_LIMIT, OverflowError),
    ):
        bad = warping.__replace__(status=np.array([0, status], np.int32))
        with pytest.raises(error, match=r"\Aproblem 1: "):
            bad.check()


# The native module and its stub


# Called in the interpreter's own convention, with the arguments of the public functions in order.
FRONT_DOORS = (
    "assign",
    "ctc_align",
    "ctc_forward_backward",
    "ctc_greedy",
    "ctc_loss",
    "dtw",
    "linear_sum_assignment",
    "monotonic_alignment",
    "partial_transport",
    "sinkhorn",
    "sinkhorn_barycenter",
    "sinkhorn_divergence_points",
    "sinkhorn_points",
)


def stub() -> dict[str, ast.stmt]:
    """Top-level statements of the native module's stub, by name."""
    tree = ast.parse((importlib.resources.files("coalign") / "_core.pyi").read_text())
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            # Of overloads the first says what users call.
            found.setdefault(node.name, node)
        elif isinstance(node, ast.AnnAssign):
            assert isinstance(node.target, ast.Name)
            found[node.target.id] = node
        else:
            assert isinstance(node, (ast.Import, ast.ImportFrom))
    return found


def argument_names(arguments: ast.arguments) -> dict[str, list[str]]:
    """Names of arguments, by how they are passed."""
    assert arguments.kwarg is None
    return {
        "positional": [argument.arg for argument in arguments.posonlyargs + arguments.args],
        "keyword": [argument.arg for argument in arguments.kwonlyargs],
        "defaults": [ast.unparse(value) for value in arguments.defaults],
    }


def test_the_stub_has_the_names_of_the_native_module() -> None:
    native = {name for name in vars(_core) if not name.startswith("__")}
    assert set(stub()) == native


def test_the_front_doors_take_the_arguments_of_the_public_functions() -> None:
    for name in FRONT_DOORS:
        given = list(inspect.signature(getattr(coalign, name)).parameters)
        (call,) = (
            node
            for node in ast.walk(ast.parse(inspect.getsource(getattr(coalign, name))))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"_core.{name}"
        )
        assert [ast.unparse(argument) for argument in call.args] == given


def test_the_stub_has_the_signatures_of_the_native_module() -> None:
    functions = {name: node for name, node in stub().items() if isinstance(node, ast.FunctionDef)}
    assert len(functions) >= 5
    checked = 0
    for name, node in functions.items():
        if node.args.vararg is not None or name in FRONT_DOORS:
            continue
        signature = (getattr(_core, name).__doc__ or "").splitlines()[0]
        (native,) = ast.parse(f"def {signature}: ...").body
        assert isinstance(native, ast.FunctionDef)
        assert native.name == name
        assert argument_names(node.args) == argument_names(native.args)
        assert node.returns is not None
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize("name", ["Assignment", "Ragged", "SeriesArray", "Warping"])
def test_the_stub_has_the_classes_of_the_cuda_module(name: str) -> None:
    native = _device.native()
    if native is None:
        pytest.skip("coalign was built without CUDA")
    tree = ast.parse((importlib.resources.files("coalign") / "_cuda.pyi").read_text())
    (node,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    kind = getattr(native, name)
    assert {n for n in vars(kind) if not n.startswith("_")} == {
        child.name if isinstance(child, ast.FunctionDef) else ast.unparse(child).split(":")[0]
        for child in node.body
        if not (isinstance(child, ast.FunctionDef) and child.name.startswith("_"))
    }
    (init,) = (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    arguments = re.findall(r"(\w+): [^,*]", kind.__init__.__doc__.splitlines()[0])
    assert [argument.arg for argument in init.args.kwonlyargs] == arguments[1:]


def test_the_stub_has_the_kinds_of_the_native_module() -> None:
    kinds = {"str": str, "float": float, "int": int, "ContextVar[Any]": ContextVar}
    for name, node in stub().items():
        value = getattr(_core, name)
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases] or ["object"]
            assert bases == [base.__name__ for base in value.__bases__]
        elif isinstance(node, ast.AnnAssign):
            assert type(value) is kinds[ast.unparse(node.annotation)]
        else:
            assert callable(value)


# Docstrings


def documented() -> dict[str, Any]:
    """Public functions, classes and methods, by name."""
    found: dict[str, Any] = {}
    for name in coalign.__all__:
        value = getattr(coalign, name)
        found[name] = value
        if inspect.isclass(value) and not issubclass(value, (Exception, int)):
            for method, member in inspect.getmembers(value, inspect.isfunction):
                if not method.startswith("_"):
                    found[f"{name}.{method}"] = member
    return found


def functions() -> dict[str, Any]:
    return {name: value for name, value in documented().items() if inspect.isfunction(value)}


SECTION = re.compile(r"^(\w[\w ]*)\n(-+)$", re.MULTILINE)


def sections(value: Any) -> dict[str, str]:
    """The text of each section of a numpydoc docstring."""
    text = inspect.getdoc(value) or ""
    heads = list(SECTION.finditer(text))
    assert all(len(head[1]) == len(head[2]) for head in heads)
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {head[1]: text[head.end() : end].strip() for head, end in zip(heads, ends, strict=True)}


def described(section: str) -> list[str]:
    """Names that a section describes, in order: those of its lines that are not indented."""
    lines = [line for line in section.splitlines() if line and not line.startswith(" ")]
    return [name.strip() for line in lines for name in line.split(" : ")[0].split(",")]


def test_there_is_much_to_document() -> None:
    assert {"assign", "Assignment.gap", "dtw", "Warping", "Warping.check"} <= set(documented())


@pytest.mark.parametrize("name", documented())
def test_every_public_docstring_starts_with_a_sentence(name: str) -> None:
    text = inspect.getdoc(documented()[name]) or ""
    first = text.split("\n\n")[0]
    assert re.match(r"[A-Z]", first)
    assert first.endswith(".")


@pytest.mark.parametrize("name", functions())
def test_every_parameter_is_described_in_order(name: str) -> None:
    function = functions()[name]
    parameters = [p for p in inspect.signature(function).parameters if p != "self"]
    assert described(sections(function).get("Parameters", "")) == parameters


@pytest.mark.parametrize("name", functions())
def test_what_a_function_returns_is_described(name: str) -> None:
    function = functions()[name]
    returns = inspect.signature(function).return_annotation
    assert ("Returns" in sections(function)) == (returns not in (None, "None"))


@pytest.mark.parametrize("name", functions())
def test_what_a_function_raises_is_described(name: str) -> None:
    function = functions()[name]
    takes_input = any(p != "self" for p in inspect.signature(function).parameters)
    if takes_input or "raise " in inspect.getsource(function):
        errors = described(sections(function).get("Raises", ""))
        assert errors
        for error in errors:
            kind = getattr(coalign, error, None) or vars(builtins)[error]
            assert issubclass(kind, Exception)


@pytest.mark.parametrize("name", ["ConvergenceWarning", "DeviceError", "InfeasibleError", "Status"])
def test_errors_are_shown_by_their_public_names(name: str) -> None:
    kind = getattr(coalign, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"coalign.{name}"
    assert pickle.loads(pickle.dumps(kind)) is kind


@pytest.mark.parametrize("name", INSTANCES)
def test_every_field_of_a_result_is_described_in_order(name: str) -> None:
    kind = getattr(coalign, name)
    found = sections(kind)
    assert described(found.get("Attributes") or found["Parameters"]) == list(fields_of(kind))


@pytest.mark.parametrize("name", documented())
def test_examples_are_given(name: str) -> None:
    assert ">>> " in sections(documented()[name])["Examples"]


def test_a_method_names_its_source() -> None:
    for function in (coalign.assign, coalign.assign_top_k, coalign.dtw, coalign.dtw_cdist):
        assert re.search(r"\(\d{4}\)", sections(function)["References"])


def test_examples_run() -> None:
    attempted = 0
    for module in modules():
        outcome = doctest.testmod(module, optionflags=doctest.FAIL_FAST)
        assert outcome.failed == 0, f"{module.__name__}: see the captured output"
        attempted += outcome.attempted
    assert attempted >= 40
