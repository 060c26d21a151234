"""What a transformer costs in hardware, and what changes with its attention.

    import costmodel as cm
    print(cm.count("distilbert"))

`trace`, `count`, `price`, `formula`, `report`, `sweep`, `simulate`, `audit`, `target` and `table` are the
functions of `costmodel.api`. They are imported when they are first used, so that `import costmodel` costs nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"
__all__ = ["audit", "count", "formula", "price", "report", "simulate", "sweep", "table", "target", "trace"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'costmodel' has no attribute {name!r}")
    from costmodel import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Package(ModuleType):
    """Keeps `costmodel.count` the function: to import `costmodel/count.py` would put the module in its place.

    The modules of these names are reached as ever by `from costmodel.count import ...`.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
