"""The repository root is the package: every folder of code is listed, and an installed copy stands alone."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_CODE = {"tests", "benchmarks", "docs", "build", "dist", "examples"}


def test_every_folder_of_code_is_a_listed_package() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {"sigmascope"}
    for init in ROOT.glob("*/**/__init__.py"):
        parts = init.parent.relative_to(ROOT).parts
        if parts[0] not in NOT_CODE and not any(part.startswith(".") or part in NOT_CODE for part in parts):
            found.add(".".join(("sigmascope", *parts)))
    assert listed == found


def test_importing_sigmascope_is_cheap() -> None:
    code = "import sigmascope, sys; sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'streamlit')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_of_ours_do_not_claim_the_users(tmp_path: Path) -> None:
    """A working directory with its own metrics/ and evals/ neither shadows ours nor is shadowed."""
    for name in ("metrics", "evals", "reports"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("mine = True\n")
    code = "import metrics, evals, reports; from sigmascope.metrics import frechet_distance; assert metrics.mine"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_the_wheel_works_from_a_folder_with_the_same_names(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)], check=True, cwd=tmp_path)
    (wheel,) = wheels.glob("*.whl")
    target, work = tmp_path / "site", tmp_path / "work"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    assert sorted(path.name for path in target.iterdir() if path.is_dir() and "dist-info" not in path.name) == [
        "bin",
        "sigmascope",
    ]
    for name in ("metrics", "evals"):
        (work / name).mkdir(parents=True)
        (work / name / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import sigmascope, sigmascope.metrics.intervals;"
        f"assert sigmascope.__file__.startswith({str(target)!r});"
        "from sigmascope.evals.suite import read_suite; from pathlib import Path;"
        "suite = read_suite(Path(sigmascope.__file__).parent / 'fixtures' / 'demo.toml');"
        "assert len(suite.models) == 4;"
        "from sigmascope.metrics.features import load_features; load_features('digits')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=work)
