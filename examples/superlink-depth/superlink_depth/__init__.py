"""A task decoder for superlink: [DEPTH]."""
