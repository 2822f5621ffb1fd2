"""Spectrum: item vectors from a noised symmetric matrix, of which only what stands out of the noise is believed.

The noise alone, independent in each entry with standard deviation σ, has its eigenvalues within 2σ√m (Wigner's
semicircle). An eigenvalue λ of what was noised is seen if it is above half of that, and then as l = λ + σ²m/λ, along a
direction that the noise has turned. What of it is to be kept, for the least expected squared error, is

    √(l² − 4σ²m) where l > 2σ√m, else 0

(Donoho, Gavish and Johnstone 2018, "Optimal shrinkage of eigenvalues in the spiked covariance model", for the spiked
Wigner matrix). σ is no guess here, as it is we who drew the noise. All of it is arithmetic on what was released, and
costs no privacy.
"""

import numpy as np

from feature_store.arrays import Float32Array, Float64Array
from training.privacy.refinement import Spectrum

LENGTH = 0.7
"""Root mean square of an item vector's length, for which the default α and λ of the fold-in fit: scores are of the
order of 1, as trained vectors give them. On validation nothing changes by more than 1 % between 0.4 and 1.1."""


def shrunk(eigenvalues: Float64Array, deviation: float) -> Float64Array:
    """What to believe of the eigenvalues of a noised symmetric matrix, shape (m,); 0 for what may be noise alone.

    >>> shrunk(np.array([50.0, 10.0, 3.0]), deviation=3.0).round(2).tolist()
    [48.91, 0.0, 0.0]
    """
    edge = 4 * deviation**2 * len(eigenvalues)
    return np.where(eigenvalues > 0, np.sqrt(np.maximum(np.square(eigenvalues) - edge, 0)), 0.0)


def leading(noised: Float64Array, deviation: float, most: int) -> Spectrum:
    """The leading eigenvectors of a noised symmetric matrix, and what to believe of their values, largest first.

    Args:
        noised: shape (m, m).
        deviation: σ of the noise on each entry; 0 for none.
        most: how many, at most m.
    """
    values, directions = np.linalg.eigh(noised)
    return Spectrum(directions[:, ::-1][:, :most], shrunk(values, deviation)[::-1][:most])


def vectors_of(spectrum: Spectrum, dim: int) -> Float32Array:
    """Vectors of the m items whose products are about the matrix of that spectrum, shape (m, dim), of `LENGTH`.

    They lie along the directions, each as long as the root of its value. Where fewer than `dim` are believed in, the
    other numbers of a vector are 0; where none is, all of them.
    """
    vectors = np.zeros((len(spectrum.directions), dim))
    found = spectrum.directions[:, :dim] * np.sqrt(spectrum.values[:dim])
    vectors[:, : found.shape[1]] = found
    length = np.sqrt(np.square(vectors).sum() / len(vectors))
    return (vectors * (LENGTH / length if length else 0)).astype(np.float32)
