"""The page of gates and history in its states, and a kept attribution on Compare; without a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from sigmascope.evals import kept
from sigmascope.evals.store import Store
from sigmascope.reports.attribution_document import Subject
from sigmascope.reports.kept import Contender, attribution_of, keep_attribution
from streamlit.testing.v1 import AppTest

from ..reports import hostile, synthetic
from ..reports.test_attribution import made
from .conftest import gate, light
from .test_pages import open_page, opened, words

WEIGHTS = ("a" * 64, "b" * 64)


def told(app: AppTest) -> str:
    """All that stands on the page, its HTML too."""
    return words(app) + "".join(element.proto.body for element in app.main.get("html"))


def test_the_newest_gate_is_shown_with_its_evidence(monkeypatch: pytest.MonkeyPatch, nightly: Path) -> None:
    app = open_page(monkeypatch, nightly, "gates")
    assert not app.exception
    table = app.dataframe[0].value
    assert table["verdict"].tolist() == ["fail", "pass"]
    assert table["candidate"].tolist() == ["nightly-12: model", "nightly-02: model"]
    assert "50% [" in table["worst check"].iloc[0]
    assert app.selectbox(key="gate").value == kept.entries(nightly, kept.GATES)[0].id
    assert "50% [" in told(app)
    assert "sigmascope gate nightly-12" in words(app)


def test_a_link_to_an_older_gate_shows_it_wherever_it_lies(monkeypatch: pytest.MonkeyPatch, nightly: Path) -> None:
    wanted = kept.entries(nightly, kept.GATES)[-1]
    monkeypatch.setattr("sigmascope.dashboards.gates.ROWS", 1)
    app = open_page(monkeypatch, nightly, "gates", gate=wanted.id)
    assert app.selectbox(key="gate").value == wanted.id
    assert "within 2.0% of" in told(app)
    opened(app, "history")
    assert any(urlencode({"gate": wanted.id}) in code.value for code in app.code), "its link keeps it"


def test_gates_are_found_by_verdict_and_run_page_by_page(monkeypatch: pytest.MonkeyPatch, nightly: Path) -> None:
    monkeypatch.setattr("sigmascope.dashboards.gates.ROWS", 1)
    app = open_page(monkeypatch, nightly, "gates")
    assert app.dataframe[0].value["verdict"].tolist() == ["fail"]
    app.number_input(key="gates_page").set_value(2).run()
    assert "pass" in app.dataframe[0].value["verdict"].tolist()
    app.selectbox(key="verdict").select("pass").run()
    assert not app.exception, "there is no second page any more"
    assert app.dataframe[0].value["verdict"].tolist() == ["pass"]
    app.text_input(key="gated").set_value("nowhere").run()
    assert not app.exception
    assert "No gate answers this search" in words(app)
    again = open_page(monkeypatch, nightly, "gates", gates_page="9", verdict="pass")
    assert not again.exception
    assert again.dataframe[0].value["verdict"].tolist() == ["pass"]


def test_only_what_is_shown_is_read(monkeypatch: pytest.MonkeyPatch, nightly: Path, tmp_path: Path) -> None:
    """Ten thousand gates of which all but the newest are rubbish: they are listed by their names."""
    root = tmp_path / "many"
    shutil.copytree(nightly, root)
    early = datetime(2020, 1, 1, tzinfo=UTC)
    for index in range(300):
        kept.keep(root, kept.GATES, "pass", kept.hashed(str(index)), "other", "{", early + timedelta(seconds=index))
    monkeypatch.setattr("sigmascope.dashboards.gates.ROWS", 2)
    app = open_page(monkeypatch, root, "gates")
    assert not app.warning
    assert len(app.dataframe[0].value) == 2
    assert kept.last_verdicts(root) == {"nightly-12": "fail", "nightly-02": "pass", "other": "pass"}


def test_without_gates_the_page_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "gates")
    assert not app.exception
    assert "No gate has been kept here yet" in words(app)
    command = "sigmascope gate digits-0a1b2c3d:digits-regressed --baseline digits-0a1b2c3d:digits-eps"
    assert any(code.value.startswith(command) for code in app.code)


def test_a_file_that_is_no_gate_is_named_and_the_others_shown(
    monkeypatch: pytest.MonkeyPatch, nightly: Path, tmp_path: Path
) -> None:
    root = tmp_path / "broken"
    shutil.copytree(nightly, root)
    whole = json.loads(kept.entries(root, kept.GATES)[0].path.read_text())
    for index, text in enumerate(["{", "[]", json.dumps(whole | {"schema_version": 2})]):
        kept.keep(root, kept.GATES, "pass", kept.hashed(str(index)), "other", text)
    (root / "gates" / "notes.txt").write_text("mine")
    app = open_page(monkeypatch, root, "gates")
    assert not app.exception
    assert len(app.warning) == 3
    assert "schema_version: Input should be 1" in words(app)
    assert app.dataframe[0].value["verdict"].tolist() == ["fail", "pass"]


def test_names_are_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = hostile.JOINED[:70]
    synthetic.write(light("first", models=(f"{name}sound", f"{name}regressed")), tmp_path)
    gate(tmp_path, f"first:{name}sound", f"first:{name}regressed", policy="<script>alert(1)</script>.toml")
    app = open_page(monkeypatch, tmp_path, "gates")
    assert not app.exception
    assert app.dataframe[0].value["verdict"].tolist() == ["fail"]
    bodies = [element.proto.body for element in app.main.get("html")]
    assert any("&lt;script" in body for body in bodies)
    assert not any("<script" in body for body in bodies)


def test_a_gate_of_a_run_that_is_gone(monkeypatch: pytest.MonkeyPatch, nightly: Path, tmp_path: Path) -> None:
    root = tmp_path / "gone"
    shutil.copytree(nightly, root)
    shutil.rmtree(root / "nightly-12")
    app = open_page(monkeypatch, root, "gates")
    assert not app.exception
    assert "The run nightly-12 is not in this folder" in words(app)


def test_history_names_the_change(monkeypatch: pytest.MonkeyPatch, nightly: Path) -> None:
    app = open_page(monkeypatch, nightly, "gates")
    assert "1 change found at 5%" in words(app)
    app.selectbox(key="newest").select(200).run()
    app.select_slider(key="band").set_value((float(synthetic.SIGMAS[3]), float(synthetic.SIGMAS[9]))).run()
    opened(app, "history")
    assert not app.exception
    assert any("--sigma 0.0" in code.value and "--last 200" in code.value for code in app.code)


def test_history_of_one_run(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "gates")
    assert "One run so far" in words(app)
    app.selectbox(key="follow").select("Fréchet distance (digits)").run()
    assert not app.exception
    assert "40 steps" in app.selectbox(key="history_setting").value


def test_runs_that_can_not_be_compared_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for day, data in ((1, "digits"), (2, "others"), (3, "digits")):
        run = light(f"run-{day}", day)
        run.record = run.record.model_copy(update={"fingerprint": {"data": data}})
        synthetic.write(run, tmp_path)
    app = open_page(monkeypatch, tmp_path, "gates", run="run-3")
    assert "1 runs of this folder can't be compared with run-3" in words(app)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A run of two models whose weights have hashes."""
    run = light("pair", models=("base", "digits-regressed"))
    models = [
        model.model_copy(update={"fingerprint": weights})
        for model, weights in zip(run.record.models, WEIGHTS, strict=True)
    ]
    run.record = run.record.model_copy(update={"models": models})
    synthetic.write(run, tmp_path)
    return tmp_path


