"""`xlac.scipy.spatial.transform`: rotations in three dimensions as quaternions, and interpolation between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.errors import ShapeError
from xlac.frontend.trace import shape_error
from xlac.tree_util import register_pytree_node_class

__all__ = ["Rotation", "Slerp"]


def _floats(x: Any) -> Any:
    array = xnp.asarray(x)
    return array if xnp.issubdtype(array.dtype, np.floating) else array.astype(float)


def _dimensions(what: str, x: Any, *last: int) -> Any:
    """An array of floats [*last], or [n, *last]."""
    array = _floats(x)
    if array.shape[-len(last) :] != last or array.ndim > len(last) + 1:
        raise shape_error(
            f"{what}: an array of shape {list(array.shape)}; it must be {list(last)} or [n, *{list(last)}]"
        )
    return array


def _norm(x: Any) -> Any:
    """The length of vectors; its derivative at 0 is 0."""
    square = (x * x).sum(-1, keepdims=True)
    zero = lax.eq(square, 0)
    return xnp.where(zero, 0, xnp.sqrt(xnp.where(zero, 1, square)))


def _product(p: Any, q: Any) -> Any:
    """Hamilton's product of quaternions, scalar last."""
    (u, a), (v, b) = ((x[..., :3], x[..., 3:]) for x in (p, q))
    return xnp.concatenate([a * v + b * u + xnp.cross(u, v), a * b - (u * v).sum(-1, keepdims=True)], -1)


