"""Which connections leave the machine, as an audit hook of Python sees them."""

from __future__ import annotations

from typing import Any

__all__ = ["foreign_host"]

_LOCAL = frozenset({None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})


def foreign_host(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The other machine that an audit event wants to reach; None where it wants none."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return None
    host = host.decode() if isinstance(host, bytes) else host
    return None if host in _LOCAL else str(host)
