"""The census of warping: what classifiers, speech, sensors and losses bring, at their sizes.

Every family of `families_warping.py` is there in every kind of work: one pair a call, with its path
or without, of 10 to 500 frames, and of 100,000 in a narrow band; all pairs of a ragged collection,
and one series against many; the nearest series of archives; soft-DTW of a batch, with gradients or
without, at gammas from 0.01 to 10; barycenters. All contenders compute on one thread, and take the
same series in the layout and the dtype that they like best. A path, a neighbour and a barycenter
are judged by their costs, as several may be as good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import coalign
import families_warping
import peers_warping
from cases_soft_warping import tslearn_gradients
from cases_warping import as_dtype, inside, lengths
from cases_warping_functions import (
    ITERATIONS,
    aeon,
    dtaidistance_average,
    dtaidistance_limits,
    silent,
    tslearn,
)
from contest import (
    ONLY_SMALL,
    SELECTED,
    SHORT,
    Contender,
    Counted,
    Data,
    Group,
    PeerFloor,
    Problem,
    Suite,
)

Rows: TypeAlias = NDArray[np.float64]

# Relative to the sizes that the judge gives; peers are held to what they keep.
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
OF_PEERS = {"float64": 1e-10, "float32": 1e-4}
# So many times that is allowed to soft values and slopes, and to the inertia that a descent ends
# with; where paths tie, descents part. Slopes at small gammas lose so many roundings of a value.
OF_SOFT = {"float64": 1e3, "float32": 10.0}
OF_EXPONENTIALS = 64
OF_DESCENTS, OF_TIED_DESCENTS = 1e6, 1e11

LEAST = 1.0
ROWS = "series"
PAIR, PATH, TABLE, NEAREST = "", "path", "tables", "nearest"
SOFT, SLOPE, MEAN = "soft-DTW", "with gradients", "barycenter"
GROUPS = (
    Group(PAIR, "one pair", 2.0, by_size=True),
    Group(PATH, "a pair with its path", 2.0),
    Group(TABLE, "a table", 10.0),
    Group(NEAREST, "a search", 10.0),
    Group(SOFT, "soft-DTW", 5.0),
    Group(SLOPE, "soft-DTW with gradients", 4.0),
    Group(MEAN, "a barycenter", 2.0),
)

# Frames, dtype, and the radius of the window.
Pair: TypeAlias = tuple[int, str, int | None]
# Queries, series in the archive, frames, and the radius of the window.
Archive: TypeAlias = tuple[int, int, int, int | None]
# Whoever keeps the lattice of so many frames is left out.
LONG = 10_000


@dataclass(frozen=True)
class Sizes:
    """How large the cases are.

    Of `ragged` collections: the number of series, the least and the most of frames; of archives the
    number of queries comes first. `many` are the series, and their frames, that one is held
    against; `batch` is (pairs, frames, dimensions), and `means` have (series, frames).
    """

    families: tuple[str, ...]
    pairs: tuple[Pair, ...]
    paths: tuple[Pair, ...]
    archives: tuple[tuple[Archive, str], ...]
    normalised: Archive
    ragged: tuple[int, int, int]
    ragged_archive: tuple[int, int, int, int]
    many: tuple[int, int]
    batch: tuple[int, int, int]
    gammas: tuple[tuple[float, str], ...]
    means: tuple[tuple[int, int], ...]


FULL = Sizes(
    families=tuple(families_warping.FAMILIES),
    pairs=(
        (10, "float64", None),
        (50, "float64", None),
        (50, "float32", None),
        (100, "float64", None),
        (100, "float64", 10),
        (500, "float64", None),
        (500, "float32", None),
        (500, "float64", 50),
        (100_000, "float64", 100),
    ),
    paths=(
        (10, "float64", None),
        (50, "float64", None),
        (100, "float64", 10),
        (500, "float64", None),
        (100_000, "float64", 100),
    ),
    archives=(
        ((10, 50, 24, None), "float64"),
        ((5, 200, 150, None), "float64"),
        ((5, 1000, 100, 10), "float64"),
        ((5, 50, 1000, 50), "float64"),
        ((1, 10_000, 100, 10), "float32"),
    ),
    normalised=(5, 200, 150, 15),
    ragged=(30, 10, 300),
    ragged_archive=(5, 100, 50, 300),
    many=(10_000, 60),
    batch=(32, 100, 16),
    gammas=(
        (0.01, "float64"),
        (0.1, "float64"),
        (1.0, "float64"),
        (1.0, "float32"),
        (10.0, "float64"),
    ),
    means=((10, 50), (50, 100)),
)
SMALL = Sizes(
    families=("random walks", "MFCC, 13 d"),
    pairs=((10, "float64", None), (12, "float32", 2)),
    paths=((10, "float64", None), (12, "float64", 2)),
    archives=(((2, 5, 9, None), "float64"), ((2, 6, 12, 2), "float32")),
    normalised=(2, 5, 12, 2),
    ragged=(4, 5, 9),
    ragged_archive=(2, 4, 5, 9),
    many=(9, 8),
    batch=(3, 10, 4),
    gammas=((0.1, "float64"), (1.0, "float32")),
    means=((4, 10),),
)


@dataclass(frozen=True, eq=False)
class Series(Problem):
    """Collections by name; `count` says what the rate is of, and contenders judge answers."""

    count: Callable[[Data], int] = len

    def arguments(self, instance: Any, dtype: str) -> Data:
        """Give all collections in one dtype, and the options."""
        return {
            **{name: as_dtype(value, dtype) for name, value in instance.items()},
            **self.options,
        }

    def cells(self, data: Data) -> int:
        """Count what the rate is of."""
        return self.count(data)

    def costs(self, data: Data, found: Any) -> Rows:
        """Refuse: every contender of a census judges its own answers."""
        raise NotImplementedError("each contender has costs of its own")

    def verify(self, data: Data, found: Any, rtol: float) -> None:
        """Refuse: every contender of a census judges its own answers."""
        raise NotImplementedError("each contender has costs of its own")


def sized(values: Any, sizes: Any = None) -> Rows:
    """Give answers with the sizes that errors are relative to, by default their own."""
    values = np.asarray(values, np.float64).ravel()
    sizes = np.abs(values) if sizes is None else np.ravel(sizes)
    return np.stack([values, np.broadcast_to(sizes, values.shape)], axis=1)


def counted(
    peer: Contender, work: str, costs: Callable[[Any, Any], Rows] | None = None
) -> Contender:
    """Give a peer that gets series of its dtype, and compiles before it is tried.

    Its answers are those of `costs`, or else relative to themselves.
    """

    def prepare(data: Data) -> Any:
        given = {
            name: as_dtype(value, peer.dtype) if isinstance(value, (np.ndarray, list)) else value
            for name, value in data.items()
        }
        prepared = peer.prepare(given)
        # What a compiler tells apart.
        call = (work, peer.name, *((name, kind_of(value)) for name, value in given.items()))
        if call not in COMPILED:
            COMPILED.add(call)
            peer.load()(prepared)
        return prepared

    def relative(given: Any, found: Any) -> Rows:
        return sized(peer.costs(given, found))

    return replace(peer, prepare=prepare, costs=costs or relative)


COMPILED: set[Any] = set()


def kind_of(value: Any) -> Any:
    """Give the type of an argument, to the dtype and the dimensions of an array."""
    if isinstance(value, np.ndarray):
        return value.ndim, value.dtype.str
    return (list, kind_of(value[0])) if isinstance(value, list) else type(value)


def ours(
    dtype: str,
    solve: Callable[[Any], Any],
    costs: Callable[[Any, Any], Rows],
    prepare: Callable[[Data], Any] = lambda data: data,
) -> Contender:
    """Give coalign."""
    return Contender("coalign", dtype, lambda: solve, costs, prepare, SELECTED)


def case(
    words: str,
    family: str,
    group: str,
    problem: Problem,
    peers: Sequence[Contender],
    own: Contender,
    *,
    size: int = 0,
    instances: int = 3,
) -> Counted:
    """Give a case."""
    return Counted(
        f"{family}, {words}, {own.dtype}",
        problem,
        tuple(peers),
        own=(own,),
        floors={own.dtype: (PeerFloor(LEAST, tuple(peer.name for peer in peers)),)},
        family=family,
        group=group,
        size=size,
        kind=(family, words, own.dtype),
        instances=instances,
    )


# --- one pair ------------------------------------------------------------------------------------


def pair(family: str, frames: int, dtype: str, window: int | None, *, path: bool) -> Counted:
    """Give the case of one pair, with its path or without."""

    def make(seed: int) -> Data:
        x, y = families_warping.series(seed, family, 2, frames)
        return {"x": x, "y": y}

    # A small call takes a microsecond: what surrounds it counts, and so it is not called by name.
    def prepare(data: Data) -> Any:
        return data["x"], data["y"], window

    def cost(given: Any) -> Any:
        return coalign.dtw(given[0], given[1], window=given[2], threads=1).cost

    def indices(given: Any) -> Any:
        found = coalign.dtw(given[0], given[1], window=given[2], path=True, threads=1)
        return found.x_index, found.y_index

    def of_path(given: Any, found: Any) -> Rows:
        x, y, _ = given
        return sized(peers_warping.cost_of_path(x, y, np.stack(found, axis=1)))

    problem = Series(
        make,
        {},
        {},
        coalign.dtw,
        {"window": window},
        count=lambda data: inside(frames, frames, window),
    )
    words = f"one pair of {frames}" + f", band {window}" * bool(window) + ", path" * path
    if path:
        peers = [peers_warping.dtaidistance_path()]
        if frames < LONG:
            peers += [peers_warping.aeon_path(), peers_warping.tslearn_path()]
        own = ours(dtype, indices, of_path, prepare)
    else:
        # The judge computes in float64.
        peers = [peers_warping.dtaidistance_pair(), peers_warping.dtaidistance_pair(prunes=True)]
        peers.append(peers_warping.aeon_pair(dtype))
        if frames < LONG:
            peers.append(peers_warping.tslearn_pair())
        own = ours(dtype, cost, lambda given, found: sized(found), prepare)
    peers = [counted(peer, f"a pair{', path' * path}") for peer in peers]
    size, instances = (0 if path else frames), (1 if frames >= LONG else 3)
    group = PATH if path else PAIR
    return case(words, family, group, problem, peers, own, size=size, instances=instances)


# --- tables and searches -------------------------------------------------------------------------


def tables(dtype: str) -> list[Contender]:
    """Give who computes all pairs of two collections, or of one; the first in float64."""
    return [
        peers_warping.dtaidistance_cdist(),
        peers_warping.aeon_cdist(dtype),
        peers_warping.tslearn_cdist(),
    ]


def cells_of_table(data: Data) -> int:
    """Count the cells of all pairs; within a collection, each pair once."""
    n, m, window = lengths(data, "x"), lengths(data, "y"), data["window"]
    if not m:
        return sum(inside(a, b, window) for k, a in enumerate(n) for b in n[:k])
    if len(set(m)) == 1:
        return sum(inside(a, m[0], window) for a in n) * len(m)
    return sum(inside(a, b, window) for a in n for b in m)


def table(words: str, family: str, dtype: str, make: Callable[[int], Data]) -> Counted:
    """Give the case of all pairs of two collections, or of one, whose diagonal is left out."""

    def solve(data: Data) -> Any:
        return coalign.dtw_cdist(data["x"], data.get("y"), window=None, threads=1)

    def distinct(found: Any) -> Rows:
        found = np.asarray(found, np.float64)
        is_square = found.shape[0] == found.shape[1]
        return sized(found[np.triu_indices(len(found), 1)] if is_square else found)

    def of(peer: Contender) -> Contender:
        return counted(peer, TABLE, lambda given, found: distinct(peer.costs(given, found)))

    problem = Series(make, {}, {}, coalign.dtw_cdist, {"window": None}, count=cells_of_table)
    own = ours(dtype, solve, lambda data, found: distinct(found))
    return case(words, family, TABLE, problem, [*map(of, tables(dtype))], own, instances=1)


def ragged_table(family: str, count: int, shortest: int, longest: int) -> Counted:
    """Give the case of all pairs of a collection of all lengths."""

    def make(seed: int) -> Data:
        return {"x": families_warping.ragged(seed, family, count, shortest, longest)}

    return table(f"all pairs of {count} of {shortest} to {longest}", family, "float64", make)


def one_row(family: str, count: int, frames: int, dtype: str) -> Counted:
    """Give the case of one series against many."""

    def make(seed: int) -> Data:
        made = families_warping.series(seed, family, 1 + count, frames)
        return {"x": made[:1], "y": made[1:]}

    return table(f"one against {count} of {frames}", family, dtype, make)


def search(
    words: str,
    family: str,
    dtype: str,
    window: int | None,
    make: Callable[[int], Data],
    *,
    normalize: bool = False,
) -> Counted:
    """Give the case of the nearest to each query, beside whole tables and dtaidistance's limit."""

    def solve(data: Data) -> Any:
        return coalign.dtw_nearest(
            data["x"], data["y"], window=window, normalize=normalize, threads=1
        )

    def costs(data: Data, found: Any) -> Rows:
        cost, chosen = found.cost[:, 0], found.index[:, 0].tolist()
        if not normalize:
            near = [data["y"][k] for k in chosen]
            paired = coalign.dtw(list(data["x"]), near, window=window).cost
            assert (paired == cost).all(), "a cost that is not that of its index"
        return sized(cost)

    def of(peer: Contender) -> Contender:
        def least(given: Any, found: Any) -> Rows:
            return sized(np.min(peer.costs(given, found), axis=1))

        solver = after_normalising(peer) if normalize else peer
        return counted(solver, NEAREST, least)

    limits = dtaidistance_limits()
    by_limits = replace(
        limits,
        prepare=lambda data: {"queries": data["x"], "database": data["y"], "window": window},
        costs=lambda given, found: limits.costs(given, found)[:, np.newaxis],
    )
    problem = Series(make, {}, {}, coalign.dtw_nearest, {"window": window}, count=cells_of_table)
    words = f"nearest to {words}" + f", band {window}" * bool(window) + ", normalised" * normalize
    peers = [*map(of, [*tables(dtype), by_limits])]
    return case(words, family, NEAREST, problem, peers, ours(dtype, solve, costs), instances=1)


