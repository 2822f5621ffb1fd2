"""Refinement: directions that a noised matrix gave, set right by a second, smaller sum along them.

The second moment has m² / 2 numbers, most of them about directions in which there is nothing but noise. Once d
directions are known, roughly, a sum with m·d numbers asks about those alone:

    Z = Σ_u w_u y_u (Vᵀ y_u)ᵀ        V the directions, shape (m, d); w_u such that a person's term measures 1

|Vᵀy| is about half of |y|, so that w is larger and the directions stand further out of noise of the same size. It is
one step of subspace iteration (Golub and Van Loan 2013, section 8.2.4) with noise, as in Hardt and Price 2014, "The
noisy power method", but for what is known from before: Z is split into what lies in V, H = VᵀZ, and what turns V, E =
Z − VH. By the first release E is 0 up to noise, by the second it is Z's; the mean of both, each weighed by one over
its variance, is ρE.
"""

from typing import NamedTuple

import numpy as np

from feature_store.arrays import Float64Array

ASKED = 2
"""Directions asked about, for each that stands out already: the next ones are there too, hidden by noise."""
TURNED = 0.3
"""What is taken off a value for the error that is left in its direction, in σ²m/value. 1 would give the least squared
error of the matrix; ranking on validation is best from 0.15 to 0.4."""


class Spectrum(NamedTuple):
    """A symmetric matrix: directions, of length 1 and at right angles, shape (m, d), and their values, shape (d,)."""

    directions: Float64Array
    values: Float64Array


def refined(first: Spectrum, deviation: float, along: Float64Array, along_deviation: float) -> Spectrum:
    """What to believe after both releases.

    Args:
        first: what was asked about: leading eigenvectors of the noised matrix, and what is believed of their values,
            which is 0 from some direction on.
        deviation: σ of the noise on the matrix.
        along: Z with its noise, shape (m, d).
        along_deviation: σ of that.

    Returns:
        Of at most d directions, all with values above 0; in the unit of Z.
    """
    directions, believed = first.directions, first.values > 0
    inside = directions.T @ along
    inside = (inside + inside.T) / 2
    outside = along - directions @ (directions.T @ along)
    if not believed.any():
        return Spectrum(directions[:, :0], first.values[:0])
    unit = np.trace(inside[np.ix_(believed, believed)]) / first.values[believed].sum()
    before, now = (unit * deviation) ** 2, along_deviation**2
    values, turn = np.linalg.eigh(inside)
    left = before * now / (before + now)  # variance of the mean of both
    kept = values > np.sqrt(TURNED * left * len(directions))
    values, turn = values[kept], turn[:, kept]
    turned = directions @ turn * values + before / (before + now) * (outside @ turn)
    lengths = np.linalg.norm(turned, axis=0)
    factors = turned / lengths * np.sqrt(values - TURNED * left * len(directions) / values)
    found, roots, _ = np.linalg.svd(factors, full_matrices=False)
    return Spectrum(found, np.square(roots))
