"""CLIP score end to end: tiny seeded CLIPs saved and loaded offline, against torchmetrics and transformers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.multimodal as theirs
from PIL import Image
from sigmascope.errors import ConfigError, DataError, IncomparableError, LoadError
from sigmascope.evals.data import DataSet
from sigmascope.evals.scoring import Scorer
from sigmascope.metrics.evaluate import evaluate
from sigmascope.metrics.features import FeatureOptions, load_features
from sigmascope.metrics.features.vit import embed_prompts
from sigmascope.metrics.images import Images, open_images
from sigmascope.metrics.prompts import read_prompts
from sigmascope.metrics.protocols import PROTOCOLS
from sigmascope.metrics.scores import Score, require_comparable
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

WORDS = ["a", "red", "green", "photo", "of", "cat", "dog", "depicts"]
PROMPTS = ["a red cat", "green dog of a photo", "photo", "a cat", "dog dog dog dog", "a photo of red", "cat", "of"]


def save_clip(folder: Path, seed: int) -> Path:
    """A CLIP of random weights in transformers' layout, with a tokenizer that knows letters and a few words."""
    torch.manual_seed(seed)
    text = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
            "vocab_size": 99, "max_position_embeddings": 20, "bos_token_id": 0, "eos_token_id": 1}  # fmt: skip
    vision = {**text, "image_size": 32, "patch_size": 8}
    for name in ("vocab_size", "max_position_embeddings", "bos_token_id", "eos_token_id"):
        del vision[name]
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    for parameter in model.parameters():  # transformers starts near 0, where every embedding is alike
        torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    letters = sorted({letter for word in WORDS for letter in word})
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary.append(parts[0])
    vocabulary, merges = list(dict.fromkeys(vocabulary)), list(dict.fromkeys(merges))
    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(vocabulary)}, merges=merges)
    tokenizer.save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(folder)
    return folder


@pytest.fixture
def at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(tmp_path))
    save_clip(tmp_path / "clip-vit-large-patch14", 0)
    save_clip(tmp_path / "clip-vit-base-patch32", 4)
    return tmp_path


def pictures(n: int = 8) -> Images:
    """Coarse patches, which small networks tell apart better than noise."""
    patches = np.random.default_rng(0).integers(0, 256, (n, 3, 5, 7), dtype=np.uint8)
    return open_images(torch.from_numpy(patches.repeat(8, axis=2).repeat(8, axis=3)))


def scored(name: str, prompts: list[str] | None = None, images: Images | None = None) -> Score:
    prompts = PROMPTS if prompts is None else prompts
    (score,) = evaluate(images or pictures(), None, [name], PROTOCOLS["sigmascope"], prompts=prompts).scores
    return score


def cosines(folder: Path, prompts: list[str]) -> torch.Tensor:
    """By transformers alone: its processor, its model, its way of comparing."""
    model = CLIPModel.from_pretrained(folder).eval()
    processor = CLIPProcessor.from_pretrained(folder)
    images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in pictures().read()]
    inputs = processor(text=prompts, images=images, return_tensors="pt", padding=True)
    with torch.no_grad():
        made = model(**inputs)
    return (made.image_embeds * made.text_embeds).sum(1).double()


def test_it_is_torchmetrics(at_hand: Path) -> None:
    """Given the same model and processor, and the images as they are. transformers 5 returns features inside an
    output, at which torchmetrics 1.9 fails: here they come as before."""
    folder = at_hand / "clip-vit-large-patch14"

    class Plain(CLIPModel):
        def get_image_features(self, *inputs: object, **named: object) -> torch.Tensor:
            return super().get_image_features(*inputs, **named).pooler_output

        def get_text_features(self, *inputs: object, **named: object) -> torch.Tensor:
            return super().get_text_features(*inputs, **named).pooler_output

    def made() -> tuple[CLIPModel, CLIPProcessor]:
        return Plain.from_pretrained(folder).eval(), CLIPProcessor.from_pretrained(folder)

    expected = float(theirs.clip_score(list(pictures().read()), PROMPTS, made).detach())
    found = scored("clip_score")
    # Both average cosines of float32 embeddings; the score is 100 cos, so 1e-4 of it is 1e-6 of a cosine.
    assert found.value == pytest.approx(expected, abs=1e-4)
    assert found.value == pytest.approx(max(float(100 * cosines(folder, PROMPTS).mean()), 0), abs=1e-4)
    assert abs(expected) > 1
    assert found.low < found.value < found.high
    assert found.n == 8


def test_hessel_clamps_every_pair_and_has_his_prefix(at_hand: Path) -> None:
    folder = at_hand / "clip-vit-base-patch32"
    each = cosines(folder, [f"A photo depicts {prompt}" for prompt in PROMPTS])
    found = scored("clip_score_hessel")
    assert found.value == pytest.approx(float(2.5 * each.clamp_min(0).mean()), abs=2.5e-6)
    assert each.min() < 0 < each.max()  # or the next line could not tell
    assert abs(found.value - 2.5 * max(float(each.mean()), 0)) > 1e-3
    without = cosines(folder, PROMPTS)
    assert abs(found.value - float(2.5 * without.clamp_min(0).mean())) > 1e-4


