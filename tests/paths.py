"""Where the checkout is, and the data beside it that tests may use where it is there."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
