"""Diffusers' schedulers through our loop: the images of diffusers' own pipelines, and any model behind any of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import diffusers
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.denoiser import Denoiser, Traits, wrap
from sigmascope.evals.loading import load
from sigmascope.evals.noise import Noise
from sigmascope.evals.parameterization import edm
from sigmascope.evals.samplers import DiffusersScheduler, sample, solver
from sigmascope.evals.schedules import EDM, RectifiedFlow, Schedule, Table
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from torch import Tensor

# diffusers hands tensors to NumPy in ways that NumPy 2 has deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning"),
]

UNet = Callable[..., diffusers.UNet2DModel]
TABLE = Table.from_betas(torch.linspace(1e-4, 0.02, 1000))
IDS, NOISE = torch.arange(4), Noise(9)
GAUSSIAN = Gaussian(
    torch.tensor([0.5, -0.3, 0.0, 1.0], dtype=torch.float64), torch.tensor([1.0, 0.25, 0.04, 2.0], dtype=torch.float64)
)


def unit() -> Tensor:
    """The noise our loop starts these samples from."""
    return NOISE.normal(IDS, "initial", 0, (1, 8, 8))


def saved(folder: Path, unet: diffusers.UNet2DModel, scheduler: diffusers.SchedulerMixin) -> Denoiser:
    unet.save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")
    return load(f"diffusers:{folder}", micro_batch=len(IDS))


def documented_loop(unet: diffusers.UNet2DModel, scheduler: diffusers.SchedulerMixin, steps: int) -> Tensor:
    """scale_model_input -> network -> step, as diffusers' documentation writes it."""
    scheduler.set_timesteps(steps)
    x = unit() * scheduler.init_noise_sigma
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(unet(scheduler.scale_model_input(x, t), t).sample, t, x).prev_sample
    return x


