"""Objects named in text: `module:name`, for the command line and configuration files."""

from __future__ import annotations

import importlib
import traceback
from typing import Any

from peak_observe.errors import LoadError
from peak_observe.resilience.health.registry import HealthCheck
from peak_observe.support.redact import describe

USUAL = ("health_check", "health", "checks")
"""Names under which a registry is looked for in a module that names none."""


def load(target: str) -> Any:
    """Import `module` and return it, or what `module:name` names in it; `name` may have dots.

    Raises:
        LoadError: The module cannot be imported or has no such name.
    """
    module, _, name = target.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise LoadError(target, "it has to be MODULE or MODULE:NAME, for instance mytrader.health")
    found = _module(target, module)
    for part in name.split(".") if name else ():
        if not hasattr(found, part):
            raise LoadError(target, f"{module} has no {name!r}")
        found = getattr(found, part)
    return found


def load_registry(target: str) -> HealthCheck | None:
    """Return the registry that `module:name` names, or one under a usual name in `module`.

    Returns:
        None if the module has no registry of its own; then its checks are in the registry of the process.

    Raises:
        LoadError: The module cannot be imported, or the name is no registry.
    """
    found = load(target)
    if ":" not in target:
        return next((named for name in USUAL if isinstance(named := getattr(found, name, None), HealthCheck)), None)
    if not isinstance(found, HealthCheck):
        raise LoadError(target, f"it is no HealthCheck but {type(found).__name__}")
    return found


def _module(target: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module + ".").startswith(error.name + "."):
            raise LoadError(target, f"no module {error.name!r} is installed or in the working directory") from None
        raise LoadError(target, f"{_place(error)}{describe(error)}") from error
    except BaseException as error:
        # SystemExit too: a module that ends the program when it is imported is as useless as one that raises.
        raise LoadError(target, f"{_place(error)}{describe(error)}") from error


def _place(error: BaseException) -> str:
    """Return where it was raised, as far as that is in a file of the user."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if len(frames) > 1 else ""
