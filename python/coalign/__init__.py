"""Alignment primitives: which part of this goes with which part of that?"""

from importlib.metadata import version as _version

from ._config import show_config
from ._errors import DeviceError, InfeasibleError, Status
from .warping import Warping, dtw, dtw_cdist, slanted

__all__ = [
    "DeviceError",
    "InfeasibleError",
    "Status",
    "Warping",
    "dtw",
    "dtw_cdist",
    "show_config",
    "slanted",
]

__version__ = _version("coalign")
