"""The error that a user of `models` sees: a single line."""


class ModelError(Exception):
    """A model, mechanism, weight file or size that the user can mend."""
