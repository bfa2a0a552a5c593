"""Alignment primitives: which part of this goes with which part of that?"""

from . import _core
from ._config import show_config
from ._errors import DeviceError, InfeasibleError, Status
from .assignment import (
    Assignment,
    RankedAssignments,
    assign,
    assign_top_k,
    linear_sum_assignment,
)
from .warping import Warping, dtw, dtw_cdist, slanted

__all__ = [
    "Assignment",
    "DeviceError",
    "InfeasibleError",
    "RankedAssignments",
    "Status",
    "Warping",
    "assign",
    "assign_top_k",
    "dtw",
    "dtw_cdist",
    "linear_sum_assignment",
    "show_config",
    "slanted",
]

__version__ = _core.version
