"""Latent and text models as people have them: a saved pipeline's autoencoder and text encoder, against the pipeline."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from sigmascope import cli
from sigmascope.errors import ConfigError, DataError, LoadError, ModelError
from sigmascope.evals.cells import work
from sigmascope.evals.companions import Autoencoder, TextEncoder, as_autoencoder
from sigmascope.evals.conditioning import Guidance, captioned, guided, numbered
from sigmascope.evals.data import DataSet, load_data, seen_by
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.identity import identity
from sigmascope.evals.loading import load
from sigmascope.evals.loading.pipelines import load_text_encoder
from sigmascope.evals.noise import Noise
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.samplers import sample, solver
from sigmascope.evals.store import Run, Store
from sigmascope.evals.suite import read_suite
from torch import Tensor

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning"),
]

TEXT = {
    "vocab_size": 54, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "max_position_embeddings": 8, "bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53,
}  # fmt: skip
UNET = {
    "sample_size": 4, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "norm_num_groups": 4, "attention_head_dim": 4,
}  # fmt: skip
CAPTIONS = ("a cat", "dog", "a cat", "", "bird", "dog")
SUITE = """
schema = 1
name = "latent"
seed = 3
micro_batch = 4
[data]
source = "images"
[[models]]
name = "text"
spec = "diffusers:PIPELINE"
guidance = {scale = 3.0, null = ""}
[probes]
levels = 3
draws = 1
[sampling]
samplers = ["diffusers:DDIMScheduler"]
steps = [4]
seeds = "0-5"
thumbnails = 6
metrics = ["frechet_distance"]
features = "digits"
"""


def tokenizer(folder: Path) -> transformers.CLIPTokenizer:
    """CLIP's, whose words are single letters."""
    letters = [chr(code) for code in range(97, 123)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=8)


def autoencoder(**options: object) -> diffusers.AutoencoderKL:
    """Grey 8 x 8 images <-> latents 4 x 4 x 4."""
    sizes = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1, "latent_channels": 4}
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return diffusers.AutoencoderKL(in_channels=1, out_channels=1, **sizes, **kinds, **options).eval()


def scheduler() -> diffusers.DDIMScheduler:
    """Stable Diffusion's."""
    return diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, steps_offset=1,
        set_alpha_to_one=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> diffusers.StableDiffusionPipeline:
    """Stable Diffusion's own classes, tiny and seeded; saved in `pipeline.folder`."""
    folder = tmp_path_factory.mktemp("stable-diffusion")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text = transformers.CLIPTextConfig(**TEXT)
        unet = diffusers.UNet2DConditionModel(**UNET, cross_attention_dim=8)
        made = diffusers.StableDiffusionPipeline(
            vae=autoencoder(scaling_factor=0.5, shift_factor=None), text_encoder=transformers.CLIPTextModel(text),
            tokenizer=tokenizer(folder), unet=unet, safety_checker=None, feature_extractor=None,
            scheduler=scheduler(),
            requires_safety_checker=False,
        )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    for part in (made.unet, made.vae, made.text_encoder):
        part.eval()
    made.folder = folder / "saved"
    made.save_pretrained(made.folder)
    return made


def pixels(count: int = len(CAPTIONS)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)


