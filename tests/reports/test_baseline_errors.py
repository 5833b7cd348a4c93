"""A baseline's per-image errors at a path or a URL: pairs as with the run, and nothing believed but the hash."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from sigmascope.errors import ConfigError, StoreError
from sigmascope.evals.store import Store
from sigmascope.reports.baseline import accept, as_text, gate_pair, read_baseline
from sigmascope.reports.baseline_errors import write_errors
from sigmascope.reports.decide import decide
from sigmascope.reports.policy import Policy
from sigmascope.reports.verdicts import Outcome

from . import synthetic

POLICY = Policy.model_validate(
    {"gate": [{"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.02}}]}
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that is accepted, in a store of its own, and in another the candidate: 0.1% worse in a band."""
    root = tmp_path_factory.mktemp("stores")
    for folder, factor in (("accepted", 1.0), ("candidates", 1.001)):
        run = synthetic.run({"m": "eps"}, f"digits-{folder}")
        errors = run.tables["evaluations"].copy()
        errors.loc[synthetic.planted_levels()[errors["level"]], "error"] *= factor
        kept = {"evaluations": errors, "levels": synthetic.levels(errors)}
        none = {name: run.tables[name].head(0) for name in ("metrics", "samples")}
        run.tables = {**run.tables, **none, **kept}
        run.record = run.record.model_copy(update={"cells": []})
        synthetic.write(run, root / folder)
    return root


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def accepted(runs: Path, place: str, folder: Path) -> Path:
    """A baseline file in `folder` whose errors lie at `place`."""
    path, run = folder / "main.json", Store(runs / "accepted").find("digits-accepted")
    kept = accept(run, "first", write=partial(write_errors, place, path, run.id))
    path.write_text(as_text(kept))
    return path


def gated(runs: Path, baseline: Path) -> Any:
    return decide(gate_pair(Store(runs / "candidates"), str(baseline), "digits-candidates"), POLICY)


@pytest.mark.parametrize("place", ["memory://kept/baselines", "memory://kept/errors.parquet", "file", "path"])
def test_errors_elsewhere_pair_as_the_run_itself_would(runs: Path, memory: Any, tmp_path: Path, place: str) -> None:
    """A change of 0.1% within a margin of 2% passes in pairs, with the very bounds that the run at hand gives."""
    place = {"file": f"file://{tmp_path}/far", "path": str(tmp_path / "beside")}.get(place, place)
    path = accepted(runs, place, tmp_path)
    decision = gated(runs, path)
    assert decision.verdict.outcome is Outcome.PASS
    assert "unpaired" not in decision.verdict.checks[0].evidence
    assert not any("unpaired" in said for said in decision.report.conditions)
    both = [Store(runs / "accepted").find("digits-accepted"), Store(runs / "candidates").find("digits-candidates")]
    expected = decide(both, POLICY).report.comparisons[0].levels
    pd.testing.assert_frame_equal(decision.report.comparisons[0].levels, expected)


def test_a_file_is_named_by_its_content_and_a_path_is_relative_to_the_baseline(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "baselines").mkdir()
    monkeypatch.chdir(tmp_path)
    path = accepted(runs, "errors", Path("baselines"))
    kept = read_baseline(path).errors
    assert kept is not None
    (file,) = (tmp_path / "errors").iterdir()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (file.name, kept.sha256) == (f"digits-accepted-{digest[:16]}.parquet", digest)
    assert kept.place == f"../errors/{file.name}"
    monkeypatch.chdir(runs)
    assert gated(runs, tmp_path / path).verdict.outcome is Outcome.PASS
    monkeypatch.chdir(tmp_path)
    assert read_baseline(accepted(runs, "errors", Path("baselines"))).errors == kept, "the same errors, the same file"


def changed(content: bytes) -> bytes:
    """As many bytes, one of them another."""
    return content[:-1] + bytes([content[-1] ^ 1])


def other(content: bytes) -> bytes:
    """A good table with one error another."""
    table = pd.read_parquet(io.BytesIO(content))
    table.loc[3, "error"] = np.nextafter(table.loc[3, "error"], np.inf)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


@pytest.mark.parametrize("tamper", [changed, other, lambda content: content[:-1], lambda content: content + b"x"])
def test_a_tampered_file_is_an_error(runs: Path, memory: Any, tmp_path: Path, tamper: Callable[[bytes], bytes]) -> None:
    path = accepted(runs, "memory://kept/errors.parquet", tmp_path)
    memory.pipe_file("/kept/errors.parquet", tamper(memory.cat_file("/kept/errors.parquet")))
    with pytest.raises(StoreError, match="expected the accepted errors"):
        gated(runs, path)
    assert StoreError.exit_code == 3


