"""Models, their attention, their tasks and their training. Does not import costmodel."""
