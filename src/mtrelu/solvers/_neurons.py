"""A list of candidate neurons with their faces, in coordinates of the affine hull of the inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtrelu.oracles.base import Hull
from mtrelu.solvers.faces import Face
from mtrelu.validation import FloatArray


@dataclass(frozen=True, eq=False)
class Neurons:
    """Candidates in coordinates of the hull."""

    w: FloatArray  # (K, q), unit
    b: FloatArray  # (K,)
    faces: list[Face]
    eta: FloatArray  # (K,), a guess of ‖v_k‖

    @classmethod
    def none(cls, q: int) -> Neurons:
        return cls(np.zeros((0, q)), np.zeros(0), [], np.zeros(0))

    @classmethod
    def at(cls, hull: Hull, w: FloatArray, b: FloatArray) -> Neurons:
        """Neurons given in units of the inputs, moved exactly onto the data points they meet."""
        blur = 8 * np.finfo(float).eps * float(np.abs(hull.centre).max()) / hull.scale
        inside = w @ hull.axes
        lengths = np.linalg.norm(inside, axis=1)
        heights = (b + w @ hull.centre) / hull.scale
        units, offsets, faces = [], [], []
        for u, length, height in zip(inside, lengths, heights, strict=True):
            if length == 0.0:
                continue
            face = Face.of(hull.Z, u / length, height / length, blur)
            unit = face.basis @ (face.basis.T @ u)
            unit /= np.linalg.norm(unit)
            units.append(unit)
            offsets.append(-float(face.anchor @ unit))
            faces.append(face)
        q = hull.Z.shape[1]
        return cls(np.array(units).reshape(-1, q), np.array(offsets), faces, np.zeros(len(faces)))

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: np.ndarray) -> Neurons:
        chosen = np.flatnonzero(index) if index.dtype == bool else index
        return Neurons(
            self.w[chosen], self.b[chosen], [self.faces[k] for k in chosen], self.eta[chosen]
        )

    def __add__(self, other: Neurons) -> Neurons:
        return Neurons(
            np.vstack([self.w, other.w]),
            np.concatenate([self.b, other.b]),
            self.faces + other.faces,
            np.concatenate([self.eta, other.eta]),
        )

    def features(self, Z: FloatArray) -> FloatArray:
        """(w·z + b)₊, zero on pinned samples whatever rounding says; shape (N, K)."""
        Phi = Z @ self.w.T + self.b
        for k, face in enumerate(self.faces):
            Phi[~face.active, k] = 0.0
        return Phi

    def merged(self) -> Neurons:
        """One neuron a face, in the direction that serves its neurons best."""
        groups: dict[tuple[bytes, bytes], list[int]] = {}
        for k, face in enumerate(self.faces):
            groups.setdefault(face.key, []).append(k)
        kept = []
        w, eta = self.w.copy(), self.eta.copy()
        for members in groups.values():
            first = members[0]
            if len(members) == 1 or self.faces[first].active.all():
                kept += members  # affine on the data: several directions are several functions
                continue
            total = self.eta[members] @ self.w[members]
            length = float(np.linalg.norm(total))
            if length < 0.5 * self.eta[members].sum():
                kept += members
                continue
            kept.append(first)
            w[first] = total / length
            eta[first] = self.eta[members].sum()
        anchors = np.array([face.anchor for face in self.faces]).reshape(w.shape)
        b = -np.einsum("kq,kq->k", w, anchors)
        return Neurons(w, b, self.faces, eta)[np.array(sorted(kept), dtype=np.intp)]
