"""Progress of calls that can take minutes: a tqdm bar, or the caller's own function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = bool | Callable[[int, int], Any]


@contextmanager
def reporter(progress: Progress, total: int, what: str) -> Iterator[Callable[[int], None] | None]:
    """Yield a function to be told how much is done, or None when nobody listens.

    Work that ends without an exception is reported as wholly done; of no work nothing is reported.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress: expected a bool or f(done, total), got {progress!r}")
    if progress is False or progress is None or total == 0:
        yield None
    elif progress is True:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError('progress=True needs tqdm: pip install "coalign[progress]"') from None
        with tqdm(total=total, desc=what) as bar:
            yield lambda done: bar.update(done - bar.n)
            bar.update(total - bar.n)
    else:
        call = progress
        yield lambda done: call(done, total)
        call(total, total)
