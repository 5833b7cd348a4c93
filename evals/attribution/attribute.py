"""Which noise bands carry the change between two models' samples, and how sure that is.

Two players, edges, metrics -> attribute -> Attribution, tidy tables that reports/attribution.py words and draws. Models
are compared in one data space through the scaled state, so they may differ in schedule and parameterization; sampler,
precision, guidance and averaged weights are players just as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...errors import ConfigError
from ...metrics.features import FeatureNetwork
from ...metrics.one_pass import collect
from ..noise import Noise
from ..scoring import to_uint8
from .bands import Bands
from .game import Contrast, Floats, Game
from .inference import Effects, effects, shares
from .stitching import Player, check, stitch
from .values import VALUES


@dataclass(frozen=True, eq=False)
class Attribution:
    """Tables with a row per metric and ..., the first metric being the one to infer from.

    totals: value_base, value_candidate, change with its interval (at once with the bands')
    bands: per band: sigma_low, sigma_high, phi with its interval (low, high: alone; band_low, band_high: all bands and
        the total at once), share of the change (share_low, share_high: at once), leave_one_in, leave_one_out
    curves: per curve ("above": the candidate has the bands above the switch, or "below") and switch: sigma, change
        since the base with its interval
    interactions: per pair of bands: change with its interval, all pairs at once
    values: per coalition, such as "0110" for the candidate in the bands 1 and 2: value

    Bands are numbered from most noise, 0, to least. leave_one_in, leave_one_out and interactions need all coalitions.
    """

    bands: Bands
    exact: bool
    metrics: tuple[str, ...]
    """Titles, in the order asked for."""
    seeds: int
    evaluations: float
    """Network evaluations per seed."""
    full_runs: float
    """The same in runs of the sampler."""
    tables: dict[str, pd.DataFrame]


def attribute(
    base: Player,
    candidate: Player,
    bands: Bands,
    metrics: Sequence[str],
    sample_ids: Tensor,
    noise: Noise,
    *,
    reference: Tensor | None = None,
    network: FeatureNetwork | None = None,
    exact: bool = True,
    confidence: float = 0.95,
    batch_size: int = 256,
    progress: Callable[[int], None] = lambda evaluations: None,
) -> Attribution:
    """Attribute the change from base to candidate in each metric of `VALUES` to the bands.

    Args:
        sample_ids: `(N,)` int64, the seeds; at least 2.
        reference: features `(M, d)` of real images; drift needs none.
        network: of the features; None takes the samples as they are.
        exact: all coalitions, else the switch curves alone.
        confidence: of every interval.

    Raises ConfigError and DataError before the first evaluation for what can't be, ModelError for a state that stops
    being finite.
    """
    game = Game(bands.count, exact)
    if len(sample_ids) < 2:
        raise ConfigError(f"seeds: expected at least 2, got {len(sample_ids)}")
    if not metrics:
        raise ConfigError(f"metrics: expected some of {', '.join(VALUES)}, got none")
    values = {VALUES[name].title(network): VALUES[name].make(reference) for name in metrics}
    check(base, candidate, bands)
    width = features_of(torch.zeros(1, *base.denoiser.event_shape), base, network).shape[1]
    if reference is not None and reference.shape[1] != width:
        raise ConfigError(f"reference: expected {width} features, as of a sample, got {reference.shape[1]}")
    stitched = stitch(
        base,
        candidate,
        bands,
        game.coalitions,
        sample_ids,
        noise,
        leaf=lambda x: features_of(x, base, network),
        batch_size=batch_size,
        progress=progress,
    )
    unchanged = stitched.features[game.coalitions[0]]
    parts: dict[str, list[pd.DataFrame]] = {}
    for title, value in values.items():
        found = [value(stitched.features[coalition], unchanged) for coalition in game.coalitions]
        worth = np.array([one.value for one in found])
        psi = np.stack([one.psi for one in found], axis=1)
        for name, table in _tables(game, bands, worth, psi, confidence).items():
            parts.setdefault(name, []).append(table.assign(metric=title))
    tables = {name: _metric_first(pd.concat(frames, ignore_index=True)) for name, frames in parts.items()}
    return Attribution(bands, exact, tuple(values), len(sample_ids), stitched.evaluations, stitched.full_runs, tables)


def features_of(x: Tensor, player: Player, network: FeatureNetwork | None) -> Tensor:
    """Features `(B, d)` of clean samples `(B, *event_shape)`; latents are decoded for a network to see them."""
    autoencoder = player.denoiser.autoencoder
    return real_features(x if autoencoder is None or network is None else autoencoder.images(x), network)


def real_features(images: Tensor, network: FeatureNetwork | None) -> Tensor:
    """Features `(M, d)` on the CPU of images in [-1, 1]; without a network, the images as they are, flattened."""
    if network is None:
        return images.flatten(1).cpu()
    device = next(network.parameters()).device
    found = collect([to_uint8(images, (-1.0, 1.0))], {"": network}, {"": frozenset({"rows"})}, device)[""].rows
    assert found is not None
    return found


def _tables(game: Game, bands: Bands, values: Floats, psi: Floats, confidence: float) -> dict[str, pd.DataFrame]:
    """The tables of one metric."""

    def of(contrasts: list[Contrast]) -> Effects:
        return effects(game.of(contrasts, values), game.of(contrasts, psi), confidence)

    joint = of([*game.shapley, game.total])
    phi, total = joint[: game.count], joint[game.count :]
    part = shares(phi, total)
    per_band = pd.DataFrame(
        {
            "band": range(game.count),
            "sigma_low": bands.edges[1:],
            "sigma_high": bands.edges[:-1],
            "phi": phi.value,
            "low": phi.low,
            "high": phi.high,
            "band_low": phi.band_low,
            "band_high": phi.band_high,
            "share": part.value,
            "share_low": part.low,
            "share_high": part.high,
            "leave_one_in": game.of(game.leave_one_in, values) if game.exact else np.nan,
            "leave_one_out": game.of(game.leave_one_out, values) if game.exact else np.nan,
        }
    )
    ends = {"value_base": values[[0]], "value_candidate": values[[game.coalitions.index((True,) * game.count)]]}
    tables = {
        "totals": pd.DataFrame({**ends, "change": total.value, "low": total.band_low, "high": total.band_high}),
        "bands": per_band,
        "curves": pd.concat([_curve(game, bands, of, above) for above in (True, False)], ignore_index=True),
        "values": pd.DataFrame({"coalition": [_written(one) for one in game.coalitions], "value": values}),
    }
    if game.exact:
        pairs = of(game.interactions)
        tables["interactions"] = pd.DataFrame(
            {
                "first": [j for j, _ in game.pairs],
                "second": [k for _, k in game.pairs],
                "value": pairs.value,
                "low": pairs.band_low,
                "high": pairs.band_high,
            }
        )
    return tables


def _curve(game: Game, bands: Bands, of: Callable[[list[Contrast]], Effects], above: bool) -> pd.DataFrame:
    along = of(game.switches(above))
    return pd.DataFrame(
        {
            "curve": "above" if above else "below",
            "sigma": bands.edges if above else bands.edges[::-1],
            "change": along.value,
            "low": along.low,
            "high": along.high,
        }
    )


def _written(coalition: tuple[bool, ...]) -> str:
    return "".join("1" if has else "0" for has in coalition)


def _metric_first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["metric", *(column for column in table.columns if column != "metric")]]
