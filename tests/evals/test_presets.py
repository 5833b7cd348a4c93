"""Presets against the functions of a peer: x0 as diffusers computes it where it knows the family, else the paper's."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import diffusers
import pytest
import torch
from diffusers.schedulers.deprecated import ScoreSdeVpScheduler
from sigmascope import presets, wrap
from sigmascope.errors import ConfigError
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.loading.isolation import SourceFolder
from sigmascope.evals.models import Model, load_model
from torch import Tensor, nn

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning"),
]

LABELS = torch.tensor([0, 2, 1])


def noisy(channels: int = 2) -> Tensor:
    return torch.randn(3, channels, 8, 8, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """A seeded network of x, time and a vector of labels, with the attributes that public codebases keep."""

    def __init__(self, channels: int = 2, classes: int = 3, **attributes: object) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body = nn.Conv2d(channels, channels, 3, padding=1)
            self.label = nn.Linear(classes, channels)
        vars(self).update(attributes)

    def inner(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        return torch.tanh(self.body(x) + (self.label(labels) + time.reshape(-1, 1))[:, :, None, None])

    forward = inner


def agree(ours: Tensor, theirs: Tensor, tolerance: float = 1e-5) -> None:
    """Both in float32, through the same network."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * max(1.0, float(theirs.abs().max())))


def one_hot(labels: Tensor = LABELS) -> Tensor:
    return nn.functional.one_hot(labels, 3).float()


@pytest.mark.parametrize("sigma", [0.002, 0.5, 3.0, 80.0])
def test_edm_is_what_diffusers_edm_preconditioning_makes(sigma: float) -> None:
    """NVlabs' EDMPrecond takes D(x, sigma, one-hot labels); diffusers' scheduler preconditions the same raw network."""
    peer = diffusers.EDMEulerScheduler(sigma_data=0.5)

    class Precond(Net):
        def forward(self, x: Tensor, sigma: Tensor, class_labels: Tensor) -> Tensor:
            steps = zip(x, sigma, class_labels, strict=True)
            return torch.cat([self.one(x[None], s, label[None]) for x, s, label in steps])

        def one(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
            raw = self.inner(peer.precondition_inputs(x, sigma), peer.precondition_noise(sigma), label)
            return peer.precondition_outputs(x, raw, sigma)

    network = Precond(img_resolution=8, img_channels=2, label_dim=3, sigma_min=0.0, sigma_max=float("inf")).eval()
    denoiser = wrap(network, preset=presets.edm(network), micro_batch=3)
    x = noisy() * sigma
    with torch.no_grad():
        theirs = network(x, torch.full((3,), sigma), one_hot())
    agree(denoiser(x, denoiser.level(sigma), {"class_labels": LABELS}), theirs)
    assert (denoiser.event_shape, denoiser.traits.classes) == ((2, 8, 8), 3)

    raw = wrap(network.inner, "edm", "edm(0.5)", (2, 8, 8), time="log(sigma)/4", call="x, t, one_hot(class_labels, 3)")
    agree(raw(x, raw.level(sigma), {"class_labels": LABELS}), theirs)  # the same, declared from the raw network


class Labelled(nn.Module):
    """What DiT's and SiT's networks keep beside a diffusers transformer of the same design: forward(x, t, y)."""

    def __init__(self, learn_sigma: bool) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.transformer = diffusers.DiTTransformer2DModel(
                num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8 if learn_sigma else 4,
                num_layers=1, sample_size=8, patch_size=2, num_embeds_ada_norm=3, norm_num_groups=1,
            )  # fmt: skip
            for parameter in self.transformer.parameters():  # its last layer starts at zero
                nn.init.normal_(parameter, std=0.2)
        self.learn_sigma, self.in_channels = learn_sigma, 4
        self.x_embedder, self.y_embedder = SimpleNamespace(img_size=(8, 8)), SimpleNamespace(num_classes=3)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        found: Tensor = self.transformer(x, timestep=t, class_labels=y).sample
        return found


@pytest.mark.parametrize("index", [0, 17, 500, 999])
def test_dit_is_what_diffusers_ddpm_makes_of_its_learned_variance(index: int) -> None:
    """The peer's abar is a float32 product, 1e-4 of x0: see test_loading."""
    network = Labelled(learn_sigma=True).eval()
    denoiser = wrap(network, preset=presets.dit(network), micro_batch=3)
    peer = diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=False)
    x = noisy(4)
    with torch.no_grad():
        output = network(x, torch.full((3,), index), LABELS)
        theirs = peer.step(output, index, x, generator=torch.Generator()).pred_original_sample
    assert output.shape == (3, 8, 8, 8)
    agree(denoiser(x, denoiser.schedule(float(index)), {"class_labels": LABELS}), theirs, 1e-4)
    assert (denoiser.event_shape, denoiser.traits.classes) == ((4, 8, 8), 3)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.9])
def test_sit_is_one_euler_step_of_flow_matching(t: float) -> None:
    """SiT's code puts data at t = 1; diffusers' flow puts noise there, so its velocity is the negative at 1 - t."""
    network = Labelled(learn_sigma=False).eval()
    denoiser = wrap(network, preset=presets.sit(network), micro_batch=3)
    peer = diffusers.FlowMatchEulerDiscreteScheduler()
    peer.set_timesteps(sigmas=[1.0 - t])
    x = noisy(4)
    with torch.no_grad():
        output = -network(x, torch.full((3,), t), LABELS)
        theirs = peer.step(output, peer.timesteps[0], x).prev_sample
    agree(denoiser(x, denoiser.schedule(t), {"class_labels": LABELS}), theirs)


