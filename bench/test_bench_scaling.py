"""Time against size, of whoever gets through a family in time."""

from typing import Any

import pytest

from cases_scaling import LIMIT, SUITE
from contest import Case, Contender

pytestmark = pytest.mark.filterwarnings("ignore")

left: set[tuple[str, str]] = set()


@pytest.mark.parametrize(("case", "contender"), SUITE.parameters())
def test_scaling(case: Case, contender: Contender, benchmark: Any) -> None:
    runner = (case.name.partition(", n = ")[0], contender.name)
    if runner in left:
        pytest.skip("would take too long")
    SUITE.compete(case, contender, benchmark)
    # Time grows at least as the number of costs does, and sizes double.
    if 4 * benchmark.stats.stats.median > LIMIT:
        left.add(runner)