def test_a_file_of_other_errors_is_an_error_whatever_its_hash(runs: Path, memory: Any, tmp_path: Path) -> None:
    """A baseline edited to point at another table: its digests still are those of the accepted run."""
    path = accepted(runs, "memory://kept/errors.parquet", tmp_path)
    content = other(memory.cat_file("/kept/errors.parquet"))
    memory.pipe_file("/kept/errors.parquet", content)
    edited = json.loads(path.read_text())
    edited["errors"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps(edited))
    with pytest.raises(StoreError, match=r"expected the errors that baseline .* was made from, got others"):
        gated(runs, path)


def moved(path: Path, place: str) -> None:
    content = json.loads(path.read_text())
    content["errors"]["place"] = place
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("memory://kept/gone.parquet", "FileNotFoundError"),
        ("nowhere/errors.parquet", "FileNotFoundError"),
        ("unheard-of://errors.parquet", "expected a path or a URL that fsspec knows"),
        ("missing-package://errors.parquet", "a package is missing: ImportError: Install teapot to have tea"),
    ],
)
def test_errors_that_can_not_be_had_leave_it_unpaired_and_say_why(
    runs: Path, memory: Any, tmp_path: Path, place: str, why: str
) -> None:
    absent = "Install teapot to have tea"
    fsspec.register_implementation("missing-package", "teapot.FileSystem", clobber=True, errtxt=absent)
    path = accepted(runs, "memory://kept/errors.parquet", tmp_path)
    moved(path, place)
    decision = gated(runs, path)
    assert decision.verdict.outcome is Outcome.INCONCLUSIVE
    (said,) = (one for one in decision.report.conditions if "unpaired" in one)
    assert place in said
    assert why in said
    assert f"can't be fetched from {place}" in decision.verdict.checks[0].evidence


def test_no_more_is_read_than_was_accepted(runs: Path, tmp_path: Path) -> None:
    """A file that has grown without end: a pipe that never closes would hang a reader of all of it."""
    path = accepted(runs, str(tmp_path / "errors.parquet"), tmp_path)
    moved(path, "/dev/zero")
    with pytest.raises(StoreError, match="got more than"):
        gated(runs, path)


def test_what_can_not_be_is_refused_before_anything_is_written(runs: Path, memory: Any, tmp_path: Path) -> None:
    run = Store(runs / "accepted").find("digits-accepted")
    with pytest.raises(ConfigError, match="--reason"):
        accept(run, " ", write=partial(write_errors, "memory://kept", tmp_path / "main.json", run.id))
    assert not memory.store
    with pytest.raises(ConfigError, match="asked at no noise level"):
        write_errors("memory://kept", tmp_path / "main.json", run.id, run.table("evaluations").head(0))
    for place in ("simplecache::memory://kept", "unheard-of://kept"):
        with pytest.raises(ConfigError, match="expected"):
            accepted(runs, place, tmp_path)
    with pytest.raises(StoreError, match="can't be written"):
        accepted(runs, "/dev/null/kept", tmp_path)
    path = accepted(runs, "memory://kept", tmp_path)
    moved(path, "simplecache::memory://kept")
    with pytest.raises(ConfigError, match="a chain"):
        gated(runs, path)


def test_over_http_where_its_packages_are(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec's http needs aiohttp")
    path = accepted(runs, str(tmp_path / "errors.parquet"), tmp_path)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        moved(path, f"http://127.0.0.1:{server.server_port}/errors.parquet")
        assert gated(runs, path).verdict.outcome is Outcome.PASS
        server.shutdown()


def test_from_the_command_line(invoke: Callable[..., Any], runs: Path, memory: Any, tmp_path: Path) -> None:
    place = "memory://kept/baselines"
    accept_it = ["baseline", "accept", "digits-accepted", "--reason", "first", "-o", "main.json", "--errors", place]
    done = invoke(*accept_it, "--runs", str(runs / "accepted"))
    assert done.code == 0, done.err
    assert "memory://kept/baselines/digits-accepted-" in done.out
    (tmp_path / "gate.toml").write_text(
        '[[gate]]\nmetric = "denoising_error"\nrule = "noninferior"\nmargin = { rel = 0.02 }\n'
    )
    gate = ["gate", "digits-candidates", "--baseline", "main.json", "--policy", "gate.toml", "--no-keep"]
    assert invoke(*gate, "--runs", str(runs / "candidates")).code == 0
    (file,) = memory.find("/kept")
    memory.pipe_file(file, changed(memory.cat_file(file)))
    tampered = invoke(*gate, "--runs", str(runs / "candidates"))
    assert tampered.code == 3
    assert "expected the accepted errors" in " ".join(tampered.err.split())
