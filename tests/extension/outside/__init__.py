"""What a user might add, one module each: registered on import, through the registries that the docs name."""
