"""Where readings of a model in training go: TensorBoard, MLflow or Weights & Biases, each imported when it is used.

Reading.scalars() -> a Logger -> the tool. Anything with `scalars(values, step)` is a Logger. `lightning_callback` does
it all within Lightning, to whichever loggers its Trainer has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from .denoiser import Denoiser
    from .training import Reading


@runtime_checkable
class Logger(Protocol):
    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name, at a step of training."""


class TensorBoard:
    """To TensorBoard, by a SummaryWriter of yours or into a folder."""

    def __init__(self, target: Any = "runs") -> None:
        """Raises ConfigError where a folder is given and neither tensorboard nor tensorboardX is installed."""
        if hasattr(target, "add_scalar"):
            self.writer = target
        else:
            names = ("torch.utils.tensorboard", "tensorboardX")
            self.writer = required("TensorBoard", "tensorboard", *names).SummaryWriter(str(target))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()


class MLflow:
    """To MLflow: the active run, or the one with this id. Raises ConfigError where mlflow is not installed."""

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id, self.mlflow = run_id, required("MLflow", "mlflow-skinny", "mlflow")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.mlflow.log_metrics(dict(values), step=step, run_id=self.run_id)


class WeightsAndBiases:
    """To Weights & Biases: a run, by default the active one. Its steps never go back: log before or with your own.

    Raises ConfigError where wandb is not installed or no run is active.
    """

    def __init__(self, run: Any = None) -> None:
        self.run = run if run is not None else required("Weights & Biases", "wandb", "wandb").run
        if self.run is None:
            raise ConfigError("Weights & Biases: expected an active run, got none; call wandb.init(...) first")

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.run.log(dict(values), step=step)


class OfLightning:
    """To one of Lightning's own loggers."""

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.logger.log_metrics(dict(values), step=step)


NAMED: dict[str, Callable[[], Logger]] = {"mlflow": MLflow, "tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def as_logger(target: Any) -> Logger:
    """A Logger from what a training script has at hand. Raises ConfigError saying what is understood."""
    if isinstance(target, Logger):
        return target
    if isinstance(target, str) and target in NAMED:
        return NAMED[target]()
    if hasattr(target, "add_scalar"):
        return TensorBoard(target)
    if hasattr(target, "log_metrics"):
        return OfLightning(target)
    if hasattr(target, "log") and type(target).__module__.partition(".")[0] == "wandb":
        return WeightsAndBiases(target)
    raise ConfigError(
        f"logger: expected {', '.join(map(repr, NAMED))}, a SummaryWriter, a W&B run, a Lightning logger or an object "
        f"with scalars(values, step), got {target!r}"
    )


def lightning_callback(
    denoiser: Denoiser | Callable[[Any], Denoiser],
    images: Tensor,
    labels: Tensor | None = None,
    *,
    every_n_steps: int = 1000,
    read: Callable[..., Reading] | None = None,
) -> Any:
    """A Lightning Callback that probes every so many optimizer steps and logs to all of the Trainer's loggers.

    Args:
        denoiser: or a function of the LightningModule that makes it, `lambda module: wrap(module.network, ...)`.
        images, labels: a held-out batch, as of `probe`.
        read: takes (denoiser, images, labels); `probe` by default. `functools.partial(probe, budget=...)` sets more.

    The last reading is the callback's `reading`. Only the first process probes. Raises ConfigError where Lightning is
    not installed or every_n_steps is below 1.
    """
    from .denoiser import Denoiser
    from .training import probe, same_modes

    if every_n_steps < 1:
        raise ConfigError(f"every_n_steps: expected at least 1, got {every_n_steps}")
    lightning = required("Lightning", "lightning", "lightning.pytorch", "pytorch_lightning")

    class ProbeCallback(lightning.Callback):  # type: ignore[name-defined, misc]
        reading: Reading | None = None
        last = 0

        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any, **__: Any) -> None:
            step = trainer.global_step
            if not trainer.is_global_zero or step == self.last or step % every_n_steps:
                return
            self.last = step
            with same_modes(module):  # to wrap a network puts it in eval mode
                asked = denoiser if isinstance(denoiser, Denoiser) else denoiser(module)
                self.reading = (read or probe)(asked, images, labels)
            for logger in trainer.loggers:
                self.reading.log(logger, step)

    return ProbeCallback()


def required(what: str, package: str, *modules: str) -> Any:
    """The first of the modules that can be imported. Raises ConfigError saying what to install."""
    for name in modules:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ConfigError(f"{what}: expected {' or '.join(modules)}, which can't be imported; pip install {package}")
