"""Loading: a folder of diffusers' is the model its authors trained, and a file that isn't one is refused unread."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from sigmascope.errors import ConfigError, LoadError, SigmascopeError
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.levels import broadcast
from sigmascope.evals.loading import known_loaders, load, spec
from sigmascope.evals.noise import Noise
from sigmascope.evals.schedules import EDM

UNet = Callable[..., diffusers.UNet2DModel]


def images(count: int = 3) -> torch.Tensor:
    return Noise(1).normal(torch.arange(count), "initial", 0, (1, 8, 8))


@pytest.fixture
def folder(tmp_path: Path, tiny_unet: UNet) -> Path:
    """A whole model: unet/ and scheduler/."""
    tiny_unet().save_pretrained(tmp_path / "unet")
    diffusers.DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    return tmp_path


# --- diffusers: what loads is the model -------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_x0_is_what_the_peers_scheduler_makes_of_its_network(prediction: str, folder: Path, tiny_unet: UNet) -> None:
    """Their abar is a float32 product: relative 1000 * 2^-24 = 6e-5 in it, half that in its root, 1e-4 of x0 in all."""
    peer = diffusers.DDIMScheduler(prediction_type=prediction, clip_sample=False)
    peer.save_pretrained(folder / "scheduler")
    peer.set_timesteps(1000)
    denoiser, unet, x = load(f"diffusers:{folder}", micro_batch=4), tiny_unet(), images()
    for t in (0, 17, 500, 999):
        with torch.no_grad():
            output = unet(x, t).sample
        expected = peer.step(output, t, x).pred_original_sample
        got = denoiser(x, denoiser.schedule(float(t)))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_what_is_known_of_the_model_comes_with_it(folder: Path, tiny_unet: UNet) -> None:
    denoiser = load(f"diffusers:{folder}", micro_batch=4)
    assert denoiser.event_shape == (1, 8, 8)
    assert denoiser.micro_batch == 4
    assert denoiser.traits.spec == f"diffusers:{folder}"
    assert denoiser.traits.parameters == sum(parameter.numel() for parameter in tiny_unet().parameters())
    assert denoiser.traits.classes is None
    assert denoiser.traits.scheduler["_class_name"] == "DDPMScheduler"
    again = load(f"diffusers:{folder}", micro_batch=4)
    assert denoiser.traits.fingerprint == again.traits.fingerprint != ""
    assert torch.equal(again(images(), again.level(1.0)), denoiser(images(), denoiser.level(1.0)))
    other = tiny_unet()
    with torch.no_grad():
        next(other.parameters())[0] += 1e-3
    other.save_pretrained(folder / "unet")
    assert load(f"diffusers:{folder}").traits.fingerprint != denoiser.traits.fingerprint


def test_a_class_conditional_network_gets_its_labels(folder: Path, tiny_unet: UNet) -> None:
    unet = tiny_unet(num_class_embeds=10)
    unet.save_pretrained(folder / "unet")
    denoiser, labels = load(f"diffusers:{folder}", micro_batch=4), torch.tensor([1, 2, 3])
    assert denoiser.traits.classes == 10
    with torch.no_grad():
        expected = unet(images(), 300, class_labels=labels).sample
    got = denoiser.raw(images(), denoiser.schedule(300.0), {"class_labels": labels})
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_dropout_is_off(folder: Path, tiny_unet: UNet) -> None:
    tiny_unet(dropout=0.5).save_pretrained(folder / "unet")
    denoiser = load(f"diffusers:{folder}", micro_batch=4)
    level = denoiser.level(1.0)
    assert torch.equal(denoiser(images(), level), denoiser(images(), level))


def test_a_transformer_with_a_flow_scheduler(tmp_path: Path) -> None:
    """One Euler step of the peer from t to 0 is its x0: x - t u(x, 1000 t)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = diffusers.DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=4, in_channels=1, num_layers=1, sample_size=8, patch_size=2,
            num_embeds_ada_norm=10, norm_num_groups=1,
        ).eval()  # fmt: skip
    network.save_pretrained(tmp_path / "transformer")
    peer = diffusers.FlowMatchEulerDiscreteScheduler()
    peer.save_pretrained(tmp_path / "scheduler")
    denoiser = load(f"diffusers:{tmp_path}", micro_batch=4)
    labels, x = torch.tensor([0, 4, 9]), images()
    assert denoiser.traits.classes == 10
    for t in (0.25, 0.75, 1.0):
        peer.set_timesteps(sigmas=[t])
        assert peer.timesteps.tolist() == [1000 * t]
        with torch.no_grad():
            output = network(x, timestep=peer.timesteps.expand(3), class_labels=labels).sample
        expected = peer.step(output, peer.timesteps[0], x).prev_sample
        got = denoiser(x, denoiser.schedule(t), {"class_labels": labels})
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_half_precision_weights_keep_whole_timesteps(folder: Path, tiny_unet: UNet) -> None:
    """In bfloat16 timestep 999 would be 1000; the network must be asked for 999."""
    half = tiny_unet().to(torch.bfloat16)
    half.save_pretrained(folder / "unet")
    times: list[torch.Tensor] = []
    denoiser = load(f"diffusers:{folder}", micro_batch=4)
    network, original = denoiser.network, denoiser.network
    assert denoiser.dtype in (torch.bfloat16, torch.float32)

    def spied(x: torch.Tensor, time: torch.Tensor, cond: object) -> torch.Tensor:
        times.append(time)
        return original(x, time, cond)

    denoiser.network = spied
    assert denoiser(images(), denoiser.schedule(999.0)).dtype == torch.float32
    assert times[0].tolist() == [999.0] * 4
    assert network is original