@register_pytree_node_class
class Rotation:
    """A rotation, or n of them; a container of one array.

    Args:
      quat: quaternions of length 1, scalar last, [4] or [n, 4]; `from_quat` takes others too.
    """

    def __init__(self, quat: Any) -> None:
        self.quat = quat

    def tree_flatten(self) -> tuple[tuple, None]:
        """The array."""
        return (self.quat,), None

    @classmethod
    def tree_unflatten(cls, data: None, children: Sequence[Any]) -> Rotation:
        """The rotations of this array."""
        return cls(*children)

    def __repr__(self) -> str:
        return f"Rotation(quat={self.quat!r})"

    # ---- from

    @classmethod
    def from_quat(cls, quat: Any) -> Rotation:
        """Of quaternions [4] or [n, 4], scalar last, of any length but 0."""
        q = _dimensions("Rotation.from_quat", quat, 4)
        return cls(q / xnp.linalg.norm(q, axis=-1, keepdims=True))

    @classmethod
    def from_matrix(cls, matrix: Any) -> Rotation:
        """Of orthogonal matrices [3, 3] or [n, 3, 3], by the greatest of the quaternion's elements (Shepperd, 1978)."""
        m = _dimensions("Rotation.from_matrix", matrix, 3, 3)
        x, y, z = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
        trace = x + y + z
        sums = [m[..., j, i] + m[..., i, j] for i, j in ((0, 1), (0, 2), (1, 2))]
        gaps = [m[..., j, i] - m[..., i, j] for i, j in ((1, 2), (2, 0), (0, 1))]
        rows = [
            [1 - trace + 2 * x, sums[0], sums[1], gaps[0]],
            [sums[0], 1 - trace + 2 * y, sums[2], gaps[1]],
            [sums[1], sums[2], 1 - trace + 2 * z, gaps[2]],
            [gaps[0], gaps[1], gaps[2], 1 + trace],
        ]
        table = xnp.stack([xnp.stack(row, -1) for row in rows], -2)
        which = xnp.argmax(xnp.stack([x, y, z, trace], -1), -1)
        return cls.from_quat(xnp.take_along_axis(table, which[..., None, None], -2)[..., 0, :])

    @classmethod
    def from_rotvec(cls, rotvec: Any, degrees: bool = False) -> Rotation:
        """Of vectors [3] or [n, 3] along the axis, as long as the angle."""
        v = _dimensions("Rotation.from_rotvec", rotvec, 3)
        v = xnp.deg2rad(v) if degrees else v
        angle = _norm(v)
        small = angle < 1e-3
        safe = xnp.where(small, 1, angle)
        scale = xnp.where(small, 0.5 - angle * angle / 48, xnp.sin(safe / 2) / safe)
        return cls(xnp.concatenate([v * scale, xnp.cos(angle / 2)], -1))

    @classmethod
    def from_mrp(cls, mrp: Any) -> Rotation:
        """Of modified Rodrigues parameters [3] or [n, 3]: axis times tan(angle / 4)."""
        v = _dimensions("Rotation.from_mrp", mrp, 3)
        square = (v * v).sum(-1, keepdims=True)
        return cls(xnp.concatenate([2 * v, 1 - square], -1) / (1 + square))

    @classmethod
    def from_euler(cls, seq: str, angles: Any, degrees: bool = False) -> Rotation:
        """Of angles about one to three axes.

        Args:
          seq: the axes in order, such as "zyx"; capital letters for axes that turn along, small ones for fixed axes.
          angles: [len(seq)] or [n, len(seq)]; a number or [n] for one axis.
          degrees: angles are degrees.
        Raises: ShapeError if the axes are others, or the angles do not fit.
        """
        axes, fixed = _axes("Rotation.from_euler", seq, 3)
        given = _floats(angles)
        given = xnp.deg2rad(given) if degrees else given
        if len(axes) == 1 and given.shape[-1:] != (1,):
            given = given[..., None]
        given = _dimensions("Rotation.from_euler: angles", given, len(axes))
        whole = None
        for n, axis in enumerate(axes):
            half = given[..., n] / 2
            turn = xnp.stack(
                [xnp.sin(half) if d == axis else xnp.zeros_like(half) for d in range(3)] + [xnp.cos(half)], -1
            )
            whole = turn if whole is None else _product(turn, whole) if fixed else _product(whole, turn)
        return cls(whole)

    @classmethod
    def identity(cls, num: int | None = None, dtype: Any = float) -> Rotation:
        """No rotation, or several."""
        one = xnp.array([0.0, 0.0, 0.0, 1.0], dtype)
        return cls(one if num is None else xnp.tile(one, (num, 1)))

    @classmethod
    def random(cls, random_key: Any, num: int | None = None) -> Rotation:
        """Rotations drawn uniformly."""
        from xlac import random

        return cls.from_quat(random.normal(random_key, (4,) if num is None else (num, 4)))

    @classmethod
    def concatenate(cls, rotations: Sequence[Rotation]) -> Rotation:
        """The rotations of several objects in one."""
        return cls(xnp.concatenate([xnp.atleast_2d(r.quat) for r in rotations]))

    # ---- as

    def as_quat(self, canonical: bool = False, scalar_first: bool = False) -> Any:
        """Quaternions, scalar last, or first; canonical ones have a scalar that is not negative."""
        q = self.quat
        if canonical:
            # Of the first element from the scalar on that is not 0, the sign.
            x, y, z, w = (q[..., d] for d in range(4))
            first = xnp.where(lax.ne(w, 0), w, xnp.where(lax.ne(x, 0), x, xnp.where(lax.ne(y, 0), y, z)))
            q = xnp.where((first < 0)[..., None], -q, q)
        return xnp.roll(q, 1, -1) if scalar_first else q

    def as_matrix(self) -> Any:
        """Matrices [3, 3] or [n, 3, 3]."""
        x, y, z, w = (self.quat[..., d] for d in range(4))
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return xnp.stack([xnp.stack(row, -1) for row in rows], -2)

    def as_rotvec(self, degrees: bool = False) -> Any:
        """Vectors along the axis, as long as the angle, of at most pi."""
        q = self.as_quat(canonical=True)
        v, w = q[..., :3], q[..., 3:]
        length = _norm(v)
        angle = 2 * xnp.arctan2(length, w)
        small = angle < 1e-3
        scale = xnp.where(small, 2 + angle * angle / 12, angle / xnp.where(small, 1, length))
        made = v * scale
        return xnp.rad2deg(made) if degrees else made

    def as_mrp(self) -> Any:
        """Modified Rodrigues parameters of length at most 1."""
        q = self.quat
        sign = xnp.where(q[..., 3:] < 0, -1, 1).astype(q.dtype)
        return sign * q[..., :3] / (1 + sign * q[..., 3:])

    def as_euler(self, seq: str, degrees: bool = False) -> Any:
        """Angles about three axes, [3] or [n, 3] (Bernardes and Viollet, 2022); of two that turn alike one is 0.

        Raises:
          ShapeError: the axes are not three, or one follows itself.
        """
        axes, fixed = _axes("Rotation.as_euler", seq, 3)
        if len(axes) != 3 or axes[0] == axes[1] or axes[1] == axes[2]:
            raise shape_error(f"Rotation.as_euler: seq is {seq!r}; it must be three axes, of which none follows itself")
        i, j, k = axes if fixed else axes[::-1]
        symmetric = i == k
        k = 3 - i - j if symmetric else k
        sign = (i - j) * (j - k) * (k - i) // 2
        p = [self.quat[..., d] for d in range(4)]
        a, b, c, d = p[3], p[i], p[j], p[k] * sign
        if not symmetric:
            a, b, c, d = a - c, b + d, c + a, d - b
        middle = 2 * xnp.arctan2(xnp.hypot(c, d), xnp.hypot(a, b))
        total, apart = xnp.arctan2(b, a), xnp.arctan2(d, c)
        none, half = xnp.abs(middle) < 1e-7, xnp.abs(middle - math.pi) < 1e-7
        first, third = total - apart, total + apart
        if not fixed:
            first, third = third, first
        first = xnp.where(none, 2 * total, xnp.where(half, 2 * apart * (-1 if fixed else 1), first))
        third = xnp.where(none | half, 0, third)
        if not symmetric:
            middle = middle - math.pi / 2
            first, third = (first, third * sign) if fixed else (first * sign, third)
        made = xnp.stack([first, middle, third], -1)
        made = xnp.where(made < -math.pi, made + 2 * math.pi, xnp.where(made > math.pi, made - 2 * math.pi, made))
        return xnp.rad2deg(made) if degrees else made

    # ---- what can be done with them

    def apply(self, vectors: Any, inverse: bool = False) -> Any:
        """Vectors [3] or [n, 3], turned; or back."""
        v = _dimensions("Rotation.apply", vectors, 3)
        matrix = self.as_matrix()
        return xnp.einsum("...ji,...j->...i" if inverse else "...ij,...j->...i", matrix, v)

    def inv(self) -> Rotation:
        """The rotations back."""
        return Rotation(self.quat * xnp.array([-1, -1, -1, 1], self.quat.dtype))

    def magnitude(self) -> Any:
        """The angles, at most pi."""
        return 2 * xnp.arctan2(_norm(self.quat[..., :3])[..., 0], xnp.abs(self.quat[..., 3]))

    def mean(self, weights: Any = None) -> Rotation:
        """The rotation that is nearest to all, in the sense of least squares of quaternions.

        Raises:
          ShapeError: there is one rotation, or not one weight for each.
        """
        q = self.quat
        w = xnp.ones(q.shape[:-1], q.dtype) if weights is None else xnp.asarray(weights, q.dtype)
        if q.ndim != 2 or w.shape != q.shape[:1]:
            raise shape_error(
                f"Rotation.mean: weights {list(w.shape)} for quaternions {list(q.shape)}; give [n] for [n, 4]"
            )
        return Rotation(xnp.linalg.eigh((w * q.T) @ q)[1][:, -1])

    @property
    def single(self) -> bool:
        """Whether it is one rotation, not a list of them."""
        return self.quat.ndim == 1

    def __mul__(self, other: Rotation) -> Rotation:
        """First the other, then this."""
        return Rotation(_product(*xnp.broadcast_arrays(self.quat, other.quat)))

    def __getitem__(self, index: Any) -> Rotation:
        self.__len__()
        return Rotation(self.quat[index])

    def __len__(self) -> int:
        if self.single:
            raise TypeError("a single Rotation has no length")
        return self.quat.shape[0]

    def __bool__(self) -> bool:
        return True


