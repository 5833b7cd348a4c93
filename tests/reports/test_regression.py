"""What got lost against a baseline: by the model's own errors, in the sampler's steps, or nothing; with numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from sigmascope.reports.model_or_solver import Answer, Culprit, of_setting
from sigmascope.reports.regression import in_steps, lost

SIGMAS = np.array([0.1, 0.3, 1.0, 3.0, 10.0])


def answer(name: str, model: list[float], sampler: list[float], steps: int = 20, culprit: Culprit = "both") -> Answer:
    """Sizes by level, and by interval between neighbouring levels."""
    levels = pd.DataFrame({"sigma": SIGMAS, "size": model, "because": "calibration slope"})
    ends = {"sigma": SIGMAS[:0:-1], "sigma_next": SIGMAS[-2::-1]}
    intervals = pd.DataFrame({**ends, "size": sampler, "low": sampler, "high": sampler})
    total, setting = sum(sampler), {"model": name, "sampler": "heun", "steps": steps, "grid": "karras", "guidance": ""}
    moved = float(np.trapezoid(model, np.log(SIGMAS)))
    return Answer(setting, culprit, moved, total, 0.99 * total, 1.01 * total, levels, intervals)


FLAT, BUMP = [0.02] * 5, [0.02, 0.02, 0.12, 0.02, 0.02]
BASE = answer("base", FLAT, [0.02] * 4)


def test_a_model_that_errs_more_is_blamed_with_the_band() -> None:
    own = answer("new", BUMP, [0.02] * 4)
    first, why = lost([own, BASE], "new", "base")
    # flat: 0.02 ln 100 = 9.2%; a triangle of 0.1 over two intervals of ln 3.33 and ln 3 adds 0.05 ln 10 = 11.5%
    assert "comes from the model: its proven errors move samples by 21% of the data's spread instead of 9.2%" in first
    assert first.endswith("most at sigma 1.0.")
    assert "lose no more than before (8.0%, 8.0% in base)" in why


def test_steps_that_lose_more_where_the_model_does_are_the_models_doing_too() -> None:
    near, far = [0.02, 0.06, 0.02, 0.02], [0.06, 0.02, 0.02, 0.02]  # from 10 down: the second ends at 1, in the band
    assert "its field is rougher there" in lost([answer("new", BUMP, near), BASE], "new", "base")[1]
    said = lost([answer("new", BUMP, far), BASE], "new", "base")[1]
    assert "its field is rougher there" not in said
    assert "its steps follow the model's paths less well" in said


def test_coarse_steps_that_dominate_in_both_are_said_to_do_so() -> None:
    pairs = [answer(name, sizes, [0.2] * 4, 5, "the sampler") for name, sizes in (("new", BUMP), ("base", FLAT))]
    first, why = lost([*pairs, answer("new", BUMP, [0.02] * 4), BASE], "new", "base")
    assert "comes from the model" in first
    assert "the sampler's steps are the larger error in both alike (80%, 80% in base)" in why


def test_steps_that_pass_over_the_models_errors_are_told() -> None:
    coarse = [answer(name, sizes, [0.2] * 4, 5) for name, sizes in (("new", BUMP), ("base", FLAT))]
    over = [replace(one, intervals=one.intervals[one.intervals["sigma"] != 1.0]) for one in coarse]
    said = "With heun, 5 steps (karras) no step begins or ends at those levels"
    assert said in lost(over, "new", "base")[1]
    assert said not in lost(coarse, "new", "base")[1]


def test_only_the_steps_lose_more() -> None:
    first, why = lost([answer("new", FLAT, [0.05] * 4), BASE], "new", "base")
    assert "comes from the sampler's steps: with heun, 20 steps (karras) they move samples by 20%" in first
    assert "did not grow: 9.2%, 9.2% in base" in why


def test_nothing_lost_and_nothing_to_compare() -> None:
    better = answer("new", [0.01] * 5, [0.02] * 4)
    assert "by no more than base does" in lost([better, BASE], "new", "base")[0]
    assert lost([BASE], "base", "base") == ("", "")
    assert lost([answer("new", FLAT, [0.1] * 4, steps=7), BASE], "new", "base") == ("", "")


def test_one_settings_steps_against_the_baselines() -> None:
    near = [0.02, 0.06, 0.02, 0.02]
    own, coarse = answer("new", BUMP, near), answer("new", BUMP, [0.2] * 4, 5)
    (said,) = in_steps([own, coarse, BASE, answer("base", FLAT, [0.2] * 4, 5)], own.steps, "base")
    assert said.startswith(
        "new: the sampler's steps move samples by 12% instead of 8.0% in base, most in the step over"
    )
    assert "sigma 1.0–3.0 (6.0% instead of 2.0%), just where the model's errors grew" in said
    alone = answer("other", FLAT, near)
    (said,) = in_steps([alone, BASE], alone.steps, "base")
    assert said.endswith("with the same sampler: its steps follow the model's paths less well."), (
        "its model is the baseline's"
    )
    assert in_steps([answer("new", BUMP, [0.02] * 4), BASE], BASE.steps, "base") == []
    both = in_steps([alone, answer("worst", FLAT, [0.1] * 4), BASE], alone.steps, "base")
    assert [one.split(":")[0] for one in both] == ["worst", "other"]


def test_one_settings_answers_in_a_sentence() -> None:
    many = [answer(f"m{index}", FLAT, [0.2] * 4, culprit="the sampler") for index in range(5)]
    said = of_setting([BASE, *many, answer("m0", FLAT, [0.02] * 4, 5)], BASE.steps)
    assert said.startswith("Mostly the sampler in m0 (sampler 80%, model at least 9.2%), m1")
    assert said.endswith("and 1 more; both alike in base (sampler 8.0%, model at least 9.2%).")
    assert of_setting([BASE], "euler, 5 steps (karras)") == ""
