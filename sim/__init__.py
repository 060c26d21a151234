"""The accelerator simulator; it comes with its own issue and is empty until then."""
