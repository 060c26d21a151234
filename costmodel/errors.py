"""The errors that a user of the toolkit sees, all under `CostModelError`: a single line, exit code 2."""

from models.errors import CostModelError as CostModelError


class UnknownOp(CostModelError):
    """An operator without a lowering or a count rule."""


class BadGraph(CostModelError):
    """A graph or trace that breaks the rules of `Graph.verify`."""


class TraceError(CostModelError):
    """A model that will not run under the tracer."""


class UnknownTable(CostModelError):
    """A cost table that does not exist, or a row that a table lacks."""


class DoesNotFit(CostModelError):
    """A product of which no tile fits a buffer, or an array that its part cannot hold."""


class BadTarget(CostModelError):
    """A target that does not exist, or whose description is wrong."""


class BadRecord(CostModelError):
    """JSON that is no record of the kind that was expected."""
