from typing import Final

from ._config import show_config
from ._errors import ConvergenceWarning, DeviceError, InfeasibleError, Status
from .assignment import (
    Assignment,
    RankedAssignments,
    assign,
    assign_top_k,
    linear_sum_assignment,
)
from .barycenter import SinkhornBarycenter, sinkhorn_barycenter
from .ctc import CTCPosteriors, ctc_forward_backward, ctc_loss
from .decoding import CTCBeams, CTCDecoding, ctc_beam_search, ctc_greedy
from .export import plot_alignment, spans_to_seconds, to_ctm, to_textgrid
from .forced_alignment import CTCAlignment, ctc_align
from .gaussian import GaussianBarycenter, gaussian_barycenter, wasserstein_gaussian
from .monotonic import MonotonicAlignment, monotonic_alignment
from .ngram import NGram, read_arpa
from .one_dimension import wasserstein_1d
from .partial import PartialTransport, partial_transport
from .soft_warping import SoftWarping, soft_dtw, soft_dtw_cdist, soft_dtw_divergence
from .streaming import CTCBeamStream, CTCGreedyStream
from .subsequence import Subsequences, dtw_subsequence
from .transport import (
    Transport,
    sinkhorn,
    sinkhorn_divergence,
    sinkhorn_divergence_points,
    sinkhorn_points,
)
from .warping import StepPattern, Warping, dtw, dtw_cdist, itakura, rabiner_juang, slanted
from .warping_barycenter import WarpingBarycenter, dtw_barycenter, soft_dtw_barycenter
from .warping_search import Neighbors, dtw_nearest

__all__ = [
    "Assignment",
    "CTCAlignment",
    "CTCBeamStream",
    "CTCBeams",
    "CTCDecoding",
    "CTCGreedyStream",
    "CTCPosteriors",
    "ConvergenceWarning",
    "DeviceError",
    "GaussianBarycenter",
    "InfeasibleError",
    "MonotonicAlignment",
    "NGram",
    "Neighbors",
    "PartialTransport",
    "RankedAssignments",
    "SinkhornBarycenter",
    "SoftWarping",
    "Status",
    "StepPattern",
    "Subsequences",
    "Transport",
    "Warping",
    "WarpingBarycenter",
    "assign",
    "assign_top_k",
    "ctc_align",
    "ctc_beam_search",
    "ctc_forward_backward",
    "ctc_greedy",
    "ctc_loss",
    "dtw",
    "dtw_barycenter",
    "dtw_cdist",
    "dtw_nearest",
    "dtw_subsequence",
    "gaussian_barycenter",
    "itakura",
    "linear_sum_assignment",
    "monotonic_alignment",
    "partial_transport",
    "plot_alignment",
    "rabiner_juang",
    "read_arpa",
    "show_config",
    "sinkhorn",
    "sinkhorn_barycenter",
    "sinkhorn_divergence",
    "sinkhorn_divergence_points",
    "sinkhorn_points",
    "slanted",
    "soft_dtw",
    "soft_dtw_barycenter",
    "soft_dtw_cdist",
    "soft_dtw_divergence",
    "spans_to_seconds",
    "to_ctm",
    "to_textgrid",
    "wasserstein_1d",
    "wasserstein_gaussian",
]

__version__: Final[str]
