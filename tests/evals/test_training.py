"""The call for training loops: within its budget, paired from step to step, and without a trace in the training."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sigmascope import lightning_callback, loggers, probe, wrap
from sigmascope.errors import ConfigError, DataError
from sigmascope.evals.declaration import Declaration
from sigmascope.evals.denoiser import Denoiser, Traits
from sigmascope.evals.noise import Noise
from sigmascope.evals.schedules import EDM
from sigmascope.evals.training import Reading
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from sigmascope.reports.figures.training import training
from torch import Tensor, nn

ORACLE = Gaussian(torch.zeros(16, dtype=torch.float64), torch.logspace(-2, -1, 16, dtype=torch.float64))
IMAGES = ORACLE.data(torch.arange(64), Noise(3)).float()
DATA = ORACLE.data(torch.arange(1000, 3000), Noise(3)).float()


class Shrink(nn.Module):
    """x0 = w(log s) x, with dropout and a batch norm: a mode or a buffer left wrong would show."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 16))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x * torch.sigmoid(self.inner(sigma.log()[:, None]))


def network() -> Shrink:
    torch.manual_seed(0)
    return Shrink()


def wrapped(module: nn.Module) -> Denoiser:
    denoiser = wrap(module, EDM(0.02, 20.0), "x0", (16,))
    module.train()
    return denoiser


def train(module: nn.Module, steps: int, look: Any = lambda step: None) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for step in range(1, steps + 1):
        x0 = DATA[torch.randint(len(DATA), (64,))]
        sigma = torch.exp(torch.empty(64).uniform_(np.log(0.02), np.log(20.0)))
        loss = (module(x0 + sigma[:, None] * torch.randn_like(x0), sigma) - x0).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        look(step)


class Kept:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.steps: dict[int, dict[str, float]] = {}

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.steps[step] = dict(values)


def test_an_oracle_reads_its_mmse_within_the_budget() -> None:
    denoiser = as_denoiser(ORACLE)
    reading = probe(denoiser, IMAGES, budget=1600, sigma_min=0.02, sigma_max=20.0)
    assert reading.evaluations == 12 * 64 * 2 <= 1600
    expected = np.array([ORACLE.mmse(sigma) for sigma in reading.levels["sigma"]]) / 16
    error = (reading.levels["high"] - reading.levels["low"]) / 2 / 1.96
    assert (np.abs(reading.levels["error"] - expected) < stats.norm.isf(1e-4 / 24) * error).all()
    assert set(reading.levels["images"]) == {64}
    assert set(reading.levels["draws"]) == {2}
    names = list(reading.scalars())
    assert names[0] == "denoising_error/sigma_0.02"
    assert names[11:13] == ["denoising_error/sigma_20", "denoising_error/mean"]
    assert "calibration.slope/sigma_0.02" in names
    assert not any("+" in name or " " in name for name in names), "MLflow takes no +"


def test_few_evaluations_see_fewer_images_at_every_level_the_same() -> None:
    reading = probe(as_denoiser(ORACLE), IMAGES, budget=300, levels=12, sigma_min=0.02, sigma_max=20.0)
    assert reading.evaluations == 300
    assert set(reading.levels["images"]) == {25}
    dear = probe(as_denoiser(ORACLE), IMAGES, budget=300, levels=4, probes=["sure(directions=2)"])
    assert dear.evaluations <= 300
    assert any(name.startswith("sure.") for name in dear.scalars())
    with pytest.raises(ConfigError, match="at least 24 evaluations for 12 levels, got 23"):
        probe(as_denoiser(ORACLE), IMAGES, budget=23)


