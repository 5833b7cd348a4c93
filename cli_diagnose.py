"""`sigmascope diagnose`: what is wrong with a model, at which noise levels, and how surely, in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_models import SPECS, Device, FieldOption, Named, RunsFolder, TrustPickle, named_model
from .errors import ConfigError
from .terminal import Display, err, execute_shown, out

if TYPE_CHECKING:
    from .evals.store import Run
    from .evals.suite import Suite
    from .reports.diagnosis import Diagnosis
    from .reports.sampler_findings import SamplerFinding


def diagnose(
    model: Annotated[str, typer.Argument(help=SPECS + " A run's model with probes is read, not run again.")],
    data: Annotated[
        str, typer.Option(help="Held-out images: a folder, an .npz file or python:MODULE:FUNCTION; else the suite's.")
    ] = "",
    train: Annotated[str, typer.Option(help="Training images, for the probes that compare with them.")] = "",
    probes: Annotated[
        list[str] | None, typer.Option("--probe", help="These instead of all that have a rule; see `list probes`.")
    ] = None,
    levels: Annotated[int, typer.Option(min=2, help="Noise levels, uniform in log-SNR.")] = 24,
    draws: Annotated[int, typer.Option(min=1, help="Noise draws per image and level.")] = 1,
    limit: Annotated[int | None, typer.Option(min=8, help="At most so many images.", show_default=False)] = None,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="How often a healthy model may get any finding at all.")
    ] = 0.05,
    fields: FieldOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    root: Annotated[Path, typer.Option(help="Where relative paths of specs begin.")] = Path(),
    runs_folder: RunsFolder = Path("runs"),
    device: Device = "cpu",
    trust_pickle: TrustPickle = False,
    output: Annotated[
        list[Path] | None, typer.Option("--output", "-o", help="Also write .json.", show_default=False)
    ] = None,
    display: Annotated[
        Display | None, typer.Option(help="Progress: a bar, lines, or nothing.", show_default=False)
    ] = None,
) -> None:
    """Probe a model at all noise levels and say what is wrong, worst first. The run is kept, for `sigmascope view`."""
    from .evals.planning import prepare
    from .reports.diagnosis import diagnose as diagnosed
    from .reports.sampler_findings import sampler_findings

    for path in output or []:
        if path.suffix != ".json" or not path.parent.is_dir():
            raise ConfigError(f"--output: expected a .json file in a folder that exists, got {path}")
    run = _probed(model, runs_folder) if not (data or train or probes or fields) else None
    if run is None:
        named = named_model(model, fields or [], root, runs_folder)
        suite = _suite(named, _here(data), _here(train), probes or ["thorough"], levels, draws, seed)
        with err.status("Loading the model and data"):
            plan = prepare(suite, named.folder, device=device, limit=limit, trust_pickle=trust_pickle)
        run = execute_shown(plan, runs_folder, display)
    found, samplers = diagnosed(run, alpha), sampler_findings(run, alpha)
    _print(run, [*found, *samplers])
    for path in output or []:
        path.write_text(json.dumps(_as_json(run, found, samplers, alpha), indent=1, allow_nan=False))


def _probed(model: str, runs: Path) -> Run | None:
    """A stored run's model, if `model` names one that was probed."""
    from .evals.loading import known_loaders
    from .evals.store import Store

    if ".toml:" in model or model.partition(":")[0] in known_loaders():
        return None
    run = Store(runs).find(model)
    return run if len(run.table("curves")) else None


def _here(source: str) -> str:
    """A source on the command line is relative to where the command runs, not to the model's suite."""
    return source if not source or source.startswith("python:") else str(Path(source).resolve())


def _suite(named: Named, data: str, train: str, probes: list[str], levels: int, draws: int, seed: int) -> Suite:
    """The suite that probes one model."""
    from .evals.suite import checked_suite

    source = data or named.place.data
    if not source:
        raise ConfigError("diagnose: expected --data with held-out images such as the model was trained on")
    model = named.model.model_dump()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model["name"].rpartition("/")[2]).strip("-.") or "model"
    content = {
        "schema": 1,
        "name": f"diagnose-{name}"[:60],
        "seed": seed,
        "data": {"source": source, "train": train},
        "models": [{**model, "name": name}],
        "probes": {"levels": levels, "draws": draws, "use": probes},
    }
    return checked_suite(content, "diagnose")


def _print(run: Run, found: Sequence[Diagnosis | SamplerFinding]) -> None:
    looked = run.table("curves")
    probes = ", ".join(dict.fromkeys(looked["probe"]))
    for one in found:
        out.print(one.text, style="red", markup=False, highlight=False, soft_wrap=True)
        for line in (
            getattr(one, "consequence", ""),
            f"possible cause: {one.rule.cause}",
            f"because {one.rule.source}",
        ):
            if line:
                out.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
    if not found:
        out.print("no finding", style="green", highlight=False)
    levels = run.table("levels")["level"].nunique()
    evaluations = sum(cell.evaluations for cell in run.record.cells if cell.kind == "probe")
    err.print(
        f"\n{run.id}: {levels} levels, {evaluations:,} network evaluations; probes: {probes}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def _as_json(run: Run, found: Sequence[Diagnosis], samplers: Sequence[SamplerFinding], alpha: float) -> dict[str, Any]:
    def plain(one: Diagnosis | SamplerFinding) -> dict[str, Any]:
        content = {name: value for name, value in asdict(one).items() if name != "rule"}
        rule = {"probe": one.rule.probe, "quantity": one.rule.quantity}
        return {**rule, **content, "text": one.text, "cause": one.rule.cause, "source": one.rule.source}

    return {"schema_version": 1, "run": run.id, "alpha": alpha, "findings": [plain(one) for one in found],
            "samplers": [plain(one) for one in samplers]}  # fmt: skip