def sde(name: str, **fields: float) -> object:
    """An object of the class that score_sde names so."""
    return type(name, (), fields)()


def of_sde(sde: object) -> tuple[Net, Denoiser]:
    network = Net()
    return network, wrap(
        network, event_shape=(2, 8, 8), call="x, t, one_hot(class_labels, 3)", preset=presets.score_sde(sde),
        micro_batch=3,
    )  # fmt: skip


@pytest.mark.parametrize("sigma", [0.01, 1.0, 50.0])
def test_score_sde_ve_is_the_last_step_of_diffusers(sigma: float) -> None:
    """Diffusers' predictor goes from its lowest level to 0, without its noise: x + sigma^2 score, which is x0."""
    network, denoiser = of_sde(sde("VESDE", sigma_min=0.01, sigma_max=50.0))
    peer = diffusers.ScoreSdeVeScheduler(num_train_timesteps=2, sigma_min=sigma, sigma_max=2 * sigma, sampling_eps=1e-5)
    peer.set_timesteps(2)
    peer.set_sigmas(2)
    x = noisy() * sigma
    with torch.no_grad():
        score = network(x, torch.full((3,), sigma), one_hot())
        theirs = peer.step_pred(score, torch.tensor(0.0), x).prev_sample_mean
    agree(denoiser(x, denoiser.level(sigma), {"class_labels": LABELS}), theirs)


@pytest.mark.parametrize("t", [0.001, 0.1, 0.5, 1.0])
def test_score_sde_vp_has_the_score_of_diffusers(t: float) -> None:
    """From the peer's step of size 1 along its reverse drift: mean = x + beta x / 2 + beta score.

    Its std is a float32 square root of 1 - exp(-small): 2^-24 / (2 * 1.1e-4), 3e-4 of it, at t = 0.001.
    """
    network, denoiser = of_sde(sde("VPSDE", beta_0=0.1, beta_1=20.0))
    peer = ScoreSdeVpScheduler()
    peer.set_timesteps(1)
    x, time = noisy(), torch.tensor(t)
    with torch.no_grad():
        output = network(x, torch.full((3,), 999 * t), one_hot())
        mean = peer.step_pred(output, x.double(), time)[1]
    beta = 0.1 + t * 19.9
    score = (mean - x.double()) / beta - x.double() / 2
    level = denoiser.schedule(t)
    ours = -denoiser.predict(x, level, {"class_labels": LABELS}).eps / level.sigma_t
    agree(ours.float(), score.float(), 3e-4)


@pytest.mark.parametrize("t", [0.001, 0.1, 0.5, 1.0])
def test_score_sde_sub_vp_is_the_papers(t: float) -> None:
    """arXiv:2011.13456, appendix B and C: alpha = exp(-B/2), std = 1 - exp(-B) with B the integral of beta, and the
    network predicts -std score. No installed package has it, so the formula is written out."""
    network, denoiser = of_sde(sde("subVPSDE", beta_0=0.1, beta_1=20.0))
    integral = torch.tensor(0.1 * t + 19.9 * t**2 / 2, dtype=torch.float64)
    alpha, std = torch.exp(-integral / 2), -torch.expm1(-integral)
    x = noisy()
    with torch.no_grad():
        score = -network(x, torch.full((3,), 999 * t), one_hot()) / std
    agree(denoiser(x, denoiser.schedule(t), {"class_labels": LABELS}), ((x + std**2 * score) / alpha).float())


def test_an_unknown_sde_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected VESDE, VPSDE or subVPSDE, got OtherSDE"):
        presets.score_sde(sde("OtherSDE"))


FACTORY = """
from types import SimpleNamespace
import torch
from diffusers import DDPMScheduler
from torch import nn

class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(2, 4, 3, padding=1)
    def forward(self, x, timesteps):
        return self.body(x) + timesteps[:, None, None, None] / 1000

def create():
    kinds = SimpleNamespace(name="START_X"), SimpleNamespace(name="LEARNED_RANGE")
    table = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double().numpy()
    return Unet(), SimpleNamespace(model_mean_type=kinds[0], model_var_type=kinds[1], alphas_cumprod=table)
"""


def test_a_suite_names_the_preset_of_a_network_and_its_process(tmp_path: Path) -> None:
    """guided-diffusion's create_model_and_diffusion returns both; the preset reads the process."""
    (tmp_path / "mine.py").write_text(FACTORY)
    with SourceFolder(tmp_path).entered():
        network = importlib.import_module("mine").Unet()
    torch.save(network.state_dict(), tmp_path / "w.pt")
    for spec in ("python:mine:create", "state_dict:w.pt"):
        fields = {"factory": "mine:create"} if spec[0] == "s" else {}
        model = Model(name="m", spec=spec, preset="guided_diffusion", event_shape=(2, 8, 8), **fields)
        denoiser = load_model(model, tmp_path, device="cpu", micro_batch=3)
        with torch.no_grad():
            expected = network(noisy(), torch.full((3,), 500))[:, :2]
        agree(denoiser(noisy(), denoiser.schedule(500.0)), expected)
    model = Model(name="m", spec="python:mine:create", preset="edm")
    with pytest.raises(ConfigError, match=r"python:.*: preset edm: can't be read off a SimpleNamespace: .*img_resol"):
        load_model(model, tmp_path, device="cpu", micro_batch=3)
