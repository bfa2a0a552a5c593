"""Every public function keeps every promise, and a function that breaks one is noticed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import coalign
from broken import FAULTS, Fault, release
from coalign import _execution
from contract import FUNCTIONS, ONE_COLLECTION, OTHERS, TWO_COLLECTIONS, document
from promises import PROMISES, Promise, Subject

#: Promises whose check takes more than a second for some function.
SLOW = ("ctrl c",)

#: The parameter that a function has if and only if it does not lack the feature.
PARAMETERS = {
    "threads": "threads",
    "device": "device",
    "out": "out",
    "progress": "progress",
    "lengths": ".*_lengths",
}


def marks_of(promise: str) -> list[Any]:
    return [pytest.mark.slow] if promise in SLOW else []


def cells() -> Iterator[Any]:
    """Each promise of each function, on each instruction set and through each door that matters."""
    for promise in PROMISES:
        marks = marks_of(promise.name)
        for function in FUNCTIONS:
            if promise.excuse(function) is not None:
                continue
            for isa in _execution.available() if promise.is_tried_on_each_isa else (None,):
                for door in ("front", "general") if promise.is_tried_through_each_door else ("",):
                    words = filter(None, (promise.name, function.name, isa, door))
                    subject = Subject(function, isa, door == "general")
                    yield pytest.param(promise, subject, id="-".join(words), marks=marks)


@pytest.mark.parametrize(("promise", "subject"), [*cells()])
def test_the_promise_is_kept(promise: Promise, subject: Subject) -> None:
    promise.check(subject)


@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, id=f"{f.promise}-{f.name}", marks=marks_of(f.promise)) for f in FAULTS],
)
def test_a_function_that_breaks_the_promise_is_noticed(
    fault: Fault, request: pytest.FixtureRequest
) -> None:
    (promise,) = (promise for promise in PROMISES if promise.name == fault.promise)
    request.addfinalizer(release)
    with pytest.raises((Exception, pytest.fail.Exception)) as noticed:
        promise.check(fault.subject())
    assert not isinstance(noticed.value, (NameError, AttributeError))


def test_every_promise_has_been_broken() -> None:
    assert {promise.name for promise in PROMISES} == {fault.promise for fault in FAULTS}


def test_every_public_function_has_a_row() -> None:
    public = {n for n in coalign.__all__ if inspect.isfunction(getattr(coalign, n))}
    assert {function.name.partition("(")[0] for function in FUNCTIONS} == public - {*OTHERS}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_row_says_what_its_function_takes(function: Any) -> None:
    for feature, words in PARAMETERS.items():
        has = any(re.fullmatch(words, name) for name in function.parameters())
        # A row cannot try them on whole collections, but the function has them.
        is_tried_elsewhere = function.lacks.get(feature) in (ONE_COLLECTION, TWO_COLLECTIONS)
        assert has == (is_tried_elsewhere or feature not in function.lacks), feature
    assert {*function.inputs, *function.lengths} <= {*function.parameters()}
    needs = {need for promise in PROMISES for need in promise.needs}
    assert {*function.lacks} <= needs | {"single", "sparse", "gpu"}
    made = Subject(function).problem(0)
    axes = {name: len(letters) for name, letters in function.inputs.items()}
    assert {name: array.ndim for name, array in made.items()} == axes


def test_the_document_is_what_the_table_gives() -> None:
    written = (Path(__file__).parents[1] / "docs/contract.md").read_text()
    assert written == document(), "run `make contract`"
