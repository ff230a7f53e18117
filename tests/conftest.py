"""Settings of every test: hypothesis is derandomised; real data is a fixture, skipped where absent."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("circa", derandomize=True, deadline=None, print_blob=False)
settings.load_profile("circa")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of trained networks and real images beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the trained networks and images are not part of the repository")
    return folder