def _axes(name: str, seq: str, most: int) -> tuple[list[int], bool]:
    """The numbers of axes, and whether they are fixed.

    Raises:
      ShapeError: there are others than xyz, or XYZ, or too many.
    """
    for letters, fixed in (("xyz", True), ("XYZ", False)):
        if 1 <= len(seq) <= most and all(c in letters for c in seq):
            return [letters.index(c) for c in seq], fixed
    raise shape_error(f"{name}: seq is {seq!r}; it must be 1 to {most} letters of xyz, or of XYZ")


@register_pytree_node_class
class Slerp:
    """Rotations between others at times between theirs, with constant speed from each to the next.

    `Slerp.init(times, rotations)` makes one, `slerp(times)` gives the rotations.
    """

    def __init__(self, times: Any, timedelta: Any, rotations: Rotation, rotvecs: Any) -> None:
        self.times, self.timedelta, self.rotations, self.rotvecs = times, timedelta, rotations, rotvecs

    def tree_flatten(self) -> tuple[tuple, None]:
        """Its arrays."""
        return (self.times, self.timedelta, self.rotations, self.rotvecs), None

    @classmethod
    def tree_unflatten(cls, data: None, children: Sequence[Any]) -> Slerp:
        """The interpolation of these arrays."""
        return cls(*children)

    @classmethod
    def init(cls, times: Any, rotations: Rotation) -> Slerp:
        """Of times that grow, [n], and n rotations.

        Raises:
          ShapeError: there are fewer than two rotations, or not one time for each.
        """
        if not isinstance(rotations, Rotation) or rotations.single or len(rotations) < 2:
            raise ShapeError("Slerp.init: rotations must be a Rotation of at least two")
        at = xnp.asarray(times, rotations.quat.dtype)
        if at.shape != (len(rotations),):
            raise shape_error(f"Slerp.init: times of shape {list(at.shape)} for {len(rotations)} rotations")
        starts = rotations[:-1]
        return cls(at, xnp.diff(at), starts, (starts.inv() * rotations[1:]).as_rotvec())

    def __call__(self, times: Any) -> Rotation:
        """The rotations at a time, or at times [m]; before the first and after the last the same turns go on."""
        at = xnp.asarray(times, self.times.dtype)
        if at.ndim > 1:
            raise shape_error(f"Slerp: times of shape {list(at.shape)}; it must be a number or [m]")
        last = self.times.shape[0] - 2
        place = xnp.clip(xnp.searchsorted(self.times, at) - 1, 0, last)
        part = (at - self.times[place]) / self.timedelta[place]
        return Rotation(self.rotations.quat[place]) * Rotation.from_rotvec(self.rotvecs[place] * part[..., None])
