"""Guidance is the mix it says, counts what it costs, and text comes through a pipeline's own encoder."""

from __future__ import annotations

import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.conditioning import Guidance, encode_text, guided
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.identity import identity
from torch import Tensor

NULL = {"class_labels": 4}
LABELS = {"class_labels": torch.tensor([0, 1, 2])}


def labelled(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    return 0.5 * x + y.reshape(-1, 1)


def model() -> Denoiser:
    return wrap(labelled, "edm", "x0", (2,), call="x, t, class_labels", classes=4, micro_batch=4)


def at(denoiser: Denoiser, sigma: float = 1.0) -> Tensor:
    return denoiser(torch.zeros(3, 2), denoiser.level(sigma), LABELS)[:, 0]


@pytest.mark.parametrize(("scale", "expected"), [(0.0, [4, 4, 4]), (1.0, [0, 1, 2]), (2.0, [-4, -2, 0])])
def test_guidance_is_linear_in_the_scale(scale: float, expected: list[float]) -> None:
    assert at(guided(model(), Guidance(scale, NULL))).tolist() == expected


def test_guidance_acts_within_its_interval_and_is_counted() -> None:
    denoiser = guided(model(), Guidance(2.0, NULL, interval=(0.5, 5.0)))
    assert at(denoiser, 0.1).tolist() == [0, 1, 2]
    assert denoiser.evaluations == 3
    levels = denoiser.level(torch.tensor([0.1, 1.0, 10.0]))
    mixed = denoiser(torch.zeros(3, 2), levels, LABELS)[:, 0]
    assert mixed.tolist() == [0, -2, 2]
    assert denoiser.evaluations == 3 + 3 + 1


def test_guidance_where_another_time_is_told() -> None:
    """The network's answer is its own time, here; both halves of the mix are told the same one."""
    clock = wrap(
        lambda x, t, y: 0 * x + t[:, None] + y[:, None], "edm", "x0", (2,), call="x, t, class_labels", classes=4,
        micro_batch=4,
    )  # fmt: skip
    denoiser = guided(clock, Guidance(2.0, NULL, interval=(0.5, 5.0)))
    level, told = denoiser.level(torch.tensor([0.1, 1.0, 10.0])), denoiser.level(torch.tensor([1.0, 2.0, 3.0]))
    found = denoiser.raw(torch.zeros(3, 2), level, LABELS, told)[:, 0]
    assert found.tolist() == [1 + 0, 2 + (2 * 1 - 4), 3 + 2]


def test_a_network_that_takes_the_doubled_batch() -> None:
    """As DiT's forward_with_cfg: it guides by itself, and both halves come back alike."""

    def with_cfg(x: Tensor, t: Tensor, y: Tensor, scale: float) -> Tensor:
        conditional, without = labelled(x, t, y).chunk(2)
        mixed = without + scale * (conditional - without)
        return torch.cat((mixed, mixed))

    itself = wrap(with_cfg, "edm", "x0", (2,), call="x, t, class_labels, 2.0", classes=4, micro_batch=4)
    assert torch.equal(at(guided(itself, Guidance(2.0, NULL, doubled=True))), at(guided(model(), Guidance(2.0, NULL))))


def test_impossible_guidance_is_refused() -> None:
    with pytest.raises(ConfigError, match="stands for no condition"):
        Guidance(2.0, {})
    with pytest.raises(ConfigError, match="interval of sigmas"):
        Guidance(2.0, NULL, (3.0, 1.0))
    denoiser = guided(model(), Guidance(2.0, {"text": 0}))
    with pytest.raises(ConfigError, match=r"no conditioning \['text'\]; there is \['class_labels'\]"):
        at(denoiser)


def test_text_through_the_pipelines_own_encoder() -> None:
    class Pipeline:
        device = torch.device("cpu")

        def encode_prompt(
            self, prompt: list[str], device: torch.device, num_images_per_prompt: int, do_classifier_free_guidance: bool
        ) -> tuple[Tensor, Tensor | None]:
            assert num_images_per_prompt == 1
            assert not do_classifier_free_guidance
            return torch.tensor([[[float(len(text))]] for text in prompt]), None

    cond = encode_text(Pipeline(), ["a", "four"])
    assert cond["encoder_hidden_states"].flatten().tolist() == [1.0, 4.0]
    denoiser = wrap(lambda x, t, encoder_hidden_states: x + encoder_hidden_states[:, 0], "edm", "x0", (1,))
    assert denoiser(torch.zeros(2, 1), denoiser.level(1.0), cond).flatten().tolist() == [1.0, 4.0]
    with pytest.raises(ConfigError, match="expected a pipeline with encode_prompt"):
        encode_text(object(), ["a"])


def test_a_real_pipelines_encoder() -> None:
    """Stable Diffusion's classes, tiny, built from configurations."""
    import diffusers
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPTextConfig(
        vocab_size=100, max_position_embeddings=8, bos_token_id=0, eos_token_id=1, **sizes
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        norm_num_groups=4,
        attention_head_dim=4,
    ).eval()
    encoder = transformers.CLIPTextModel(config).eval()

    class Pipeline:
        device = torch.device("cpu")

        def encode_prompt(self, prompt: list[str], device: torch.device) -> tuple[Tensor]:
            tokens = torch.tensor([[0, *(2 + ord(letter) % 90 for letter in text[:3].ljust(3)), 1] for text in prompt])
            return (encoder(tokens)[0],)

    cond = encode_text(Pipeline(), ["cat", "dog"])
    denoiser = wrap(unet, "scaled_linear", "eps", (4, 8, 8), pick=".sample", micro_batch=2)
    x, level = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)), denoiser.level(1.0)
    found = denoiser.raw(x, level, cond)
    with torch.no_grad():
        expected = unet(x, level.time.float().expand(2), cond["encoder_hidden_states"]).sample
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, denoiser.raw(x, level, encode_text(Pipeline(), ["dog", "dog"])))


def test_guidance_by_an_unknown_condition_is_known_before_anything_runs() -> None:
    """A run's identity asks the network, and so meets a null that names no condition."""
    denoiser = wrap(lambda x, t, class_labels: x, "edm", "x0", (2,), call="x, t, class_labels=class_labels", classes=3)
    with pytest.raises(ConfigError, match=r"guidance: no conditioning \['class_label'\]; there is \['class_labels'\]"):
        identity(guided(denoiser, Guidance(2.0, {"class_label": 3})))
