"""Readers of the field's formats: files in, records out."""
