"""The native kernels built with the address and undefined-behaviour sanitizers, under all of their tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
COMPILER = os.environ.get("CXX", "c++")


def runtime(name: str) -> str:
    """Where the compiler keeps a sanitizer's run-time library; it must be loaded before Python."""
    path = subprocess.run(
        [COMPILER, f"-print-file-name={name}"], capture_output=True, text=True
    ).stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"{COMPILER} has no {name}")
    return path


def run(*command: str | Path, **env: str) -> str:
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **env}, cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def sanitized(clone, tmp_path_factory) -> dict[str, str]:
    """An installation with the instrumented module, and the environment in which Python can load it."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"no compiler {COMPILER}")
    preload = f"{runtime('libasan.so')} {runtime('libubsan.so')}"
    folder = tmp_path_factory.mktemp("sanitized")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    options = ("-Ccmake.define.CIRCA_SANITIZE=ON", f"-Cbuild-dir={folder / 'build'}")
    run(*pip, *options, "--target", folder / "site", clone)
    module = next((folder / "site").rglob("_kernels*.so"))
    assert b"__asan_init" in module.read_bytes()
    return {
        "PYTHONPATH": str(folder / "site"),
        "LD_PRELOAD": preload,
        # the interpreter's own leaks are not ours; a fault must end the process
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }


def test_every_kernel_is_clean(sanitized):
    names = (
        "test_kernels.py",
        "test_ring.py",
        "test_ring_requests.py",
        "test_conv.py",
        "linear/test_samplers.py",
        "ot/test_native_ot.py",
    )
    tests = [ROOT / "tests" / "protocols" / name for name in names]
    options = ("-c", ROOT / "pyproject.toml", "-q", "-p", "no:cacheprovider")
    out = run(sys.executable, "-m", "pytest", *options, *tests, **sanitized)
    assert " passed" in out
    assert " skipped" not in out


def test_the_sanitizer_would_see_an_overflow(sanitized):
    """Reading one byte past an allocation of NumPy's ends the process: its memory is watched."""
    code = (
        "import ctypes, numpy as np\n"
        "a = np.zeros(1000, np.uint8)\n"
        "ctypes.memmove(a.ctypes.data, a.ctypes.data, 1001)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **sanitized}, capture_output=True)
    assert b"heap-buffer-overflow" in done.stderr
    assert done.returncode != 0
