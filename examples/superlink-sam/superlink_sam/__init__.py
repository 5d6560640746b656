"""Masks for superlink: SAM's mask decoder, prompted by super-link queries."""
