"""Second-order cones {a : a₀ >= ‖a₁‖₂}, many at once, for primal-dual interior point methods.

A row of an array (K, 1 + T) is an element (a₀, a₁) of one cone, and
a ∘ b = (a·b, a₀ b₁ + b₀ a₁) its Jordan product.
"""

from __future__ import annotations

import math

import numpy as np

from mtrelu.validation import FloatArray


class Scaling:
    """Nesterov-Todd scaling W of many second-order cones: λ = W x = W⁻¹ s.

    W = η [[w₀, w₁ᵀ], [w₁, I + w₁w₁ᵀ / (1 + w₀)]] with w₀² − ‖w₁‖² = 1.
    """

    def __init__(self, s: FloatArray, x: FloatArray) -> None:
        root_s, root_x = _root_of_determinant(s), _root_of_determinant(x)
        s_bar, x_bar = s / root_s, x / root_x
        gamma = np.sqrt(0.5 * (1.0 + np.einsum("kt,kt->k", s_bar, x_bar)))[:, np.newaxis]
        self.eta = np.sqrt(root_s / root_x)
        self.w1 = (s_bar[:, 1:] - x_bar[:, 1:]) / (2.0 * gamma)
        self.norm2 = np.einsum("kt,kt->k", self.w1, self.w1)[:, np.newaxis]
        self.w0 = np.sqrt(1.0 + self.norm2)
        self.root = np.sqrt(root_s * root_x)  # square root of the determinant of λ
        weight_x, weight_s = gamma + s_bar[:, :1], gamma + x_bar[:, :1]
        vector = weight_x * x_bar[:, 1:] + weight_s * s_bar[:, 1:]
        vector /= s_bar[:, :1] + x_bar[:, :1] + 2.0 * gamma
        self.unit = np.hstack([gamma, vector])  # λ over `root`
        self.point = self.root * self.unit

    def apply(self, a: FloatArray) -> FloatArray:
        """W a."""
        inner = np.einsum("kt,kt->k", self.w1, a[:, 1:])[:, np.newaxis]
        first = self.w0 * a[:, :1] + inner
        rest = a[:, 1:] + (a[:, :1] + inner / (1.0 + self.w0)) * self.w1
        return np.asarray(self.eta * np.hstack([first, rest]))

    def first(self, rho: FloatArray, dV: FloatArray) -> FloatArray:
        """Solve the first row of W² (de, −dv) = ρ for de (K, 1)."""
        inner = np.einsum("kt,kt->k", self.w1, dV)[:, np.newaxis]
        share = rho[:, :1] / self.eta**2 + 2.0 * self.w0 * inner
        return np.asarray(share / (1.0 + 2.0 * self.norm2))

    def reduced(self, rho: FloatArray) -> FloatArray:
        """Right side of −S dv = ... (K, T) once de is eliminated from W² (de, −dv) = ρ."""
        share = 2.0 * self.w0 * rho[:, :1] / (1.0 + 2.0 * self.norm2)
        return np.asarray(rho[:, 1:] - share * self.w1)

    def divide(self, a: FloatArray) -> FloatArray:
        """The solution b of λ ∘ b = a, where ∘ is the product of the Jordan algebra."""
        l0, l1 = self.unit[:, :1], self.unit[:, 1:]
        inner = np.einsum("kt,kt->k", l1, a[:, 1:])[:, np.newaxis]
        first = l0 * a[:, :1] - inner  # the determinant of `unit` is 1
        rest = (a[:, 1:] - first * l1) / l0
        return np.asarray(np.hstack([first, rest]) / self.root)

    def longest(self, change: FloatArray) -> float:
        """Largest step from λ along a scaled change that stays in the cones."""
        if not len(change):
            return math.inf
        change = change / self.root
        l0, l1 = self.unit[:, :1], self.unit[:, 1:]
        first = l0 * change[:, :1] - np.einsum("kt,kt->k", l1, change[:, 1:])[:, np.newaxis]
        rest = change[:, 1:] - (first + change[:, :1]) / (1.0 + l0) * l1
        fastest = float(np.max(np.linalg.norm(rest, axis=1) - first[:, 0]))
        return 1.0 / fastest if fastest > 0.0 else math.inf

    def schur(self) -> FloatArray:
        """S = η² (I − 2 w₁w₁ᵀ / (1 + 2 ‖w₁‖²)) (K, T, T): W² without its first row and column."""
        outer = self.w1[:, :, np.newaxis] * self.w1[:, np.newaxis, :]
        outer *= (-2.0 / (1.0 + 2.0 * self.norm2))[:, :, np.newaxis]
        return np.asarray((self.eta**2)[:, :, np.newaxis] * (np.eye(outer.shape[1]) + outer))

    def schur_product(self, dx: FloatArray) -> FloatArray:
        """S dV for the rows of dx that belong to neurons, 0 for those of the skip functions."""
        out = np.zeros_like(dx)
        dV = dx[: len(self.w1)]
        inner = np.einsum("kt,kt->k", self.w1, dV)[:, np.newaxis]
        out[: len(dV)] = self.eta**2 * (dV - 2.0 * inner / (1.0 + 2.0 * self.norm2) * self.w1)
        return out

    def inverse_schur(self) -> FloatArray:
        """S⁻¹ = (I + 2 w₁w₁ᵀ) / η² (K, T, T)."""
        outer = 2.0 * self.w1[:, :, np.newaxis] * self.w1[:, np.newaxis, :]
        return np.asarray((np.eye(outer.shape[1]) + outer) / (self.eta**2)[:, :, np.newaxis])

    def schur_root(self) -> FloatArray:
        """√S (K, T, T)."""
        r = np.sqrt(1.0 + 2.0 * self.norm2)
        outer = self.w1[:, :, np.newaxis] * (-2.0 / (r * (1.0 + r)) * self.w1)[:, np.newaxis, :]
        return np.asarray(self.eta[:, :, np.newaxis] * (np.eye(outer.shape[1]) + outer))

    def inverse_schur_product(self, a: FloatArray) -> FloatArray:
        """S⁻¹ a for (K, T) a."""
        inner = np.einsum("kt,kt->k", self.w1, a)[:, np.newaxis]
        return np.asarray((a + 2.0 * inner * self.w1) / self.eta**2)


def _root_of_determinant(a: FloatArray) -> FloatArray:
    """√(a₀² − ‖a₁‖²) of every row (K, 1)."""
    size = np.linalg.norm(a[:, 1:], axis=1, keepdims=True)
    return np.asarray(np.sqrt((a[:, :1] - size) * (a[:, :1] + size)))


def jordan_product(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return a ∘ b of every row: (a·b, a₀ b₁ + b₀ a₁)."""
    first = np.einsum("kt,kt->k", a, b)[:, np.newaxis]
    return np.hstack([first, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:]])


def inside(a: FloatArray) -> bool:
    """Whether all rows are strictly inside their cones."""
    return bool(np.all(a[:, 0] > np.linalg.norm(a[:, 1:], axis=1)))
