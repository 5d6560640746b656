"""All findings together, and which of them mean that something cannot work."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SuperLinkError
from ..registry import Entry, Registry
from .devices import Device, find_devices
from .folders import FolderState, check_folders
from .libraries import LibraryState, find_libraries
from .packages import PackageState, find_packages
from .units import size_text

if TYPE_CHECKING:  # they import all of training, which takes seconds
    from ..training import Recipe
    from .memory import RecipeMemory

__all__ = ["Diagnosis", "diagnose"]


@dataclass(frozen=True)
class Diagnosis:
    """What was found."""

    versions: dict[str, str]
    """Of Python, superlink and the distributions of its plugins."""
    packages: list[PackageState]
    """What those ask for in their metadata."""
    devices: list[Device]
    """What a model can run on."""
    plugins: list[Entry]
    """What the plugins declare, and whether it works."""
    libraries: list[LibraryState]
    """What the plugins need at run time."""
    folders: list[FolderState]
    """Where a run writes."""
    recipe: RecipeMemory | None = None
    """What the recipe takes, where one was given."""
    recipe_error: str = ""
    """Why its model cannot be built."""

    def problems(self) -> list[str]:
        """What was asked for and cannot work, with what to do; other findings are none."""
        return [*self._broken_plugins(), *self._unfit_folders(), *self._unfit_recipe()]

    def to_json(self) -> dict[str, Any]:
        """The findings in plain JSON types."""
        return {
            "versions": dict(self.versions),
            "packages": [asdict(package) for package in self.packages],
            "devices": [asdict(device) for device in self.devices],
            "plugins": [entry.to_json() for entry in self.plugins],
            "libraries": [
                asdict(library) | {"needed_by": list(library.needed_by)}
                for library in self.libraries
            ],
            "folders": [asdict(folder) for folder in self.folders],
            "recipe": None if self.recipe is None else self.recipe.to_json(),
            "problems": self.problems(),
        }

    def _broken_plugins(self) -> Iterator[str]:
        for entry in self.plugins:
            if entry.status in ("failed", "conflict"):
                yield f"{entry.kind} {entry.name}: {entry.reason}\n{entry.cure}"

    def _unfit_folders(self) -> Iterator[str]:
        for folder in self.folders:
            if folder.problem and folder.needed:
                yield f"{folder.use}: {folder.problem}\nchoose another folder, or its permissions"

    def _unfit_recipe(self) -> Iterator[str]:
        if self.recipe_error:
            yield f"recipe: {self.recipe_error}"
        (folder,) = (folder for folder in self.folders if folder.use == "checkpoints")
        if self.recipe is None or folder.free_bytes is None:
            return
        if self.recipe.disk_bytes > folder.free_bytes:
            written, free = size_text(self.recipe.disk_bytes), size_text(folder.free_bytes)
            yield (
                f"recipe {self.recipe.name}: a run writes up to {written}, and {folder.path} has "
                f"room for {free}\nchoose another folder with --output"
            )


def diagnose(registry: Registry, checkpoints: Path, recipe: Recipe | None = None) -> Diagnosis:
    """Look at everything.

    Args:
        registry: The plugins.
        checkpoints: Folder that a run would write to; it need not be there.
        recipe: What a run would train.
    """
    entries = registry.entries()
    plugins = {entry.distribution: entry.version for entry in entries}
    versions = {"superlink": metadata.version("superlink"), **plugins}
    memory, error = _measure(recipe, registry)
    return Diagnosis(
        versions={"python": platform.python_version(), **versions},
        packages=find_packages(versions),
        devices=find_devices(),
        plugins=entries,
        libraries=find_libraries(registry),
        folders=check_folders(checkpoints),
        recipe=memory,
        recipe_error=error,
    )


def _measure(recipe: Recipe | None, registry: Registry) -> tuple[RecipeMemory | None, str]:
    if recipe is None:
        return None, ""
    from .memory import recipe_memory

    try:
        return recipe_memory(recipe, registry), ""
    except SuperLinkError as error:
        return None, str(error)
