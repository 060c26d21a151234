"""The errors of this toolkit, under one base; see `costmodel.errors` for the others."""


class CostModelError(Exception):
    """Something the user can mend: one line that says what was wrong, where, and what to do.

    A message names a parameter of the function that was called as `name` or `name=value` between backticks; the
    command line shows the option of that name in its place.
    """


class ModelError(CostModelError):
    """A model, mechanism, weight file or size that the user can mend."""