def test_cosines_to_one_millionth(at_hand: Path) -> None:
    """Pair by pair; prompts in batches of their own length, padded, or alone."""
    folder = at_hand / "clip-vit-large-patch14"
    clip = load_features("clip-l")
    images = torch.stack(list(pictures().read()))
    texts = embed_prompts(clip, PROMPTS)
    found = torch.cosine_similarity(clip(images).pooled.double(), texts.double())
    torch.testing.assert_close(found, cosines(folder, PROMPTS), rtol=0, atol=1e-6)
    alone = torch.cat([embed_prompts(clip, [prompt]) for prompt in PROMPTS])
    torch.testing.assert_close(alone, texts, rtol=0, atol=1e-5)
    long = "a red cat of green dog " * 9
    assert torch.equal(embed_prompts(clip, [long]), embed_prompts(clip, [long + "photo"]))  # cut at 20 tokens


def test_scores_compare_on_the_same_prompts_alone(at_hand: Path) -> None:
    first, again, other = scored("clip_score"), scored("clip_score"), scored("clip_score", PROMPTS[::-1])
    require_comparable(first, again)
    assert first.value == again.value
    assert first.value != other.value
    for score in (other, scored("clip_score_hessel")):
        with pytest.raises(IncomparableError):
            require_comparable(first, score)


def test_prompts_are_counted_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(tmp_path))  # no weights here
    with pytest.raises(DataError, match="a prompt for each of 8 images, got 7"):
        scored("clip_score", PROMPTS[:7])
    with pytest.raises(ConfigError, match="got no prompts"):
        evaluate(pictures(), None, ["clip_score"], PROTOCOLS["sigmascope"])


def test_no_tokenizer_and_no_clip(at_hand: Path) -> None:
    clip = load_features("clip-l")
    (at_hand / "clip-vit-large-patch14" / "tokenizer.json").unlink()
    with pytest.raises(LoadError, match=r"expected CLIP's tokenizer\.json, or vocab\.json and merges\.txt"):
        embed_prompts(clip, ["a"])
    with pytest.raises(DataError, match="expected a CLIP network to embed prompts, got digits"):
        embed_prompts(load_features("digits"), ["a"])


def test_a_mean_below_0_is_0_and_has_no_interval(at_hand: Path, tmp_path: Path) -> None:
    """With weights that are named: they are taken for the only network there is."""
    elsewhere = save_clip(tmp_path / "elsewhere", 2)
    assert cosines(elsewhere, PROMPTS).mean() < 0
    options = FeatureOptions(weights=elsewhere)
    (score,) = evaluate(pictures(), None, ["clip_score"], PROTOCOLS["sigmascope"], options, prompts=PROMPTS).scores
    assert score.value == 0
    assert math.isnan(score.low)
    assert score.fingerprint != scored("clip_score").fingerprint


NAMED = Images("files", 3, lambda: iter(()), names=["cats/0.png", "cats/1.png", "dogs/0.png"])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("p.txt", "one\ntwo\nthree\n"),
        ("p.csv", "prompt\none\ntwo\nthree\n"),
        ("p.csv", '﻿file_name,caption\ndogs/0.png,three\ncats/1,two\n"cats/0.png",one\nunused.png,"more, more"\n'),
        ("p.jsonl", '{"text": "one"}\n\n{"text": "two"}\n{"text": "three"}\n'),
        ("p.jsonl", '{"file_name": "1.png", "text": "two"}\n{"file_name": "dogs/0", "text": "three"}\n'
                    '{"file_name": "cats/0", "text": "one"}'),
    ],
    ids=["txt", "csv", "csv by name", "jsonl", "jsonl by name"],
)  # fmt: skip
def test_prompts_from_files(file: str, content: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    assert read_prompts(tmp_path / file).of(NAMED) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("p.txt", "one\ntwo\n", "a prompt for each of 3 images, got 2"),
        ("p.txt", "one\n\nthree\n", "in every row, got none in row 2"),
        ("p.txt", "", "found none"),
        ("p.csv", "words\none\n", "one of the columns prompt, caption, text, got words"),
        ("p.csv", "prompt,text\none,two\n", "got prompt and text"),
        ("p.jsonl", "[1]\n", "no JSON object"),
        ("p.jsonl", "{", "expected readable prompts"),
        ("p.csv", "name,text\ncats/0,a\ncats/1,b\n", "got none for 1 of them, the first 'dogs/0.png'"),
        ("p.csv", "name,text\n0.png,a\n1.png,b\n", "got none for 2 of them, the first 'cats/0.png'"),  # which 0.png?
        ("p.csv", "name,text\na,1\na,2\n", "'a' more than once"),
        ("p.yaml", "", r"a file \.txt, \.jsonl, \.csv"),
    ],
)
def test_prompts_that_do_not_fit(file: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_prompts(tmp_path / file).of(NAMED)


def test_names_need_named_images(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"file_name": "0.png", "text": "one"}))
    prompts = read_prompts(tmp_path / "p.jsonl")
    with pytest.raises(DataError, match="expected images with file names"):
        prompts.of(replace(NAMED, names=None))


@pytest.mark.usefixtures("at_hand")
def test_a_runs_samples_are_scored_as_files_are() -> None:
    """The scorer of a suite, given each sample's caption, says what `evaluate` says."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 3, 5, 7), dtype=np.uint8))
    images = images.repeat_interleave(8, 2).repeat_interleave(8, 3)
    data = DataSet(images.float() / 127.5 - 1, None, "patches")
    scorer = Scorer("inception", ["clip_score"], data, torch.device("cpu"))
    assert scorer.prompted == ["clip_score"]
    (ours,) = scorer.scores(images, PROMPTS)
    assert ours == scored("clip_score", images=open_images(images))
    (turned,) = scorer.scores(images, PROMPTS[1:] + PROMPTS[:1])
    assert turned.value != ours.value
    assert turned.fingerprint != ours.fingerprint
