"""Backbones that come with superlink; each module is imported when its backbone is built."""