def captioned_folder(root: Path) -> Path:
    """Images and their captions, as Hugging Face's imagefolder has them."""
    folder = root / "images"
    folder.mkdir()
    lines = []
    for index, (image, caption) in enumerate(zip(pixels(), CAPTIONS, strict=True)):
        Image.fromarray(image).save(folder / f"{index}.png")
        lines.append(json.dumps({"file_name": f"{index}.png", "text": caption}))
    (folder / "metadata.jsonl").write_text("\n".join(reversed(lines)))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, pipeline: diffusers.StableDiffusionPipeline) -> Run:
    """`sigmascope run` on the pipeline's folder: probe, sampling, metric."""
    root = tmp_path_factory.mktemp("run")
    captioned_folder(root)
    (root / "suite.toml").write_text(SUITE.replace("PIPELINE", str(pipeline.folder)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was made"))
        arguments = ["run", str(root / "suite.toml"), "--out", str(root / "runs"), "--display", "none"]
        patch.setattr(sys, "argv", ["sigmascope", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert not stop.value.code
    return Store(root / "runs").find("latest")


# --- latents ----------------------------------------------------------------------------------------------------------


def test_encoding_and_decoding_are_the_pipelines_own(pipeline: diffusers.StableDiffusionPipeline) -> None:
    """Latents are the scaled mode of the posterior; both are the same kernels on other batches: 1e-5."""
    found = load(f"diffusers:{pipeline.folder}").autoencoder
    assert found is not None
    assert (found.image_shape, found.latent_shape) == ((1, 8, 8), (4, 4, 4))
    images = pixels()
    ours = found.latents(torch.from_numpy(images)[:, None].float() / 127.5 - 1)
    seen = pipeline.image_processor.preprocess([Image.fromarray(image) for image in images])
    with torch.no_grad():
        theirs = pipeline.vae.encode(seen).latent_dist.mode() * pipeline.vae.config.scaling_factor
        decoded = pipeline.vae.decode(theirs / pipeline.vae.config.scaling_factor).sample
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.images(ours), decoded, rtol=0, atol=1e-5)
    assert torch.equal(found.latents(seen[:1]), found.latents(seen)[:1])  # a row does not depend on how many there are


def test_other_scalings_and_autoencoders() -> None:
    """Stable Diffusion 3's shift, a mean and deviation per channel, LDM's quantizer: as their pipelines write it."""
    images = torch.rand(2, 1, 8, 8) * 2 - 1
    with torch.no_grad():
        shifted = autoencoder(scaling_factor=1.5, shift_factor=0.1)
        z = shifted.encode(images).latent_dist.mode()
        found = as_autoencoder(shifted, (4, 4, 4), "cpu")
        torch.testing.assert_close(found.latents(images), (z - 0.1) * 1.5, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.images(found.latents(images)), shifted.decode(z).sample, rtol=0, atol=1e-5)

        mean, deviation = [0.1, -0.2, 0.0, 0.3], [1.0, 2.0, 0.5, 1.5]
        standard = autoencoder(scaling_factor=0.5, latents_mean=mean, latents_std=deviation)
        z = standard.encode(images).latent_dist.mode()
        channels = (1, 4, 1, 1)
        wanted = (z - torch.tensor(mean).reshape(channels)) * 0.5 / torch.tensor(deviation).reshape(channels)
        torch.testing.assert_close(as_autoencoder(standard, (4, 4, 4), "cpu").latents(images), wanted)

        quantizer = diffusers.VQModel(
            in_channels=1, out_channels=1, block_out_channels=(8,), norm_num_groups=4, latent_channels=2,
            num_vq_embeddings=8, scaling_factor=0.25,
        ).eval()  # fmt: skip
        found = as_autoencoder(quantizer, (2, 8, 8), "cpu")
        latents = quantizer.encode(images).latents
        torch.testing.assert_close(found.latents(images), latents * 0.25)
        torch.testing.assert_close(found.images(latents * 0.25), quantizer.decode(latents).sample)


def test_a_declared_autoencoder(tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline) -> None:
    """From wrap, from a folder, from a function of the suite's folder, and none."""
    vae = autoencoder()
    fields = {"path": "linear", "output": "eps", "event_shape": (4, 4, 4)}
    wrapped = wrap(lambda x, t: x, **fields, autoencoder=vae)
    assert wrapped.image_shape == (1, 8, 8)
    assert wrapped.traits.declaration["autoencoder"] == "AutoencoderKL"
    vae.save_pretrained(tmp_path / "vae")
    np.savez(tmp_path / "images.npz", images=pixels()[..., None])
    (tmp_path / "mine.py").write_text(
        "import diffusers\n"
        "def network():\n    return lambda x, t: x\n"
        f"def vae():\n    return diffusers.AutoencoderKL.from_pretrained({str(tmp_path / 'vae')!r})\n"
    )
    declared = "\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
    found = {}
    for spec in ("diffusers:vae", "python:mine.py:vae", "python:mine:vae"):
        (tmp_path / "suite.toml").write_text(
            'schema = 1\nname = "s"\n[data]\nsource = "images.npz"\n[probes]\nlevels = 2\n[[models]]\nname = "m"\n'
            f'spec = "python:mine:network"\nautoencoder = "{spec}"\n{declared}\n'
        )
        plan = prepare(read_suite(tmp_path / "suite.toml"), tmp_path)
        found[spec] = plan.denoisers["m"].autoencoder.fingerprint
        assert plan.subjects["m"].data.images.shape == (6, 4, 4, 4)
    assert set(found.values()) == {wrapped.autoencoder.fingerprint}
    assert wrap(lambda x, t: x, **fields, autoencoder="none").image_shape == (4, 4, 4)
    with pytest.raises(ConfigError, match=r"expected an Autoencoder, a diffusers autoencoder or.*got function"):
        wrap(lambda x, t: x, **fields, autoencoder=lambda x: x)
    with pytest.raises(ConfigError, match=r"autoencoder: expected one for latents \(3, 4, 4\), got"):
        wrap(lambda x, t: x, **{**fields, "event_shape": (3, 4, 4)}, autoencoder=vae)


def test_the_autoencoder_is_part_of_what_a_model_is() -> None:
    vae = autoencoder()
    one = wrap(lambda x, t: x, "linear", "eps", (4, 4, 4), autoencoder=vae)
    with torch.no_grad():
        next(vae.parameters()).view(-1)[0] += 1e-3
    other = wrap(lambda x, t: x, "linear", "eps", (4, 4, 4), autoencoder=vae)
    assert identity(one) != identity(other)


def test_an_autoencoder_that_breaks_its_word_is_named() -> None:
    for broken, message in ((lambda x: x[:, :, :2], r"got \(1, 2, 4\)"), (lambda x: x * torch.nan, "NaN")):
        with pytest.raises(ModelError, match=message):
            Autoencoder(broken, lambda z: z, (1, 4, 4), (1, 4, 4), "").latents(torch.ones(3, 1, 4, 4))


def test_pipelines_of_latents_without_text(tmp_path: Path) -> None:
    """DiT's and latent diffusion's folders."""
    dit = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1, sample_size=4,
        patch_size=2, num_embeds_ada_norm=3, norm_num_groups=1,
    )  # fmt: skip
    diffusers.DiTPipeline(dit, autoencoder(), scheduler()).save_pretrained(tmp_path / "dit")
    quantizer = diffusers.VQModel(
        in_channels=1, out_channels=1, block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    unet = diffusers.UNet2DModel(
        sample_size=4, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8,), norm_num_groups=4,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
    )  # fmt: skip
    diffusers.LDMPipeline(quantizer, unet, scheduler()).save_pretrained(tmp_path / "ldm")
    for name, classes in (("dit", 3), ("ldm", None)):
        denoiser = load(f"diffusers:{tmp_path / name}", micro_batch=2)
        shapes = (denoiser.event_shape, denoiser.image_shape, denoiser.traits.classes, denoiser.text)
        assert shapes == ((4, 4, 4), (1, 8, 8), classes, None)
        data = seen_by(denoiser, DataSet(torch.rand(2, 1, 8, 8), torch.arange(2), "random"))
        cond = {} if classes is None else {"class_labels": data.labels}
        assert denoiser(data.images, denoiser.level(1.0), cond).shape == (2, 4, 4, 4)


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_run_denoises_what_the_pipeline_would(run: Run, pipeline: diffusers.StableDiffusionPipeline) -> None:
    """Every error of the probe, again, with the pipeline's own parts: its latents, its text, its guidance.

    The table's abar in float64 against theirs in float32: 1e-4 of x0, as in test_loading; twice that of its square.
    """
    (model,) = run.record.models
    assert model.event_shape == (4, 4, 4)
    assert len(model.autoencoder) == 32
    rows = run.table("evaluations")
    levels = run.table("levels").set_index("level")
    assert len(rows) == 3 * len(CAPTIONS)
    images = torch.from_numpy(pixels())[:, None].float() / 127.5 - 1
    with torch.no_grad():
        latents = pipeline.vae.encode(images).latent_dist.mode() * pipeline.vae.config.scaling_factor
        empty = pipeline.encode_prompt([""], "cpu", 1, False)[0]
        for row in rows.itertuples():
            time = torch.tensor(levels.loc[row.level, "time"])
            alpha = (1 / (1 + row.sigma**2)) ** 0.5
            eps = Noise(3).normal(torch.tensor([row.image]), "probe", row.draw * 2**16 + row.level, (4, 4, 4))
            x0 = latents[row.image : row.image + 1]
            x_t = alpha * x0 + alpha * row.sigma * eps
            states = pipeline.encode_prompt([CAPTIONS[row.image]], "cpu", 1, False)[0]
            both = torch.cat((empty, states))
            without, with_text = pipeline.unet(torch.cat((x_t, x_t)), time.float(), both).sample.chunk(2)
            guess = (x_t - alpha * row.sigma * (without + 3.0 * (with_text - without))) / alpha
            assert row.error == pytest.approx(float((guess - x0).square().mean()), rel=2e-4)
            assert row.label == list(dict.fromkeys(CAPTIONS)).index(CAPTIONS[row.image])


def test_a_run_samples_what_the_pipeline_does(run: Run, pipeline: diffusers.StableDiffusionPipeline) -> None:
    """From the same latents and prompts, guided, decoded, as 8-bit images: a value on the edge may round either way."""
    distinct = list(dict.fromkeys(CAPTIONS))
    prompts = [distinct[sample % len(distinct)] for sample in range(6)]
    theirs = pipeline(
        prompts,
        latents=Noise(3).normal(torch.arange(6), "initial", 0, (4, 4, 4)),
        guidance_scale=3.0,
        num_inference_steps=4,
        output_type="np",
    ).images
    ours = run.images("text", "diffusers:DDIMScheduler", 4, "native")
    assert float(theirs.std()) > 0.02
    for one in range(6):
        assert np.abs(ours[one][..., :1].astype(int) - (theirs[one] * 255).round().astype(int)).max() <= 1
    assert {tile.shape for tile in run.worst("text").values()} == {(8, 8, 3)}
    metrics = run.table("metrics")
    assert metrics["metric"].tolist() == ["Fréchet distance (digits)"]
    assert np.isfinite(metrics["value"]).all()
    assert run.table("samples")["label"].tolist() == [sample % len(distinct) for sample in range(6)]


def test_stable_diffusion_xl(tmp_path: Path) -> None:
    """Two encoders, a pooled text and the image's size; the pipeline guides away from zeros unless told otherwise."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text = transformers.CLIPTextConfig(**TEXT, projection_dim=8)
        unet = diffusers.UNet2DConditionModel(
            **UNET, cross_attention_dim=16, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 8,
        )  # fmt: skip
        pipeline = diffusers.StableDiffusionXLPipeline(
            vae=autoencoder(scaling_factor=0.5, force_upcast=False), unet=unet, scheduler=scheduler(),
            text_encoder=transformers.CLIPTextModel(text), tokenizer=tokenizer(tmp_path),
            text_encoder_2=transformers.CLIPTextModelWithProjection(text), tokenizer_2=tokenizer(tmp_path),
            add_watermarker=False,
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        part.eval()
    pipeline.save_pretrained(tmp_path / "xl")
    theirs = pipeline(
        ["cat", "dog"], latents=Noise(3).normal(torch.arange(2), "initial", 0, (4, 4, 4)), guidance_scale=3.0,
        num_inference_steps=3, output_type="pt",
    ).images  # fmt: skip
    null = {"encoder_hidden_states": 0, "pooled_projections": 0}
    denoiser = captioned(guided(load(f"diffusers:{tmp_path / 'xl'}"), Guidance(3.0, null)), ["cat", "dog"])
    method, labels = solver("diffusers:DDIMScheduler"), {"class_labels": torch.arange(2)}
    ours = sample(denoiser, method, torch.arange(2), Noise(3), steps=3, cond=labels)
    found = (denoiser.autoencoder.images(ours.images) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-4)


def test_trajectories_in_latent_space(tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline) -> None:
    captioned_folder(tmp_path)
    text = SUITE.replace("PIPELINE", str(pipeline.folder)).replace("[probes]\nlevels = 3\ndraws = 1\n", "")
    text = text.replace("diffusers:DDIMScheduler", "euler").replace('metrics = ["frechet_distance"]', "metrics = []")
    (tmp_path / "suite.toml").write_text(text + 'probes = ["straightness"]\nprobe_samples = 2\n')
    plan = prepare(read_suite(tmp_path / "suite.toml"), tmp_path)
    found = execute(plan, tmp_path / "runs").table("steps")
    assert np.isfinite(found["value"]).any()


def fake_text(asked: list[list[str]]) -> Callable[[Sequence[str]], dict[str, Tensor]]:
    def encode(prompts: Sequence[str]) -> dict[str, Tensor]:
        asked.append(list(prompts))
        return {"words": torch.tensor([[float(len(prompt))] for prompt in prompts])}

    return encode


def text_model(asked: list[list[str]], **options: object) -> Denoiser:
    """D = number of letters of its caption."""
    return wrap(lambda x, t, words: 0 * x + words, "edm", "x0", (2,), text=fake_text(asked), micro_batch=4, **options)


def test_each_caption_is_encoded_once_and_alone() -> None:
    asked: list[list[str]] = []
    plain = text_model(asked)
    model = captioned(plain, CAPTIONS)
    assert asked == [["a cat"], ["dog"], [""], ["bird"]]
    data = seen_by(model, DataSet(torch.zeros(6, 2), None, "zeros", CAPTIONS))
    assert data.labels.tolist() == [0, 1, 0, 2, 3, 1] == numbered(CAPTIONS)[1].tolist()
    for sigma in (0.1, 1.0, 10.0):
        found = model(data.images, model.level(sigma), {"class_labels": data.labels})
        assert found[:, 0].tolist() == [len(caption) for caption in CAPTIONS]
    assert len(asked) == 4
    half = captioned(text_model([], dtype="bfloat16"), ["1234567890"])
    network, seen = half.network, []
    half.network = lambda x, t, cond: seen.append(network(x, t, cond)) or seen[-1]
    assert half(torch.zeros(1, 2), half.level(1.0), {"class_labels": torch.tensor([0])}).tolist() == [[10.0, 10.0]]
    assert seen[0].dtype == torch.bfloat16
    with pytest.raises(ConfigError, match="expected class_labels, the numbers of its captions"):
        model(data.images, model.level(1.0))
    with pytest.raises(ConfigError, match="expected captions"):
        captioned(plain, [])
    with pytest.raises(ConfigError, match="expected a model of text and nothing else"):
        captioned(wrap(lambda x, t: x, "edm", "x0", (2,)), CAPTIONS)


@pytest.mark.parametrize(("null", "without"), [("", 0), ("four", 4), ({"words": 7}, 7)])
def test_guidance_away_from_a_prompt(null: object, without: int) -> None:
    plain = text_model([])
    plain = guided(plain, Guidance(2.0, null, (0.5, 5.0)))
    model = captioned(plain, CAPTIONS)
    labels = {"class_labels": numbered(CAPTIONS)[1]}
    inside, outside = (model(torch.zeros(6, 2), model.level(sigma), labels)[:, 0].tolist() for sigma in (1.0, 0.1))
    assert inside == [2 * len(caption) - without for caption in CAPTIONS]
    assert outside == [len(caption) for caption in CAPTIONS]
    words = {"words": torch.tensor([[5.0]])}  # entries by name work without captions too
    assert plain(torch.zeros(1, 2), plain.level(1.0), words)[0, 0] == 10 - without


def test_a_prompt_is_no_condition_of_a_model_without_text() -> None:
    with pytest.raises(ConfigError, match=r"null is the prompt '', but .* takes no text"):
        guided(wrap(lambda x, t: x, "edm", "x0", (2,)), Guidance(2.0, ""))


def test_guidance_of_a_suite(tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline) -> None:
    captioned_folder(tmp_path)
    text = SUITE.replace("PIPELINE", str(pipeline.folder))
    text = text.replace('null = ""', 'null = "blur", interval = [0.3, 4.0]')
    (tmp_path / "suite.toml").write_text(text)
    (model,) = read_suite(tmp_path / "suite.toml").models
    assert model.guidance.guidance() == Guidance(3.0, "blur", (0.3, 4.0))


def test_captions_of_a_folder_a_file_and_a_function(tmp_path: Path) -> None:
    folder = captioned_folder(tmp_path)
    data = load_data("images", tmp_path)
    assert data.captions == CAPTIONS
    assert data.first(2).captions == CAPTIONS[:2]
    assert data.digest != DataSet(data.images, data.labels, data.source).digest
    np.savez(tmp_path / "images.npz", images=pixels()[..., None], captions=np.array(CAPTIONS))
    assert load_data("images.npz", tmp_path).captions == CAPTIONS
    (tmp_path / "given.py").write_text(
        f"import torch\ndef data():\n    return torch.zeros(6, 2), None, {list(CAPTIONS)}\n"
        "def wrong():\n    return torch.zeros(6, 2), None, 'one text'\n"
        "def many():\n    return 1, 2, 3, 4\n"
        "def few():\n    return torch.zeros(6, 2), None, ['one text']\n"
    )
    assert load_data("python:given.py:data", tmp_path).captions == CAPTIONS
    wrong = {"wrong": "expected a list of strings as captions, got str", "few": "6 captions, got 1", "many": "4 parts"}
    for name, message in wrong.items():
        with pytest.raises(DataError, match=message):
            load_data(f"python:given:{name}", tmp_path)
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    (folder / "metadata.jsonl").write_text("\n".join(lines[1:]))
    with pytest.raises(DataError, match=r"a caption for every image, none for \['5.png'\] \(1 in all\)"):
        load_data("images", tmp_path)
    (folder / "metadata.jsonl").write_text('{"file_name": "0.png"}')
    with pytest.raises(DataError, match=r"metadata\.jsonl:1: expected"):
        load_data("images", tmp_path)


def test_data_without_captions_is_refused(tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline) -> None:
    folder = captioned_folder(tmp_path)
    (folder / "metadata.jsonl").unlink()
    (tmp_path / "suite.toml").write_text(SUITE.replace("PIPELINE", str(pipeline.folder)))
    with pytest.raises(DataError, match=r"conditioned on text, but the data images has no captions.*metadata\.jsonl"):
        prepare(read_suite(tmp_path / "suite.toml"), tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("text_encoder", ["os", "system"], "expected text_encoder to be a class of transformers"),
        ("tokenizer", ["mine", "Tokenizer"], "expected tokenizer to be a class of transformers"),
        ("_class_name", ["mine", "Pipeline"], "names no diffusers pipeline"),
        ("_class_name", "DDPMPipeline", "expected a pipeline with a text encoder, got DDPMPipeline"),
    ],
)
def test_a_pipelines_index_runs_no_code(
    key: str, value: object, message: str, tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline
) -> None:
    index = json.loads((pipeline.folder / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**index, key: value}))
    (tmp_path / "mine.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(LoadError, match=message):
        load_text_encoder(tmp_path)


def test_source_in_a_pipelines_folder_is_not_run(tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline) -> None:
    """Where from_pretrained of a pipeline looks for its own classes."""
    folder = shutil.copytree(pipeline.folder, tmp_path / "saved")
    for place in ("None.py", "StableDiffusionPipeline.py", "text_encoder/transformers.py", "tokenizer/transformers.py"):
        (folder / place).write_text("raise SystemExit('it ran')")
    theirs = load_text_encoder(pipeline.folder).rows(["a cat"])
    assert torch.equal(
        load_text_encoder(folder).rows(["a cat"])["encoder_hidden_states"], theirs["encoder_hidden_states"]
    )


def test_a_text_encoder_without_all_its_weights_is_refused(
    tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline
) -> None:
    folder = shutil.copytree(pipeline.folder, tmp_path / "saved")
    file = folder / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    name = sorted(weights)[0]
    save_file({key: value for key, value in weights.items() if key != name}, file, {"format": "pt"})
    with pytest.raises(LoadError, match="expected the weights of CLIPTextModel, none for"):
        load_text_encoder(folder).rows(["a cat"])
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(LoadError, match="its text encoder can't be loaded"):
        load_text_encoder(folder).rows(["a cat"])
    file.unlink()
    (folder / "text_encoder" / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(LoadError, match="its text encoder can't be loaded"):
        load_text_encoder(folder).rows(["a cat"])


def test_a_text_encoder_is_known_by_its_files(pipeline: diffusers.StableDiffusionPipeline) -> None:
    one, again = (load_text_encoder(pipeline.folder).fingerprint for _ in range(2))
    assert one == again != ""
    assert TextEncoder(lambda: fake_text([])).rows(["a", "to"])["words"].flatten().tolist() == [1.0, 2.0]


def test_a_score_of_prompts_is_given_each_samples_own(
    tmp_path: Path, pipeline: diffusers.StableDiffusionPipeline
) -> None:
    """A metric that compares images with prompts hears of the caption that each sample was made from."""
    captioned_folder(tmp_path)
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE.replace("PIPELINE", str(pipeline.folder)))
    heard: list[Sequence[str] | None] = []

    class Ears:
        fingerprint = ""

        def scores(self, images: Tensor, prompts: Sequence[str] | None) -> list[object]:
            heard.append(prompts)
            return []

    plan = replace(prepare(read_suite(suite), tmp_path), scorer=Ears())
    cell = next(cell for cell in plan.cells if cell.kind == "sample")
    tables, _ = work(plan, cell, lambda evaluations: None)
    distinct = list(dict.fromkeys(CAPTIONS))
    assert heard == [[distinct[label] for label in tables["samples"]["label"]]]
    assert len(set(heard[0] or ())) == len(distinct)


def test_a_score_of_prompts_is_refused_for_a_model_without_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Prompted:
        fingerprint, prompted = "", ["clip_score"]

        def __init__(self, *_: object) -> None: ...

    monkeypatch.setattr("sigmascope.evals.planning.Scorer", Prompted)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    text = SUITE.split("[data]")[0] + TEXTLESS
    (tmp_path / "suite.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"clip_score: expected models of text, and 'toy' takes none"):
        prepare(read_suite(tmp_path / "suite.toml"), tmp_path)


TEXTLESS = """
[data]
source = "python:toy:data"
[[models]]
name = "toy"
spec = "python:toy:toy"
[sampling]
samplers = ["euler"]
steps = [2]
seeds = "0-3"
metrics = ["clip_score"]
"""