def test_zero_terminal_snr_comes_from_the_configuration(folder: Path) -> None:
    scheduler = diffusers.DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    scheduler.save_pretrained(folder / "scheduler")
    denoiser = load(f"diffusers:{folder}")
    assert float(denoiser.schedule(999.0).alpha) == 0.0
    x = images()
    level = denoiser.schedule(999.0)
    assert torch.equal(denoiser(x, level), -denoiser.raw(x, level))  # x0 = -v at pure noise
    assert broadcast(level.alpha, x) == 0


# --- diffusers: what doesn't load says why ----------------------------------------------------------------------------


class _Detonator:
    """Unpickling it writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_pickled_weights_are_not_opened(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    marker = folder / "exploded"
    for name in ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.ckpt"):
        (folder / "unet" / name).write_bytes(pickle.dumps(_Detonator(marker)))
    with pytest.raises(
        LoadError, match=r"expected \*\.safetensors in unet/, got .*\.bin.*pickled weights are not read"
    ):
        load(f"diffusers:{folder}")
    assert not marker.exists()


def test_a_custom_class_in_the_folder_is_not_run(folder: Path) -> None:
    """diffusers' own trust_remote_code would import it."""
    marker = folder / "exploded"
    (folder / "unet" / "mine.py").write_text(f"import os; os.mkdir({str(marker)!r})\nclass Mine: pass\n")
    config = json.loads((folder / "unet" / "config.json").read_text())
    config |= {"_class_name": ["mine", "Mine"], "auto_map": {"AutoModel": "mine.Mine"}}
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    with pytest.raises(LoadError, match="names no diffusers model class"):
        load(f"diffusers:{folder}")
    assert not marker.exists()


