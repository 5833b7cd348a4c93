"""Quantiles and tails are those of scipy.stats."""

import numpy as np
from scipy import stats
from sigmascope.metrics.quantiles import normal_quantile, normal_tail, student_upper


def test_they_are_those_of_scipy() -> None:
    """The same functions lie under both: equal to the last digits."""
    tails = np.array([1e-12, 1e-3, 0.025, 0.5, 0.975])
    for freedom in (1.0, 2.5, 63.0, 1e6, np.inf):
        np.testing.assert_allclose(student_upper(tails, freedom), stats.t.isf(tails, freedom), rtol=1e-14, atol=1e-15)
    assert np.isnan(student_upper(0.1, np.nan))
    assert [normal_quantile(p) for p in tails] == stats.norm.ppf(tails).tolist()
    np.testing.assert_allclose(normal_tail(np.array([-3.0, 0.0, 9.0])), stats.norm.sf([-3.0, 0.0, 9.0]), rtol=1e-14)
