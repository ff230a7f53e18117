"""What pip makes of the repository: normal, editable, without a compiler, and from a source archive.

Each install goes to a folder of its own, and Python runs in a folder that has its own `models/` and
`protocols/`: ours must be circa.models and circa.protocols, and never those.
"""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
CHECK = """
import sys
import circa.models, circa.protocols.hash as h, circa.protocols.kernels as k
import numpy as np
import models, protocols
assert models.MINE and protocols.MINE
assert h.__file__.replace("\\\\", "/").endswith("protocols/hash.py"), h.__file__
h.tccr(np.zeros((3, 2), np.uint64), 0)
print("native" if k.native() else "numpy")
"""


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip(*arguments: str | Path, **env: str) -> None:
    offline = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    run(sys.executable, "-m", "pip", *arguments[:1], *offline, *arguments[1:], **env)


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--wheel-dir", folder, clone)
    return next(folder.glob("*.whl"))


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A folder with packages of its own that are called like ours."""
    for name in ("models", "protocols"):
        (tmp_path / "home" / name).mkdir(parents=True)
        (tmp_path / "home" / name / "__init__.py").write_text("MINE = True\n")
    return tmp_path / "home"


def kernels(wheel: Path) -> str:
    """Which kernels an install is to use: what the wheel was built with on this machine."""
    names = zipfile.ZipFile(wheel).namelist()
    return "native" if any(name.startswith("circa/protocols/_kernels.c") for name in names) else "numpy"


def check(site: Path, elsewhere: Path) -> str:
    """Run CHECK with the folder `site` as a site directory, which .pth files of editable installs need."""
    code = f"import site; site.addsitedir({str(site)!r})\n"
    path = os.pathsep.join([str(site), str(elsewhere)])
    return run(sys.executable, "-c", code + CHECK, cwd=elsewhere, PYTHONPATH=path, CIRCA_NATIVE="1").strip()


def test_the_wheel_holds_the_three_trees_and_no_build_files(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"circa"}
    for name in (
        "circa/__init__.py",
        "circa/py.typed",
        "circa/protocols/hash.py",
        "circa/models/__init__.py",
    ):
        assert names.count(name) == 1
    assert not [name for name in names if "native/" in name]


def test_a_normal_install(wheel, elsewhere, tmp_path):
    pip("install", "--target", tmp_path / "site", wheel)
    assert check(tmp_path / "site", elsewhere) == kernels(wheel)


def test_an_editable_install(clone, wheel, elsewhere, tmp_path):
    pip("install", "--target", tmp_path / "site", "--editable", clone)
    assert check(tmp_path / "site", elsewhere) == kernels(wheel)


def test_an_install_without_a_compiler(clone, elsewhere, tmp_path):
    """The build fails, is tried again without CMake, and installs what NumPy can do."""
    broken = {"CXX": "/nonexistent/c++", "SKBUILD_BUILD_DIR": str(tmp_path / "build")}
    pip("install", "--target", tmp_path / "site", clone, **broken)
    assert not list((tmp_path / "site").rglob("_kernels*.so"))
    assert check(tmp_path / "site", elsewhere) == "numpy"


def test_a_source_archive(clone, wheel, elsewhere, tmp_path):
    """It holds what a build needs: a wheel made from the archive alone works."""
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, clone)
    archive = next(tmp_path.glob("*.tar.gz"))
    with tarfile.open(archive) as members:
        assert not [name for name in members.getnames() if ".so" in name or "/circa/protocols" in name]
    pip("install", "--target", tmp_path / "site", archive)
    assert check(tmp_path / "site", elsewhere) == kernels(wheel)