def test_training_goes_on_as_if_nobody_had_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same weights to the bit with and without looks: modes, buffers, gradients and random states are left alone."""
    plain, seen, found = network(), network(), Kept()
    torch.manual_seed(1)
    train(plain, 30)
    seen.inner[3].eval()  # a mode of a part's own is kept too
    plain_again = copy.deepcopy(seen)
    torch.manual_seed(1)
    train(plain_again, 30)
    denoiser = wrap(seen, EDM(0.02, 20.0), "x0", (16,))
    seen.train()
    seen.inner[3].eval()
    torch.manual_seed(1)
    train(seen, 30, lambda step: step % 10 == 0 and probe(denoiser, IMAGES, budget=240).log(found, step))
    assert [module.training for module in seen.inner] == [True, True, True, False, True]
    for name, tensor in plain_again.state_dict().items():
        assert torch.equal(tensor, seen.state_dict()[name]), name
    assert not torch.equal(plain.inner[0].weight, seen.inner[0].weight)
    assert all(parameter.grad is not None for parameter in seen.parameters())
    assert list(found.steps) == [10, 20, 30]

    def broken(x: Tensor, sigma: Tensor) -> Tensor:
        raise RuntimeError("no")

    monkeypatch.setattr(seen, "forward", broken)
    with pytest.raises(Exception, match="no"):
        probe(denoiser, IMAGES)
    assert seen.training


def test_curves_at_step_1000_and_at_100_are_of_the_same_levels_names_and_noise() -> None:
    module, readings = network(), {}
    torch.manual_seed(2)
    denoiser = wrapped(module)

    def look(step: int) -> None:
        if step in (1, 100, 1000):
            readings[step] = probe(denoiser, IMAGES, budget=768)

    train(module, 1000, look)
    early, middle, late = (readings[step].scalars() for step in (1, 100, 1000))
    assert list(early) == list(middle) == list(late)
    assert early["denoising_error/mean"] > middle["denoising_error/mean"] > late["denoising_error/mean"]
    # noise and images are the same: the same weights read the same to the bit
    assert probe(denoiser, IMAGES, budget=768).scalars() == late
    figure = training(readings)
    assert next(trace.name for trace in figure.data if trace.mode == "lines+markers") == "step 1 (baseline)"
    assert figure.layout.yaxis.type == "log"


def test_average_weights_are_read_and_put_back() -> None:
    module, ema = network(), network()
    with torch.no_grad():
        for parameter in ema.parameters():
            parameter.mul_(0.5)
    before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in module.state_dict().items()}
    denoiser = wrapped(module)
    expected = probe(wrapped(ema), IMAGES).scalars()
    own = probe(denoiser, IMAGES).scalars()
    assert own != expected

    @contextlib.contextmanager
    def averaged() -> Iterator[None]:
        kept = copy.deepcopy(module.state_dict())
        module.load_state_dict(ema.state_dict())
        yield
        module.load_state_dict(kept)

    for weights in (ema, ema.state_dict(), averaged()):
        assert probe(denoiser, IMAGES, weights=weights).scalars() == expected
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, before[name][0])
            assert tensor.data_ptr() == before[name][1]
    with pytest.raises(ConfigError, match=r"weights: .* differ in inner\.0\.bias"):
        probe(denoiser, IMAGES, weights={})


def test_a_bare_network_takes_a_declaration_and_keeps_its_mode() -> None:
    module = network().train()
    declared = probe(module, IMAGES, declaration=Declaration(path=EDM(0.02, 20.0), output="x0"))
    assert module.training
    assert declared.scalars() == probe(wrapped(module), IMAGES).scalars()
    with pytest.raises(ConfigError, match="declaration: expected one beside a bare network"):
        probe(module, IMAGES)


def test_what_can_not_be_probed_is_refused() -> None:
    conditional = wrap(lambda x, t, class_labels: x, EDM(), "x0", (16,), traits=Traits(classes=3))
    with pytest.raises(DataError, match="labels: expected one for each image, as the model has 3 classes"):
        probe(conditional, IMAGES)
    assert probe(conditional, IMAGES, torch.arange(64) % 3).evaluations == 1536
    with pytest.raises(DataError, match=r"images: expected \(N, \*\(16,\)\), got \(64, 4, 4\)"):
        probe(as_denoiser(ORACLE), IMAGES.reshape(64, 4, 4))
    with pytest.raises(ConfigError, match="logger: expected 'mlflow', 'tensorboard', 'wandb'"):
        loggers.as_logger(3)


VALUES = {"denoising_error/sigma_0.44": 0.5, "calibration.slope/sigma_0.44": 1.0}


class Recorder:
    """As a SummaryWriter is called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        self.calls.append((tag, scalar_value, global_step))

    def flush(self) -> None:
        pass


def test_a_summary_writer_gets_a_scalar_a_name() -> None:
    writer = Recorder()
    loggers.as_logger(writer).scalars(VALUES, 7)
    assert writer.calls == [(name, value, 7) for name, value in VALUES.items()]


