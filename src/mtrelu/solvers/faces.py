"""Where neurons may slide: the set of data points they are active on, and those they pass through.

A neuron through data point j that is active on S is linear in its weights,
φ_i(w) = w·(x_i − x_j) for i in S, as long as no data point changes sides. If its hyperplane passes
through more data points it can only turn around them: w stays in a flat, spanned by ``basis``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtrelu.validation import FloatArray

# In coordinates of size one: a data point closer than this is on the hyperplane.
_ON = 1e-10
# A turn that moves the pinned points less than this keeps them on the hyperplane.
_FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class Face:
    """Neurons with one set of active and one set of pinned data points.

    Attributes
    ----------
    active : ndarray of shape (N,), bool
        On which samples the neuron is positive. A neuron that is negative on none counts as
        active on all: there it is affine wherever its hyperplane is, and the skip connection has
        a constant.
    pinned : ndarray of shape (N,), bool
        Through which samples its hyperplane passes.
    anchor : ndarray of shape (q,)
        A point on the hyperplane.
    basis : ndarray of shape (q, m)
        Orthonormal; the directions that keep the pinned points on the hyperplane.
    """

    active: np.ndarray
    pinned: np.ndarray
    anchor: FloatArray
    basis: FloatArray

    @classmethod
    def of(cls, Z: FloatArray, w: FloatArray, b: float, blur: float = 0.0) -> Face:
        """Return the face of a unit neuron (q,) of the inputs Z (N, q), all of size one.

        ``blur`` is how uncertain b is.
        """
        height = Z @ w + b
        pinned = np.abs(height) <= _ON + blur
        if not pinned.any():  # a hyperplane between data points moves freely in b; this fixes b
            anchor = -b * w
        else:
            anchor = Z[int(np.argmax(pinned))]
        active = (height > 0) & ~pinned
        if (active | pinned).all():
            return cls.everywhere(Z, w)
        return cls(active, pinned, anchor, _flat(Z[pinned] - anchor, w))

    @classmethod
    def everywhere(cls, Z: FloatArray, w: FloatArray) -> Face:
        """Return the face of the neurons that are negative nowhere, anchored for this w (q,)."""
        anchor = Z[int(np.argmin(Z @ w))]
        nowhere = np.zeros(len(Z), dtype=bool)
        return cls(~nowhere, nowhere, anchor, np.eye(w.size))

    def pin(self, Z: FloatArray, i: int, w: FloatArray) -> Face:
        """Return the face where the hyperplane also passes through sample i (and its equals)."""
        pinned = self.pinned | (np.abs((Z - Z[i]) @ w) <= _ON)
        return Face(self.active & ~pinned, pinned, self.anchor, _flat(Z[pinned] - self.anchor, w))

    @property
    def key(self) -> tuple[bytes, bytes]:
        """What two neurons of one face share."""
        return self.active.tobytes(), self.pinned.tobytes()

    def features(self, Z: FloatArray) -> FloatArray:
        """Return the (N, m) matrix that takes coordinates of w in the basis to features."""
        columns = (Z - self.anchor) @ self.basis
        columns[~self.active] = 0.0
        return columns


def _flat(spokes: FloatArray, w: FloatArray) -> FloatArray:
    """Return a basis (q, m) of the directions across the spokes; always contains w."""
    q = w.size
    if not spokes.any():
        return np.eye(q)
    _, singular, rows = np.linalg.svd(spokes, full_matrices=True)
    rank = int(np.count_nonzero(singular > _FLAT))
    if rank >= q:  # inconsistent within the tolerance: only w itself is known to fit
        return w[:, np.newaxis]
    return np.ascontiguousarray(rows[rank:].T)
