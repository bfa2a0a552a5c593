"""Time against size, of whoever gets through a family in time."""

from typing import Any

import numpy as np
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
    answer, expected, tolerance = SUITE.compete(case, contender, benchmark)
    np.testing.assert_allclose(answer, expected, rtol=tolerance, atol=0)
    # Time grows at least as the number of costs does, and sizes double.
    if 4 * benchmark.stats.stats.median > LIMIT:
        left.add(runner)
