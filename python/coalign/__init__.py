"""Alignment primitives: which part of this goes with which part of that?"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import _core

# The public names of each module. A module is imported when one of its names is first asked for:
# who assigns does not wait for beams and barycenters. Type checkers read __init__.pyi instead.
_NAMES = {
    "_config": ("show_config",),
    "_errors": ("ConvergenceWarning", "DeviceError", "InfeasibleError", "Status"),
    "assignment": (
        "Assignment",
        "RankedAssignments",
        "assign",
        "assign_top_k",
        "linear_sum_assignment",
    ),
    "barycenter": ("SinkhornBarycenter", "sinkhorn_barycenter"),
    "ctc": ("CTCPosteriors", "ctc_forward_backward", "ctc_loss"),
    "decoding": ("CTCBeams", "CTCDecoding", "ctc_beam_search", "ctc_greedy"),
    "export": ("plot_alignment", "spans_to_seconds", "to_ctm", "to_textgrid"),
    "forced_alignment": ("CTCAlignment", "ctc_align"),
    "gaussian": ("GaussianBarycenter", "gaussian_barycenter", "wasserstein_gaussian"),
    "monotonic": ("MonotonicAlignment", "monotonic_alignment"),
    "ngram": ("NGram", "read_arpa"),
    "one_dimension": ("wasserstein_1d",),
    "partial": ("PartialTransport", "partial_transport"),
    "soft_warping": ("SoftWarping", "soft_dtw", "soft_dtw_cdist", "soft_dtw_divergence"),
    "streaming": ("CTCBeamStream", "CTCGreedyStream"),
    "subsequence": ("Subsequences", "dtw_subsequence"),
    "transport": (
        "Transport",
        "sinkhorn",
        "sinkhorn_divergence",
        "sinkhorn_divergence_points",
        "sinkhorn_points",
    ),
    "warping": (
        "StepPattern",
        "Warping",
        "dtw",
        "dtw_cdist",
        "itakura",
        "rabiner_juang",
        "slanted",
    ),
    "warping_barycenter": ("WarpingBarycenter", "dtw_barycenter", "soft_dtw_barycenter"),
    "warping_search": ("Neighbors", "dtw_nearest"),
}

_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULE_OF)

__version__ = _core.version


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
