"""What is wrong with a set of images before any number is believed: the mistakes that ruin metrics silently.

Images in batches -> Inspector.add -> findings: sentences. It runs beside the pass, on the very uint8 images.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_EDGE_RATIO = 1.25  # steps across 8-pixel borders over those inside: about 1 where never compressed
_ORDERED = 8.0  # standard deviations from what a random order gives


class Inspector:
    """Facts about a stream of uint8 images (n, C, H, W)."""

    def __init__(self, jpeg: float = 0.0) -> None:
        self.jpeg = jpeg
        self.count = 0
        self.shapes: Counter[tuple[int, ...]] = Counter()
        self.hashes: Counter[bytes] = Counter()
        self._ordered_hash = hashlib.sha256()
        self.histogram = np.zeros(256, np.int64)
        self.borders, self.insides = [0.0, 0], [0.0, 0]

    def add(self, images: Tensor) -> None:
        images = images.cpu().contiguous()
        self.count += len(images)
        self.shapes[tuple(images.shape[1:])] += len(images)
        shape = f"{tuple(images.shape[1:])}".encode()
        for image in images:
            found = hashlib.blake2b(image.numpy().tobytes(), digest_size=16, key=shape).digest()
            self.hashes[found] += 1
            self._ordered_hash.update(found)
        self.histogram += np.bincount(images.numpy().ravel(), minlength=256)
        if images.shape[3] >= 32:
            steps = images.float().mean(dim=1).diff(dim=2).abs()
            at_border = torch.arange(steps.shape[2]) % 8 == 7
            for chosen, total in ((at_border, self.borders), (~at_border, self.insides)):
                total[0] += float(steps[:, :, chosen].double().sum())
                total[1] += steps[:, :, chosen].numel()

    @property
    def digest(self) -> str:
        """16 hex digits of the images in their order."""
        return self._ordered_hash.hexdigest()[:16]

    @property
    def content(self) -> str:
        """16 hex digits of the images in any order."""
        return hashlib.sha256(b"".join(sorted(self.hashes.elements()))).hexdigest()[:16]

    @property
    def size(self) -> str:
        """Width x height of the images, or "several"."""
        sizes = {f"{shape[-1]}x{shape[-2]}" for shape in self.shapes}
        return sizes.pop() if len(sizes) == 1 else "several"

    def findings(self, dimension: int | None = None, labels: Sequence[int] | None = None) -> list[str]:
        """Sentences, most damaging first. dimension d of the features a Fréchet distance is taken of, where it is;
        labels (n,) in the order of the images, known or read off the logits, where an inception score is taken."""
        found = [self._range(), self._truncation(), self._ordered(labels), self._duplicates(), self._sizes()]
        if dimension is not None and self.count <= dimension:
            found.append(
                f"{self.count} images for {dimension} dimensions: a Fréchet distance is dominated by its bias and has "
                "no interval; compare at equal N only"
            )
        found.append(self._blocks())
        return [sentence for sentence in found if sentence]

    def _range(self) -> str:
        values = np.flatnonzero(self.histogram)
        if len(values) and values[-1] <= 1:
            return "no value above 1: images in [0, 1] were stored as uint8 without being scaled by 255"
        ends = self.histogram[[0, 255]] / max(1, self.histogram.sum())
        if ends[0] > 0.4 and len(self.hashes) > 1 and len(values) > 64:
            return f"{ends[0]:.0%} of all values are 0: images in [-1, 1] may have been clipped to [0, 1]"
        return ""

    def _truncation(self) -> str:
        """Truncated instead of rounded, only a value of exactly 1 becomes 255, while 254 is as common as 253."""
        low, high, last = self.histogram[253:]
        if last == 0 and min(low, high) >= 30:
            return "no value is 255 although 253 and 254 are common: floats were truncated to uint8 instead of rounded"
        return ""

    def _ordered(self, labels: Sequence[int] | None) -> str:
        """Neighbours agree in class with probability sum p^2 in a random order; sorted, nearly always."""
        if labels is None or len(labels) < 20:
            return ""
        order = np.asarray(labels)
        share = np.unique(order, return_counts=True)[1] / len(order)
        expected = float((share**2).sum())
        agreeing = float((order[1:] == order[:-1]).mean())
        spread = math.sqrt(max(expected * (1 - expected), 1e-12) / (len(order) - 1))
        if len(share) > 1 and agreeing - expected > _ORDERED * spread:
            return (
                f"ordered by class: {agreeing:.0%} of neighbours agree where a random order gives {expected:.0%}; "
                "an inception score over unshuffled splits is far too low"
            )
        return ""

    def _duplicates(self) -> str:
        extra = self.count - len(self.hashes)
        return f"{extra} of {self.count} images are exact copies of others: they count twice" if extra else ""

    def _sizes(self) -> str:
        if len(self.shapes) < 2:
            return ""
        common = ", ".join(f"{count} of {shape}" for shape, count in self.shapes.most_common(3))
        return f"{len(self.shapes)} different sizes ({common}): each is resized by another factor"

    def _blocks(self) -> str:
        if self.jpeg:
            return f"{self.jpeg:.0%} are JPEG files: compression moves FID; the reference needs the same quality"
        if min(self.borders[1], self.insides[1]) and self.insides[0]:
            ratio = (self.borders[0] / self.borders[1]) / (self.insides[0] / self.insides[1])
            if ratio > _EDGE_RATIO:
                return f"steps across 8-pixel borders are {ratio:.2f} times those inside: the images were JPEGs once"
        return ""