def _truncate(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _changed_weight(name: str, tensor: torch.Tensor | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(weights) | {name: tensor}
        save_file({key: value for key, value in tensors.items() if value is not None}, weights, {"format": "pt"})

    return change


def _config(key: str, value: object, name: str = "scheduler/scheduler_config.json") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "scheduler" / "scheduler_config.json").unlink(), r"expected scheduler/scheduler_config\.json"),
        (lambda f: (f / "scheduler" / "scheduler_config.json").write_text("{"), r"scheduler_config\.json is no JSON"),
        (lambda f: (f / "scheduler" / "scheduler_config.json").write_text("[]"), "expected a JSON object, got list"),
        (lambda f: (f / "scheduler" / "scheduler_config.json").write_bytes(b"\xff\xfe"), "is no JSON"),
        (
            lambda f: (f / "unet" / "config.json").unlink(),
            r"expected unet/config\.json or transformer/config\.json, got",
        ),
        (lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(), r"expected \*\.safetensors in unet/"),
        (_truncate, "unet can't be loaded"),
        (_changed_weight("conv_in.weight", None), r"missing keys \['conv_in\.weight'\] \(1 in all\)"),
        (_changed_weight("extra.weight", torch.zeros(2)), r"unexpected keys \['extra\.weight'\]"),
        (_changed_weight("conv_in.weight", torch.zeros(2)), r"unet can't be loaded: .*\s+size mismatch for conv_in"),
        (_config("block_out_channels", [8, 8], "unet/config.json"), "unet can't be loaded"),
        (_config("_class_name", "UNet9DModel", "unet/config.json"), "names no diffusers model class"),
        (_config("_class_name", "DDPMScheduler", "unet/config.json"), "names no diffusers model class"),
        (_config("_class_name", "NoSuchScheduler"), "got NoSuchScheduler predicting 'epsilon'"),
        (_config("prediction_type", "noise"), "predicting 'noise'"),
        (_config("_class_name", "VQDiffusionScheduler"), "discrete model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_spoiled_folder_says_what_was_expected(spoil: Callable[[Path], object], message: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(LoadError, match=rf"diffusers:{folder}: (?s:.*){message}"):
        load(f"diffusers:{folder}")


def test_no_folder_and_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for place in (tmp_path / "missing", "nobody/no-such-model"):
        with pytest.raises(LoadError, match=f"diffusers:{place}: no such folder"):
            load(f"diffusers:{place}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LoadError, match=r"expected unet/config\.json or transformer/config\.json, got \[\]"):
        load(f"diffusers:{tmp_path / 'empty'}")


# --- specs, factories, entry points -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["", "diffusers", "diffusers:", "models/digits"])
def test_a_spec_without_a_location_lists_the_schemes(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"expected SCHEME:LOCATION with a scheme of .*diffusers.*python"):
        load(wrong)


def test_an_unknown_scheme_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"unknown model loader 'difusers'; expected one of: .*diffusers"):
        load("difusers:somewhere")


MODULE = """
from sigmascope.errors import DataError
from sigmascope.evals.denoiser import wrap

value = 3
def make():
    return wrap(lambda x, t: x / (1 + t[:, None] ** 2), "edm", "x0", (2,))
def number():
    return 3
def failing():
    raise KeyError("weights")
def needy(path):
    return make()
def particular():
    raise DataError("no digits here")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "factories_for_tests.py").write_text(MODULE)
    (tmp_path / "broken_for_tests.py").write_text("import no_such_module_for_tests\n")
    (tmp_path / "raising_for_tests.py").write_text("raise RuntimeError('at import')\n")
    (tmp_path / "garbled_for_tests.py").write_text("def make(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "factories_for_tests"
    for name in [name for name in sys.modules if name.endswith("_for_tests")]:
        del sys.modules[name]


def test_a_factory_gives_its_denoiser(module: str) -> None:
    denoiser = load(f"python:{module}:make")
    assert denoiser.traits.spec == f"python:{module}:make"
    assert torch.equal(denoiser(torch.ones(1, 2), denoiser.level(1.0)), torch.full((1, 2), 0.5))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{}", "expected MODULE:FUNCTION, got"),
        (":make", "expected MODULE:FUNCTION, got"),
        ("{}:", "expected MODULE:FUNCTION, got"),
        ("{}:maker", "expected a function 'maker' in .*; it has: .*make, needy, number"),
        ("{}:value", "expected a function 'value'"),
        ("{}:number", "expected the factory to return a Denoiser, got int"),
        ("{}:failing", "the factory failed: KeyError: 'weights'"),
        ("{}:needy", "the factory failed: TypeError: .*path"),
        ("no_such_for_tests:make", "no module 'no_such_for_tests'"),
        ("broken_for_tests:make", "no module 'no_such_module_for_tests'"),
        ("raising_for_tests:make", "importing it failed: RuntimeError: at import"),
        ("garbled_for_tests:make", "importing it failed: SyntaxError"),
    ],
)
def test_a_factory_that_fails_says_how(name: str, message: str, module: str) -> None:
    with pytest.raises(LoadError, match=message):
        load("python:" + name.format(module))


def test_a_factorys_own_words_are_kept(module: str) -> None:
    with pytest.raises(SigmascopeError, match=r"^no digits here$"):
        load(f"python:{module}:particular")


class _Point(EntryPoint):
    """An entry point whose loading is observed."""

    loaded: list[str] = []  # noqa: RUF012

    def load(self) -> object:
        self.loaded.append(self.name)
        if self.value == "broken":
            raise ImportError("half installed")
        return _load_anything


def _load_anything(location: str, *, device: torch.device, micro_batch: int, recipe: object) -> Denoiser:
    return wrap(lambda x, t: x, EDM(), "x0", (len(location),), micro_batch=micro_batch, device=device)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    points = [_Point(name=n, value=v, group="sigmascope.loaders") for n, v in (("mine", "fine"), ("theirs", "broken"))]

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(spec, "entry_points", entry_points)
    monkeypatch.setattr(spec.LOADERS, "_entries", dict(spec.LOADERS._entries))
    monkeypatch.setattr(_Point, "loaded", [])
    return _Point.loaded


def test_another_packages_loader_is_found(installed: list[str]) -> None:
    assert {"mine", "theirs", "diffusers", "python"} <= set(known_loaders())
    assert load("mine:abc", micro_batch=3).event_shape == (3,)
    assert load("mine:abcd").event_shape == (4,)
    assert installed == ["mine"]


def test_another_packages_code_is_not_run_unasked(installed: list[str], module: str) -> None:
    """A broken package is nobody's trouble but of those who ask for it."""
    load(f"python:{module}:make")
    for wrong in ("nobodys:place", "python"):
        with pytest.raises(ConfigError, match="theirs"):
            load(wrong)
    assert installed == []
    with pytest.raises(LoadError, match="theirs: its loader broken failed: ImportError: half installed"):
        load("theirs:place")
