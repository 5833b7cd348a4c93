"""Units of a denoising error: x0, or the target of another parameterization at the same level. No torch needed."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError

Unit = Literal["x0", "eps", "v", "flow", "F"]


def error_unit_factor(sigma: ArrayLike, unit: Unit, sigma_data: float | None = None) -> NDArray[np.float64]:
    """What turns an x0 error at noise level sigma (= sigma_t/alpha_t > 0) into the error of `unit`'s target.

    An error of the network's output reaches x0 through one coefficient c(sigma), so the factor is 1/c^2: eps: c = s;
    v: c = s/sqrt(1+s^2); flow: c = s/(1+s); F (EDM's raw output): c = s sd/sqrt(s^2+sd^2), which needs sigma_data.
    Raises ConfigError for an unknown unit, a missing or non-positive sigma_data, or a sigma that isn't positive.
    """
    s = np.asarray(sigma, dtype=np.float64)
    if not (s > 0).all():
        raise ConfigError(f"expected noise levels above 0, got {s[~(s > 0)].ravel()[0]}")
    if unit == "x0":
        return np.ones_like(s)
    if unit == "eps":
        return 1 / s**2
    if unit == "v":
        return 1 + 1 / s**2
    if unit == "flow":
        return (1 + 1 / s) ** 2
    if unit == "F":
        if sigma_data is None or not sigma_data > 0:
            raise ConfigError(f"unit 'F' needs sigma_data above 0, got {sigma_data}")
        return 1 / s**2 + 1 / sigma_data**2
    raise ConfigError(f"unknown error unit {unit!r}; expected one of: {', '.join(get_args(Unit))}")
