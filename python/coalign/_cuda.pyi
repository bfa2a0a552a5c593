import numpy as np
import numpy.typing as npt

compiler: str
architectures: str

def count_devices() -> tuple[int, str]: ...

class Ragged:
    def __init__(
        self,
        *,
        data: int,
        items: int,
        count: int,
        rows: int,
        columns: int,
        strides: tuple[int, int, int],
        row_lengths: int,
        column_lengths: int,
    ) -> None: ...

class SeriesArray:
    def __init__(self, *, series: Ragged, order: int, bad: int) -> None: ...

class Warping:
    workspace_bytes: int
    pairs_per_launch: int
    columns: int
    lanes: int
    def __init__(
        self,
        *,
        dtype: str,
        metric: str,
        step: str,
        dim: int,
        x: SeriesArray,
        y: SeriesArray,
        all_pairs: bool,
        symmetric: bool,
        order: int,
        window: tuple[str, int],
        rows: int,
        host_rows: npt.NDArray[np.int32] | None,
        max_cost: float,
        cost: int,
        cost_stride: int,
        status: int,
        x_index: int,
        y_index: int,
        path_length: int,
        device: int,
        workspace_bytes: int,
        columns: int,
        lanes: int,
    ) -> None: ...
    def run(self, *, workspace: int, stream: int) -> None: ...

class Assignment:
    workspace_bytes: int
    order: npt.NDArray[np.int64]
    def __init__(
        self,
        *,
        dtype: str,
        costs: Ragged,
        host_rows: npt.NDArray[np.int64] | None,
        host_columns: npt.NDArray[np.int64] | None,
        row_at: int,
        column_at: int,
        cost_at: int,
        maximize: bool,
        limit: float | None,
        col_of_row: int,
        row_of_col: int,
        row_dual: int,
        col_dual: int,
        total: int,
        status: int,
        device: int,
    ) -> None: ...
    def run(self, *, order: int, workspace: int, stream: int) -> None: ...

class CtcBatch:
    def __init__(
        self,
        *,
        frames: Ragged,
        host_frame_counts: npt.NDArray[np.int64],
        host_label_counts: npt.NDArray[np.int64],
        frame_counts: int,
        label_counts: int,
        most_labels: int,
        label_items: int,
        blank: int,
        input: str,
    ) -> None: ...

class Ctc:
    workspace_bytes: int
    offsets: npt.NDArray[np.int64]
    def __init__(
        self,
        *,
        dtype: str,
        batch: CtcBatch,
        reduction: str,
        zero_infinity: bool,
        wants_occupancy: bool,
        loss: int,
        status: int,
        gradient: int,
        gradient_items: int,
        gradient_rows: int,
        gradient_item_stride: int,
        gradient_row_stride: int,
        device: int,
        workspace_bytes: int,
    ) -> None: ...
    def run(self, *, offsets: int, workspace: int, stream: int) -> None: ...

class Monotonic:
    workspace_bytes: int
    problems_per_launch: int
    def __init__(
        self,
        *,
        dtype: str,
        scores: Ragged,
        host_rows: npt.NDArray[np.int64] | None,
        host_columns: npt.NDArray[np.int64] | None,
        row_at: int,
        column_at: int,
        durations: int,
        token_of_frame: int,
        total: int,
        status: int,
        device: int,
        workspace_bytes: int,
    ) -> None: ...
    def run(self, *, workspace: int, stream: int) -> None: ...

class TransportBatch:
    def __init__(
        self,
        *,
        dtype: str,
        row_at: int,
        column_at: int,
        a: tuple[int, int, int],
        b: tuple[int, int, int],
        initial: tuple[int, int, int],
        epsilon: float,
        epsilons: int,
        penalties: tuple[float, float],
        tol: float,
        max_iterations: int,
        f: int,
        g: int,
        cost: int,
        value: int,
        marginal_error: int,
        iterations: int,
        status: int,
        device: int,
        workspace_bytes: int,
    ) -> None: ...

class PointTransport:
    workspace_bytes: int
    problems_per_launch: int
    def __init__(self, *, batch: TransportBatch, x: Ragged, y: Ragged, metric: str) -> None: ...
    def run(self, *, workspace: int, stream: int) -> None: ...

class Transport:
    workspace_bytes: int
    problems_per_launch: int
    def __init__(
        self,
        *,
        batch: TransportBatch,
        costs: Ragged,
        host_rows: npt.NDArray[np.int64] | None,
        host_columns: npt.NDArray[np.int64] | None,
        costs_per_block: int,
    ) -> None: ...
    def run(self, *, workspace: int, stream: int) -> None: ...

class Viterbi:
    workspace_bytes: int
    problems_per_launch: int
    piece: int
    def __init__(
        self,
        *,
        dtype: str,
        batch: CtcBatch,
        wildcard: int | None,
        open_begin: bool,
        open_end: bool,
        frame_at: int,
        label_at: int,
        frame_room: int,
        label_room: int,
        labels: int,
        frame_score: int,
        start: int,
        stop: int,
        token_score: int,
        confidence: int,
        total: int,
        status: int,
        device: int,
        workspace_bytes: int,
    ) -> None: ...
    def run(self, *, workspace: int, stream: int) -> None: ...