def after_normalising(peer: Contender) -> Contender:
    """Give a peer to whose time that of normalising with NumPy belongs."""

    def standard(series: Any) -> Any:
        deviation = series.std(axis=1, keepdims=True)
        return (series - series.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)

    def load() -> Any:
        solve = peer.load()

        def whole(data: Data) -> Any:
            return solve(peer.prepare({**data, **{side: standard(data[side]) for side in "xy"}}))

        return whole

    return replace(peer, load=load, prepare=lambda data: data)


def archive(
    family: str,
    queries: int,
    count: int,
    frames: int,
    window: int | None,
    dtype: str = "float64",
    *,
    normalize: bool = False,
) -> Counted:
    """Give the case of an archive of series of one length."""

    def make(seed: int) -> Data:
        made = families_warping.series(seed, family, queries + count, frames)
        return {"x": made[:queries], "y": made[queries:]}

    words = f"{queries} among {count} of {frames}"
    return search(words, family, dtype, window, make, normalize=normalize)


def ragged_archive(family: str, queries: int, count: int, shortest: int, longest: int) -> Counted:
    """Give the case of an archive of series of all lengths."""

    def make(seed: int) -> Data:
        made = families_warping.ragged(seed, family, queries + count, shortest, longest)
        return {"x": made[:queries], "y": made[queries:]}

    words = f"{queries} among {count} of {shortest} to {longest}"
    return search(words, family, "float64", None, make)