def test_mlflow_and_wandb_are_called_as_they_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def log_metrics(metrics: dict[str, float], step: int | None = None, run_id: str | None = None) -> None:
        calls.append((metrics, step, run_id))

    class Run:
        def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
            calls.append((data, step))

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(log_metrics=log_metrics))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=None))
    loggers.as_logger("mlflow").scalars(VALUES, 7)
    with pytest.raises(ConfigError, match=r"expected an active run, got none; call wandb.init"):
        loggers.as_logger("wandb")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=Run()))
    loggers.as_logger("wandb").scalars(VALUES, 8)
    assert calls == [(VALUES, 7, None), (VALUES, 8)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (loggers.MLflow, "MLflow: expected mlflow, which can't be imported; pip install mlflow-skinny"),
        (loggers.WeightsAndBiases, "pip install wandb"),
        (loggers.TensorBoard, "torch.utils.tensorboard or tensorboardX, which can't be imported; pip install tensorb"),
        (lambda: lightning_callback(as_denoiser(ORACLE), IMAGES), "pip install lightning"),
    ],
)
def test_what_is_missing_says_how_to_install_it(make: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "mlflow", "wandb", "tensorboard", "torch.utils.tensorboard", "tensorboardX", "lightning", "lightning.pytorch",
        "pytorch_lightning",
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        make()


class FakeCallback:
    """Stands for lightning.Callback, whose hooks do nothing."""


def test_the_lightning_callback_looks_every_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook's arguments are those of Lightning 2: (trainer, module, outputs, batch, batch_idx)."""
    monkeypatch.setitem(sys.modules, "lightning.pytorch", SimpleNamespace(Callback=FakeCallback))
    monkeypatch.setitem(sys.modules, "lightning", SimpleNamespace())
    module, kept = network(), Kept()
    module.train()
    callback = lightning_callback(lambda module: wrap(module, EDM(), "x0", (16,)), IMAGES, every_n_steps=5)
    for step, main in ((4, True), (5, True), (5, True), (10, False), (15, True)):
        trainer = SimpleNamespace(global_step=step, is_global_zero=main, loggers=[kept])
        callback.on_train_batch_end(trainer, module, None, None, 0)
    assert list(kept.steps) == [5, 15]
    assert all(part.training for part in module.modules())
    assert isinstance(callback.reading, Reading)
    with pytest.raises(ConfigError, match="every_n_steps: expected at least 1, got 0"):
        lightning_callback(as_denoiser(ORACLE), IMAGES, every_n_steps=0)


foreign = pytest.mark.filterwarnings("ignore")
"""Of the tools themselves, where they are installed; their own warnings are theirs."""


@foreign
def test_tensorboard_itself_gives_back_what_was_logged(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    denoiser = wrapped(network())
    for step in (1000, 100_000):
        reading = probe(denoiser, IMAGES)
        reading.log(loggers.TensorBoard(tmp_path), step)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(reading.scalars())
    for name, value in reading.scalars().items():
        assert [event.step for event in events.Scalars(name)] == [1000, 100_000]
        assert all(event.value == np.float32(value) for event in events.Scalars(name))


@foreign
def test_mlflow_itself_gives_back_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(tmp_path.as_uri())
    mlflow.set_experiment("test")
    reading = probe(wrapped(network()), IMAGES)
    with mlflow.start_run() as run:
        for step in (1000, 100_000):
            reading.log("mlflow", step)
    name = next(iter(reading.scalars()))
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
    assert [(metric.step, metric.value) for metric in history] == [
        (step, reading.scalars()[name]) for step in (1000, 100_000)
    ]


@foreign
def test_wandb_itself_takes_them_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    reading = probe(wrapped(network()), IMAGES)
    with wandb.init(dir=tmp_path, project="test") as run:
        reading.log(run, 1000)
        reading.log("wandb", 100_000)
        assert run.summary["denoising_error/mean"] == pytest.approx(reading.scalars()["denoising_error/mean"])


@foreign
def test_lightning_itself_calls_the_callback(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def training_step(self, batch: Tensor, index: int) -> Tensor:
            return (self.network(batch, torch.ones(len(batch))) - batch).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    callback = lightning_callback(lambda module: wrap(module.network, EDM(), "x0", (16,)), IMAGES, every_n_steps=4)
    logger = lightning.loggers.CSVLogger(tmp_path)
    trainer = lightning.Trainer(
        max_steps=9, callbacks=[callback], logger=logger, enable_progress_bar=False, accelerator="cpu",
        enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    module = Module()
    trainer.fit(module, torch.utils.data.DataLoader(DATA[:640], batch_size=64))
    logger.save()
    lines = (Path(logger.log_dir) / "metrics.csv").read_text().splitlines()
    assert "denoising_error/mean" in lines[0]
    assert len(lines) == 3, "steps 4 and 8"
    assert module.network.training
