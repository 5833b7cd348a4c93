"""A suite is refused whole, with every problem named, before anything is loaded."""

from pathlib import Path

import pytest
from sigmascope.errors import ConfigError
from sigmascope.evals.suite import read_suite, seed_range

GOOD = """
schema = 1
name = "s"
[data]
source = "images"
[[models]]
name = "a"
spec = "diffusers:a"
[sampling]
samplers = ["euler"]
steps = [4]
"""


def read(folder: Path, text: str):
    path = folder / "s.toml"
    path.write_text(text)
    return read_suite(path)


def test_defaults(tmp_path: Path) -> None:
    suite = read(tmp_path, GOOD)
    assert suite.baseline_name == "a"
    assert suite.sampling is not None
    assert suite.sampling.grids == ["karras"]
    assert suite.probes is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema: .*1.*got 2"),
        ('name = "s"', 'name = "s"\ncolour = 3', "colour: unknown key"),
        ('name = "s"', 'name = "../s"', "name: "),
        ('name = "s"', 'name = "s"\nseed = -1', "seed: .*greater than or equal to 0, got -1"),
        ("steps = [4]", "steps = [0]", r"sampling.steps.0: .*got 0"),
        ("steps = [4]", "steps = []", r"sampling.steps: "),
        ("steps = [4]", "steps = [4, 4]", r"sampling.steps: expected distinct entries, got 4 more than once"),
        ("steps = [4]", 'steps = [4]\nseeds = "0-99999999999999999999"', "seeds: expected FIRST-LAST"),
        ("steps = [4]", 'steps = [4]\nseeds = "5"', "metrics need at least two samples, got '5'"),
        ("steps = [4]", 'steps = [4]\nseeds = "9-3"', r"seeds: expected FIRST-LAST"),
        ("steps = [4]", 'steps = [4]\nmetrics = ["fidd"]', "unknown metric 'fidd'.*frechet_distance"),
        ("steps = [4]", 'steps = [4]\ngrids = ["karas"]', "did you mean 'karras'"),
        ("steps = [4]", 'steps = [4]\nfeatures = "klip"', "unknown feature network 'klip'"),
        ('"euler"', '"eulr"', r"sampling.samplers.0: unknown sampler 'eulr' \(did you mean 'euler'\?\)"),
        ('"euler"', '"diffusers:NoScheduler"', "unknown diffusers scheduler 'NoScheduler'"),
        ("diffusers:a", "difusers:a", "unknown model loader 'difusers'"),
        ("diffusers:a", "a", "expected SCHEME:LOCATION"),
        ('name = "s"', 'name = "s"\nbaseline = "b"', "baseline: expected one of a, got 'b'"),
        (
            "[sampling]",
            '[[models]]\nname = "a"\nspec = "diffusers:b"\n[sampling]',
            "distinct names, got a more",
        ),
        ('[sampling]\nsamplers = ["euler"]\nsteps = [4]', "", "nothing to run"),
        ("[sampling]", "[probes]\nsigma_min = 3\nsigma_max = 2\n[sampling]", "sigma_min < sigma_max"),
        ("[sampling]", "[probes]\nuse = ['calibraton']\n[sampling]", "did you mean 'calibration'"),
        ("[data]", "[data", "expected a suite in TOML"),
    ],
)
def test_every_mistake_says_where_and_what_was_expected(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, GOOD.replace(old, new))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD.replace('"euler"', '"eulr"').replace("[4]", "[0]"))
    assert "eulr" in str(caught.value)
    assert "steps.0" in str(caught.value)


def test_seed_range() -> None:
    assert list(seed_range("3-5")) == [3, 4, 5]
    assert list(seed_range("7")) == [7]
