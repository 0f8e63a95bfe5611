"""The libraries that some checks need: asked for when such a check is made, and not before."""

from __future__ import annotations

from importlib import import_module


def need(check: str, library: str, extra: str) -> None:
    """Import the library of a check, so that its absence is noticed where somebody sees it.

    Raises:
        ModuleNotFoundError: it is not installed; the text says how to.
    """
    try:
        import_module(library)
    except ModuleNotFoundError as error:
        package = library.replace("_", "-")
        raise ModuleNotFoundError(
            f"{check} needs {package}: pip install 'heartbeat-exporter[{extra}]'", name=library
        ) from error