# --- soft-DTW ------------------------------------------------------------------------------------


def soft(
    family: str, pairs: int, frames: int, dim: int, gamma: float, dtype: str, *, grad: bool
) -> Counted:
    """Give the case of soft-DTW of a batch, or of one pair by itself."""
    alone = pairs == 1

    def make(seed: int) -> Data:
        made = families_warping.series(seed, family, 2 * pairs, frames, dim)
        made = made.reshape(2, pairs, frames, dim)
        return {"x": made[0], "y": made[1]}

    def prepare(data: Data) -> Any:
        return tuple(data[side][0] if alone else data[side] for side in "xy")

    def solve(given: Any) -> Any:
        found = coalign.soft_dtw(given[0], given[1], gamma=gamma, grad=grad, threads=1)
        return (found.value, found.grad_x) if grad else found.value

    def judged(given: Any, found: Any) -> Rows:
        values, slopes = found if grad else (found, ())
        values = np.asarray(values, np.float64).ravel()
        # A value is a cost less gamma times a logarithm of the number of paths.
        made_of = np.abs(values) + gamma * 2 * frames
        rows = [sized(values, OF_SOFT[dtype] * made_of)]
        if grad:
            slopes = np.asarray(slopes, np.float64).reshape(pairs, -1)
            most = np.abs(slopes).max(axis=1) + 1
            # Peers take exponentials of differences of such numbers over gamma.
            lost = OF_EXPONENTIALS * np.finfo(np.float64).eps * made_of / gamma
            allowed = most * np.maximum(OF_SOFT[dtype], lost / TOLERANCE[dtype])
            rows.append(sized(slopes, np.broadcast_to(allowed[:, np.newaxis], slopes.shape)))
        return np.concatenate(rows)

    problem = Series(
        make, {}, {}, coalign.soft_dtw, {"gamma": gamma}, count=lambda data: pairs * frames**2
    )
    first = tslearn_gradients() if grad else peers_warping.tslearn_soft()
    peers = [first, peers_warping.ott_soft("float64", grad=grad)]
    if not grad:
        peers.append(peers_warping.aeon_soft())
    if dtype == "float32":
        peers.append(peers_warping.ott_soft(dtype, grad=grad))
        if grad:
            peers.append(peers_warping.tslearn_on_torch())
    words = "one pair" if alone else f"{pairs} pairs"
    words += f" of {frames} x {dim}, gamma {gamma:g}" + ", gradients" * grad
    group = SLOPE if grad else SOFT
    peers = [counted(peer, group, judged) for peer in peers]
    return case(f"soft {words}", family, group, problem, peers, ours(dtype, solve, judged, prepare))


