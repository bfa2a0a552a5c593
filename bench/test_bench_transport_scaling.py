"""Time of transport against epsilon and size, with every answer checked."""

from typing import Any

import pytest

from cases_transport_scaling import SUITE
from contest import Case, Contender

# Peers warn while they are imported and compiled; what we time is not the place to judge it.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("case", "contender"), SUITE.parameters())
def test_transport_scaling(case: Case, contender: Contender, benchmark: Any) -> None:
    error, _, allowed = SUITE.compete(case, contender, benchmark)
    assert (error <= allowed).all()