def contender(weights: str, **changed: object) -> Contender:
    said = {
        "name": "x", "spec": "diffusers:x", "fingerprint": weights, "parameterization": "eps",
        "schedule": "VP(cosine)", "declared": {}, "sampler": "heun",
    }  # fmt: skip
    return Contender.model_validate(said | changed)


def keep_made(root: Path, base: Contender, candidate: Contender) -> None:
    found = made((0.01, 0.81, 0.18), 0.02)
    assert keep_attribution(root, base, candidate, found, Subject("base", "other", {"sampler": "heun"})) is not None


def test_compare_shows_the_attribution_of_these_models(monkeypatch: pytest.MonkeyPatch, pair: Path) -> None:
    keep_made(pair, contender(WEIGHTS[0]), contender(WEIGHTS[1]))
    app = open_page(monkeypatch, pair, "compare")
    assert not app.exception
    assert "81% [79, 83] of the change in Kernel distance (digits) from base to other" in words(app)


@pytest.mark.parametrize(
    "sides",
    [
        lambda: (contender(WEIGHTS[1]), contender(WEIGHTS[0])),
        lambda: (contender(WEIGHTS[0]), contender("c" * 64)),
        lambda: (contender(WEIGHTS[0]), contender(WEIGHTS[1], declared={"dtype": "bfloat16"})),
        lambda: (contender(WEIGHTS[0]), contender(WEIGHTS[1], schedule="VP(linear)")),
        lambda: (contender(WEIGHTS[0]), contender(WEIGHTS[1], parameterization="v")),
        lambda: (contender(WEIGHTS[0]), contender(WEIGHTS[1], sampler="euler")),
        lambda: (contender("", name="base", run="pair"), contender("", name="digits-regressed", run="pair")),
    ],
)
def test_an_attribution_of_other_models_is_not_shown(
    pair: Path, sides: Callable[[], tuple[Contender, Contender]]
) -> None:
    """The other way round, other weights, the same weights used otherwise, another sampler, a model without a hash."""
    keep_made(pair, *sides())
    run = Store(pair).find("pair")
    assert attribution_of(pair, (run, "base"), (run, "digits-regressed")) is None


def test_compare_says_how_to_attribute(monkeypatch: pytest.MonkeyPatch, pair: Path) -> None:
    keep_made(pair, contender(WEIGHTS[1]), contender(WEIGHTS[0]))
    app = open_page(monkeypatch, pair, "compare")
    assert not app.exception
    assert "of the change" not in words(app)
    assert any(code.value.startswith("sigmascope attribute pair:base pair:digits-regressed") for code in app.code)


def test_models_without_a_hash_are_known_by_their_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run = light(name, models=("base", "digits-regressed"))
        models = [model.model_copy(update={"fingerprint": ""}) for model in run.record.models]
        run.record = run.record.model_copy(update={"models": models})
        synthetic.write(run, tmp_path)
    keep_made(tmp_path, contender("", name="base", run="one"), contender("", name="digits-regressed", run="one"))
    one, two = (Store(tmp_path).find(name) for name in ("one", "two"))
    assert attribution_of(tmp_path, (one, "base"), (one, "digits-regressed")) is not None
    assert attribution_of(tmp_path, (two, "base"), (two, "digits-regressed")) is None


def test_the_planted_levels_are_those_marked() -> None:
    """The cells of the verdict strip against what was planted."""
    from sigmascope.reports.report import assemble

    figure = assemble([light("first", models=("base", "digits-regressed"))]).where()
    (signs,) = np.asarray(figure.data[0].text, object)
    assert [sign == "▲" for sign in signs] == synthetic.planted_levels().tolist()
