"""One line per model: its word, its number and where to look, from levels that are made for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sigmascope.reports.compare import Band
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.summary import level_word, standings, summary

from . import synthetic


@pytest.fixture(scope="module")
def report() -> Report:
    return assemble([synthetic.run()])


def levels(*changes: str, unclear: int = 0) -> pd.DataFrame:
    verdicts = ["fail" if change == "worse" else "pass" for change in changes] + ["inconclusive"] * unclear
    return pd.DataFrame({"change": [*changes, *["same"] * unclear], "verdict": verdicts})


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (levels("same", "worse"), "worse"),
        (levels("better", "worse", unclear=1), "mixed"),
        (levels("same", "better"), "better"),
        (levels("same", "same"), "same"),
        (levels("same", unclear=1), "unclear"),
        (levels("better", unclear=1), "unclear"),
        (levels(), "not measured"),
    ],
)
def test_the_word_is_what_the_levels_say(table: pd.DataFrame, word: str) -> None:
    assert level_word(table) == word


def test_the_worst_model_comes_first_with_the_level_of_its_largest_ratio(report: Report) -> None:
    first = standings(report)[0]
    assert (first.model, first.word) == ("digits-regressed", "worse")
    assert "better nowhere" in first.text
    own = next(one for one in report.comparisons if one.candidate == first.model)
    assert first.level == int(own.levels["level"].iloc[int(np.argmax(own.levels["ratio"]))])
    assert [one.model for one in standings(report)] == summary(report)["model"].tolist()


def test_line_and_table_say_the_same_number(report: Report) -> None:
    line, row = standings(report)[0], summary(report).iloc[0]
    assert f"{row['mean there, 95%']} on average at sigma {row['worst band, sigma']}" in line.text
    assert row["worst level"].split(" at ")[0] in line.note


def test_what_is_better_at_other_levels_is_mixed_and_says_how_much(report: Report) -> None:
    own = next(one for one in report.comparisons if one.candidate == "digits-regressed")
    table = own.levels.copy()
    table.loc[table.index[-2:], ["change", "ratio"]] = ["better", 0.25]
    other = replace(own, levels=table)
    line = standings(replace(report, comparisons=(other,)))[0]
    assert line.word == "mixed"
    assert f"better at 2 of {len(table)} levels (down to −75%)" in line.text


def test_two_worse_bands_are_counted(report: Report) -> None:
    own = next(one for one in report.comparisons if one.candidate == "digits-regressed")
    further = Band(own.candidate, 10.0, 20.0, 1.05, 1.02, 1.08)
    line = standings(replace(report, comparisons=(replace(own, bands=(*own.bands, further)),)))[0]
    many = int((own.levels["change"] == "worse").sum())
    assert f"worse at {many} of {len(own.levels)} levels" in line.text
