"""Sparse matrices as arguments: pairs that are not stored are forbidden, stored zeros are costs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._arrays import NUMPY, Array, compute_dtype, to_numpy
from ._batch import Batch
from ._validate import GivenLengths, require_matrix, require_no_lengths

#: What native code reads: starts, indices, values, rows, columns, whether the lines are columns.
Compressed = tuple[Array, Array, Array, int, int, bool]


@dataclass(frozen=True, slots=True)
class SparseBatch(Batch):
    """One sparse matrix, or a list of them: `data` as the user gave it, `values` as floats."""

    values: list[Array] = field(default_factory=list)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The matrices' common dtype."""
        return compute_dtype(*self.values)

    def item(self, index: int) -> Any:
        """Return one matrix."""
        return self.data[index]

    def compressed(self, dtype: np.dtype[Any]) -> Compressed | list[Compressed]:
        """Return the matrices as native code takes them; copied only to convert."""
        items = [
            (
                *_indices(item),
                np.ascontiguousarray(values, dtype),
                *item.shape,
                item.format == "csc",
            )
            for item, values in zip(self.data, self.values, strict=True)
        ]
        return items if self.is_batch else items[0]

    def dense(self, filler: float) -> Batch:
        """Return the matrices as dense ones, with `filler` at the pairs that are not stored."""
        matrices = []
        for item, values in zip(self.data, self.values, strict=True):
            item.check_format()
            lines = np.repeat(np.arange(len(item.indptr) - 1), np.diff(item.indptr))
            at = (lines, item.indices[: len(lines)])
            at = at[::-1] if item.format == "csc" else at
            matrix = np.zeros(item.shape, values.dtype)
            np.add.at(matrix, at, values[: len(lines)])
            is_stored = np.zeros(item.shape, bool)
            is_stored[at] = True
            matrix[~is_stored] = filler
            matrices.append(matrix)
        return Batch(self.name, matrices, self.lengths, self.kind, self.is_batch, self.ndims)


def _indices(item: Any) -> tuple[Array, Array]:
    narrow = item.indptr.dtype == item.indices.dtype == np.int32
    dtype = np.int32 if narrow else np.int64
    return np.ascontiguousarray(item.indptr, dtype), np.ascontiguousarray(item.indices, dtype)


def is_sparse(obj: object) -> bool:
    """Whether an object is a sparse matrix of SciPy's, which is not imported to find out."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(obj))


def holds_sparse(obj: object) -> bool:
    """Whether an argument is a sparse matrix, or a list with one in it."""
    return is_sparse(obj) or (isinstance(obj, (list, tuple)) and any(map(is_sparse, obj)))


def take_sparse(obj: Any, name: str, *lengths: GivenLengths) -> SparseBatch:
    """Check a sparse matrix or a list of them; there are no padded batches to take lengths."""
    is_batch = not is_sparse(obj)
    require_no_lengths(lengths, name, "a list" if is_batch else "one matrix")
    taken, values = [], []
    for i, item in enumerate(obj if is_batch else [obj]):
        item_name = f"{name}[{i}]" if is_batch else name
        if not is_sparse(item):
            raise TypeError(
                f"{item_name}: expected a sparse matrix like the other items, "
                f"got {type(item).__name__}"
            )
        if item.format not in ("csr", "csc", "coo"):
            raise TypeError(
                f"{item_name}: expected a sparse matrix in CSR, CSC or COO format, "
                f"got {type(item).__name__}; pass {item_name}.tocsr()"
            )
        if item.ndim != 2:
            raise ValueError(f"{item_name}: expected a 2-D array, got shape {item.shape}")
        require_matrix(item.shape, item_name, 0)
        costs = to_numpy(item.data, item_name)[0]
        if item.format == "coo":
            # As floats, so that integers which add up do not overflow.
            item = type(item)((costs, (item.row, item.col)), shape=item.shape).tocsr()
            costs = item.data
        taken.append(item)
        values.append(costs)
    rows, columns = (np.array([item.shape[axis] for item in taken], np.int64) for axis in (0, 1))
    return SparseBatch(
        name, taken, (rows, columns), NUMPY, is_batch, [2] * len(taken), values=values
    )
