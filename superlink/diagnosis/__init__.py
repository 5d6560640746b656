"""What this machine has, what is missing, and what a recipe will take."""

from .devices import Device, find_devices
from .folders import FolderState, check_folders
from .libraries import LibraryState, find_libraries, install_lines
from .packages import PackageState, find_packages
from .report import Diagnosis, diagnose

__all__ = [
    "Device",
    "Diagnosis",
    "FolderState",
    "LibraryState",
    "PackageState",
    "check_folders",
    "diagnose",
    "find_devices",
    "find_libraries",
    "find_packages",
    "install_lines",
]
