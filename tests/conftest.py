"""Settings of every test: hypothesis is derandomised; real data is a fixture, skipped where absent."""

import subprocess
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
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git does not ignore, as a clone of the next commit would have them."""
    folder = tmp_path_factory.mktemp("clone")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of trained networks and real images beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the trained networks and images are not part of the repository")
    return folder