# --- barycenters ---------------------------------------------------------------------------------


def mean(family: str, count: int, frames: int) -> Counted:
    """Give the case of a barycenter, from the first series on, after so many iterations."""
    slack = OF_TIED_DESCENTS if family in families_warping.TIED else OF_DESCENTS
    average = silent(coalign.dtw_barycenter)

    def make(seed: int) -> Data:
        made = families_warping.series(seed, family, count, frames)
        return {"X": made, "init": made[0]}

    def solve(data: Data) -> Any:
        return average(data["X"], init=data["init"], tol=0, max_iterations=ITERATIONS, threads=1)

    def inertia(data: Data, series: Any) -> Rows:
        """Sum the costs of a series, which has its frames first or last, to all others."""
        shape = data["init"].shape
        centre = np.asarray(series, np.float64)
        centre = centre.T if centre.shape == shape[::-1] else centre
        total = coalign.dtw(np.ascontiguousarray(centre.reshape(shape)), [*data["X"]]).cost.sum()
        return sized(total, slack * total)

    def costs(data: Data, found: Any) -> Rows:
        total = inertia(data, found.series)
        assert abs(found.inertia - total[0, 0]) <= 1e-9 * total[0, 0], "the inertia of another"
        return total

    problem = Series(
        make,
        {},
        {},
        coalign.dtw_barycenter,
        count=lambda data: (ITERATIONS + 1) * count * frames**2,
    )
    peers = [counted(peer, MEAN, inertia) for peer in (tslearn(), aeon(), dtaidistance_average())]
    words = f"barycenter of {count} of {frames}"
    return case(words, family, MEAN, problem, peers, ours("float64", solve, costs))


# --- the list ------------------------------------------------------------------------------------


def of_family(family: str, sizes: Sizes) -> list[Counted]:
    """Give the cases of a family."""
    cases = [pair(family, *size, path=False) for size in sizes.pairs]
    cases += [pair(family, *size, path=True) for size in sizes.paths]
    cases.append(ragged_table(family, *sizes.ragged))
    cases += [one_row(family, *sizes.many, dtype) for dtype in SHORT]
    cases += [archive(family, *size, dtype) for size, dtype in sizes.archives]
    cases.append(archive(family, *sizes.normalised, normalize=True))
    cases.append(ragged_archive(family, *sizes.ragged_archive))
    for grad in (False, True):
        cases += [soft(family, *sizes.batch, *kind, grad=grad) for kind in sizes.gammas]
        cases.append(soft(family, 1, sizes.batch[1], 1, 1.0, "float64", grad=grad))
    return [*cases, *(mean(family, *size) for size in sizes.means)]


def listed(sizes: Sizes) -> Sequence[Counted]:
    """Give every case, family by family."""
    return [case for family in sizes.families for case in of_family(family, sizes)]


SUITE = Suite("warping_census", listed(SMALL if ONLY_SMALL else FULL), TOLERANCE, OF_PEERS)