def agree(ours: Tensor, theirs: Tensor) -> None:
    """Float32 through some 10 network calls: 1e-5 where the images are of size 1; larger images in proportion."""
    assert float(theirs.std()) > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ddim_gives_the_images_of_ddim_pipeline(prediction: str, tmp_path: Path, tiny_unet: UNet) -> None:
    unet, scheduler = tiny_unet(), diffusers.DDIMScheduler(prediction_type=prediction)
    denoiser = saved(tmp_path, unet, scheduler)
    ours = sample(denoiser, solver("diffusers:DDIMScheduler"), IDS, NOISE, steps=10)
    assert ours.evaluations == 10
    pipeline = diffusers.DDIMPipeline(unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)

    # the pipeline draws x_T from its generators: give it ours
    theirs = with_initial_noise(lambda: pipeline(batch_size=4, num_inference_steps=10, output_type="np").images)
    got = (ours.images / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    agree(got, torch.from_numpy(theirs))


def with_initial_noise(run: Callable[[], object]) -> object:
    """Runs diffusers' DDIM pipeline with its one draw of noise replaced."""
    from diffusers.pipelines.ddim import pipeline_ddim

    original = pipeline_ddim.randn_tensor
    pipeline_ddim.randn_tensor = lambda shape, **_: unit().reshape(shape)
    try:
        return run()
    finally:
        pipeline_ddim.randn_tensor = original


CASES = [
    ("DDIMScheduler", {}),
    ("DDIMScheduler", {"timestep_spacing": "trailing"}),
    (
        "DDIMScheduler",
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    ),
    ("DDIMScheduler", {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False}),
    ("PNDMScheduler", {"skip_prk_steps": True}),
    ("DPMSolverMultistepScheduler", {}),
    ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    ("DPMSolverMultistepScheduler", {"prediction_type": "v_prediction"}),
    ("UniPCMultistepScheduler", {}),
    ("EulerDiscreteScheduler", {}),
    ("EulerDiscreteScheduler", {"prediction_type": "v_prediction", "timestep_spacing": "trailing"}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    ("HeunDiscreteScheduler", {}),
    ("KDPM2DiscreteScheduler", {"num_train_timesteps": 100}),
    ("LMSDiscreteScheduler", {}),
    ("DEISMultistepScheduler", {}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{'-'.join(map(str, o.values()))}" for n, o in CASES])
def test_a_scheduler_gives_the_images_of_its_own_loop(
    name: str, options: dict[str, object], tmp_path: Path, tiny_unet: UNet
) -> None:
    unet, kind = tiny_unet(), getattr(diffusers, name)
    denoiser = saved(tmp_path, unet, kind(**options))
    ours = sample(denoiser, solver(f"diffusers:{name}"), IDS, NOISE, steps=8)
    agree(ours.images, documented_loop(unet, kind(**options), 8))
    assert ours.evaluations == len(ours.sigmas) - 1


@pytest.mark.parametrize("name", ["DDPMScheduler", "EulerAncestralDiscreteScheduler"])
def test_a_stochastic_scheduler_gives_its_own_images_too(name: str, tmp_path: Path, tiny_unet: UNet) -> None:
    """With one generator per sample and step, as our loop hands them out."""
    unet, kind = tiny_unet(), getattr(diffusers, name)
    denoiser = saved(tmp_path, unet, kind())
    ours = sample(denoiser, solver(f"diffusers:{name}"), IDS, NOISE, steps=8)
    scheduler = kind()
    scheduler.set_timesteps(8)
    x = unit() * scheduler.init_noise_sigma
    with torch.no_grad():
        for index, t in enumerate(scheduler.timesteps):
            output = unet(scheduler.scale_model_input(x, t), t).sample
            x = scheduler.step(output, t, x, generator=NOISE.generators(IDS, "step", index)).prev_sample
    agree(ours.images, x)


def test_flow_match_euler_gives_its_own_images(tmp_path: Path, tiny_unet: UNet) -> None:
    for shift in (1.0, 3.0):
        unet, scheduler = tiny_unet(), diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
        denoiser = saved(tmp_path / str(shift), unet, scheduler)
        ours = sample(denoiser, solver("diffusers:FlowMatchEulerDiscreteScheduler"), IDS, NOISE, steps=8)
        scheduler.set_timesteps(8)
        x = unit()
        with torch.no_grad():
            for t in scheduler.timesteps:
                x = scheduler.step(unet(x, t.expand(4)).sample, t, x, return_dict=False)[0]
        agree(ours.images, x)


def test_edm_euler_gives_its_own_images(tiny_unet: UNet) -> None:
    """An EDM network sees c_in x and c_noise = log(sigma)/4 and returns F; the scheduler does the rest."""
    unet = tiny_unet()
    denoiser = wrap(
        unet, EDM(), edm(0.5), (1, 8, 8), micro_batch=4, time=lambda level: level.sigma.log() / 4,
        call=lambda x, t, cond: unet(x / torch.sqrt(torch.exp(4 * t) ** 2 + 0.25)[:, None, None, None], t).sample,
    )  # fmt: skip
    ours = sample(denoiser, solver("diffusers:EDMEulerScheduler"), IDS, NOISE, steps=8)
    scheduler = diffusers.EDMEulerScheduler()
    scheduler.set_timesteps(8)
    x = unit() * scheduler.init_noise_sigma
    with torch.no_grad():
        for t in scheduler.timesteps:
            output = unet(scheduler.scale_model_input(x, t), t).sample
            x = scheduler.step(output, t, x).prev_sample
    # c_noise passes exp and log in float32 here: 4 * 2^-24 relative in sigma
    torch.testing.assert_close(ours.images, x, rtol=0, atol=1e-4 * max(1.0, float(x.abs().max())))


PATHS = [
    pytest.param(RectifiedFlow(), "flow", id="flow"),
    pytest.param(EDM(0.002, 200.0), "F", id="F"),
    pytest.param(TABLE, "eps", id="eps"),
    pytest.param(TABLE, "v", id="v"),
]


@pytest.mark.parametrize(("schedule", "predicts"), PATHS)
@pytest.mark.parametrize("name", ["DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_any_model_behind_any_scheduler_lands_on_the_data(name: str, schedule: Schedule, predicts: str) -> None:
    """A deterministic solver takes x - mean to a multiple of itself on O1: z to mean + a (z - alpha_T mean).

    For DDIM and Euler a is the product of 1 + (s' - s) s/(l + s^2), discretisation included. DPM++ is held to the data
    only, whose standard deviation a should be: 3%, its last steps being wide. A wrong conversion is off by factors.
    """
    denoiser = as_denoiser(GAUSSIAN, schedule, predicts, micro_batch=4)
    unclipped = {"clip_sample": False} if name == "DDIMScheduler" else {}
    method = DiffusersScheduler(name, {**unclipped, "timestep_spacing": "leading"})
    got = sample(denoiser, method, IDS, NOISE, steps=100, dtype=torch.float64)
    z = NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    factor = (got.images[1:] - got.images[0]) / (z[1:] - z[0])
    # schedulers that keep float32: 2^-24 of 157 in each of 100 steps
    torch.testing.assert_close(factor, factor[:1].expand(3, 4), rtol=1e-3, atol=1e-3)
    start = torch.sqrt(1 + got.sigmas[0] ** 2)
    product = start.expand(4)
    for s, following in pairwise(got.sigmas):
        product = product * (1 + (following - s) * s / (GAUSSIAN.variances + s**2))
    second_order = name.startswith("DPM")
    torch.testing.assert_close(factor[0], GAUSSIAN.variances.sqrt(), rtol=0.03 if second_order else 0.1, atol=0)
    if not second_order:
        torch.testing.assert_close(factor[0], product, rtol=1e-3, atol=0)
    expected = GAUSSIAN.mean + factor[0] * (z - GAUSSIAN.mean / start)
    torch.testing.assert_close(got.images, expected, rtol=0, atol=1e-3)


def test_a_flow_model_behind_ddpm_lands_on_the_data() -> None:
    """Ancestral: the variance of 512 samples, sqrt(2/512) of error, 4.5 of which over 4 modes; plus 0.1 as above."""
    denoiser = as_denoiser(GAUSSIAN, RectifiedFlow(), "flow", micro_batch=512)
    method = DiffusersScheduler("DDPMScheduler", {"clip_sample": False})
    got = sample(denoiser, method, torch.arange(512), NOISE, steps=100, batch_size=512, dtype=torch.float64).images
    assert bool(((got.var(0) / GAUSSIAN.variances - 1).abs() < 4.5 * (2 / 512) ** 0.5 + 0.1).all())
    assert bool(((got.mean(0) - GAUSSIAN.mean).abs() < 4.5 * (GAUSSIAN.variances / 512).sqrt() + 0.05).all())


def test_ddim_of_diffusers_is_our_ddim_on_its_levels() -> None:
    """On a Gaussian, to the float32 of its table and the state's last step, which stops at its own final abar."""
    denoiser = as_denoiser(GAUSSIAN, TABLE, "eps")
    method = DiffusersScheduler("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": True})
    theirs = sample(denoiser, method, IDS, NOISE, steps=20, dtype=torch.float64)
    ours = sample(
        denoiser, solver("ddim"), IDS, NOISE, steps=20, grid=lambda schedule, steps: theirs.sigmas, dtype=torch.float64
    )
    # x_T is z there and sigma_T z in the scaled state here: alpha_T z = 0.006 of it apart, contracted by sqrt(l)/sigma
    torch.testing.assert_close(theirs.images, ours.images, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["DDPMScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_samples_do_not_depend_on_the_batch(name: str, tmp_path: Path, tiny_unet: UNet) -> None:
    denoiser = saved(tmp_path, tiny_unet(), getattr(diffusers, name)())
    ids = torch.arange(30, 41)
    whole = sample(denoiser, solver(f"diffusers:{name}"), ids, NOISE, steps=4).images
    for size in (1, 7):
        assert torch.equal(
            sample(denoiser, solver(f"diffusers:{name}"), ids, NOISE, steps=4, batch_size=size).images, whole
        )
    flipped = sample(denoiser, solver(f"diffusers:{name}"), ids.flip(0), NOISE, steps=4)
    assert torch.equal(flipped.images.flip(0), whole)


def test_unknown_schedulers_are_refused() -> None:
    for name in ("DDIMSchedular", "UNet2DModel", "DDIMPipeline", "__name__", "SchedulerMixin"):
        with pytest.raises(ConfigError, match=f"unknown diffusers scheduler '{name}'"):
            solver(f"diffusers:{name}")
    with pytest.raises(ConfigError, match="unknown sampler"):
        solver("diffusers:")


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("DDIMScheduler", 1001),
        ("DDPMScheduler", 2000),
        ("DDIMScheduler", 0),
        ("EulerDiscreteScheduler", 0),
        ("FlowMatchEulerDiscreteScheduler", 0),
        ("DDIMScheduler", -3),
    ],
)
def test_impossible_step_counts_are_refused(name: str, steps: int) -> None:
    with pytest.raises(ConfigError, match=f"{steps} steps|at least 1, got {steps}"):
        solver(f"diffusers:{name}").levels(as_denoiser(GAUSSIAN), None, steps)


def test_what_a_scheduler_cannot_say_is_refused() -> None:
    denoiser = as_denoiser(GAUSSIAN, EDM(), "F")
    with pytest.raises(ConfigError, match="prediction_type 'v_prediction' is not known"):
        sample(
            denoiser, DiffusersScheduler("EDMEulerScheduler", {"prediction_type": "v_prediction"}), IDS, NOISE, steps=4
        )
    with pytest.raises(ConfigError, match="sigma: expected within"):
        # a flow scheduler begins at pure noise, where this model was never trained
        sample(denoiser, solver("diffusers:FlowMatchEulerDiscreteScheduler"), IDS, NOISE, steps=4)
    for name, message in (("IPNDMScheduler", "it has neither"), ("VQDiffusionScheduler", "num_vec_classes")):
        with pytest.raises(ConfigError, match=message):
            sample(denoiser, solver(f"diffusers:{name}"), IDS, NOISE, steps=4)


def test_the_schedulers_configuration_comes_with_the_model() -> None:
    """Options override it; what the class does not know is left out."""
    traits = Traits(scheduler={"_class_name": "DDPMScheduler", "beta_end": 0.01, "timestep_spacing": "trailing"})
    denoiser = wrap(lambda x, t: x, Table.from_betas(torch.linspace(1e-4, 0.01, 1000)), "eps", (4,), traits=traits)
    plain = solver("diffusers:DDIMScheduler").levels(denoiser, None, 4)
    assert float(plain[0]) == pytest.approx(float(denoiser.schedule(999.0).sigma), rel=1e-4)
    other = DiffusersScheduler("DDIMScheduler", {"timestep_spacing": "leading"}).levels(denoiser, None, 4)
    assert float(other[0]) == pytest.approx(float(denoiser.schedule(750.0).sigma), rel=1e-4)
