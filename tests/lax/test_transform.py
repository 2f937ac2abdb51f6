"""Rotations are SciPy's in all their forms, and containers for transformations."""

import numpy as np
import pytest

import xlac
from xlac import random
from xlac.errors import ShapeError
from xlac.scipy.spatial.transform import Rotation, Slerp

theirs = pytest.importorskip("scipy.spatial.transform", reason="SciPy is not installed")

RNG = np.random.default_rng(3)
QUATS = RNG.normal(size=(12, 4))
VECTORS = RNG.normal(size=(12, 3))
MATRICES = theirs.Rotation.from_quat(QUATS).as_matrix()
SEQUENCES = ["xyz", "zyx", "XYZ", "ZYX", "yxz", "zxz", "ZXZ", "YXY", "xzx"]
# Rotations by nothing, by half turns, and those at which two axes fall together.
EDGES = {"none": [0, 0, 0], "half": [np.pi, 0, 0], "small": [1e-5, -2e-5, 1e-6], "quarter": [0, np.pi / 2, 0]}


def close(got, want, atol=1e-12):
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=atol)


def same(got, want):
    close(got.as_matrix(), want.as_matrix())


@pytest.mark.parametrize("one", [False, True], ids=["many", "one"])
def test_all_forms_are_scipys(one):
    quats, matrices, vectors = (x[0] if one else x for x in (QUATS, MATRICES, VECTORS))
    ours, other = Rotation.from_quat(quats), theirs.Rotation.from_quat(quats)
    same(ours, other)
    close(ours.as_quat(canonical=True), other.as_quat(canonical=True))
    close(ours.as_quat(scalar_first=True), other.as_quat(scalar_first=True))
    close(ours.as_rotvec(), other.as_rotvec())
    close(ours.as_rotvec(degrees=True), other.as_rotvec(degrees=True))
    close(ours.as_mrp(), other.as_mrp())
    close(ours.magnitude(), other.magnitude())
    same(Rotation.from_matrix(matrices), theirs.Rotation.from_matrix(matrices))
    same(Rotation.from_rotvec(vectors), theirs.Rotation.from_rotvec(vectors))
    same(Rotation.from_rotvec(90 * vectors, degrees=True), theirs.Rotation.from_rotvec(90 * vectors, degrees=True))
    same(Rotation.from_mrp(vectors), theirs.Rotation.from_mrp(vectors))
    for seq in SEQUENCES:
        same(Rotation.from_euler(seq, vectors), theirs.Rotation.from_euler(seq, vectors))
        close(ours.as_euler(seq), other.as_euler(seq))
    close(ours.as_euler("zyx", degrees=True), other.as_euler("zyx", degrees=True), atol=1e-10)
    close(ours.apply(vectors), other.apply(vectors))
    close(ours.apply(vectors, inverse=True), other.apply(vectors, inverse=True))
    same(ours.inv(), other.inv())
    same(ours * Rotation.from_rotvec(VECTORS), other * theirs.Rotation.from_rotvec(VECTORS))


@pytest.mark.parametrize("edge", EDGES)
def test_forms_at_their_edges_are_scipys_and_have_derivatives(edge):
    vector = np.array(EDGES[edge], float)
    ours, other = Rotation.from_rotvec(vector), theirs.Rotation.from_rotvec(vector)
    same(ours, other)
    close(ours.as_rotvec(), other.as_rotvec())
    same(Rotation.from_matrix(other.as_matrix()), other)
    for seq in SEQUENCES:
        same(Rotation.from_euler(seq, ours.as_euler(seq)), ours)
    slope = xlac.jacfwd(lambda v: Rotation.from_rotvec(v).as_matrix())(vector)
    step = 1e-6 * np.eye(3)
    want = [
        (theirs.Rotation.from_rotvec(vector + s).as_matrix() - theirs.Rotation.from_rotvec(vector - s).as_matrix())
        / 2e-6
        for s in step
    ]
    np.testing.assert_allclose(slope, np.moveaxis(want, 0, -1), atol=1e-8)
    if edge != "half":
        close(xlac.jacrev(lambda v: Rotation.from_rotvec(v).as_rotvec())(vector), np.eye(3), atol=1e-7)


def test_one_axis_takes_numbers_and_lists_of_them():
    for angles in map(np.array, (0.3, [[0.3], [0.4]])):
        same(Rotation.from_euler("y", angles), theirs.Rotation.from_euler("y", angles))
    assert Rotation.from_euler("y", np.array([0.3])).single
    same(Rotation.from_euler("y", np.array([0.3, 0.4])), Rotation.from_euler("y", np.array([[0.3], [0.4]])))
    angles = np.array([30.0, 40.0])
    same(Rotation.from_euler("yz", angles, degrees=True), theirs.Rotation.from_euler("yz", angles, degrees=True))


def test_rotations_are_a_list_and_a_container():
    many = Rotation.from_quat(QUATS)
    assert len(many) == 12 and not many.single and many[0].single and len(many[2:5]) == 3
    same(Rotation.concatenate([many[0], many[3:5]]), many[np.array([0, 3, 4])])
    turned = xlac.jit(xlac.vmap(lambda r, v: r.apply(v)))(many, VECTORS)
    close(turned, many.apply(VECTORS))
    close(Rotation.identity(2).as_matrix(), np.tile(np.eye(3), (2, 1, 1)))
    weights = RNG.uniform(size=12)
    same(many.mean(weights), theirs.Rotation.from_quat(QUATS).mean(weights))
    drawn = Rotation.random(random.key(0), 4000)
    np.testing.assert_allclose(np.asarray(drawn.as_matrix()).mean(0), 0, atol=0.04)


def test_rotations_in_between_are_scipys():
    times, at = np.array([0.0, 1.0, 2.5, 4.0]), np.array([0.0, 0.25, 1.0, 2.0, 3.9, 4.0])
    slerp = Slerp.init(times, Rotation.from_quat(QUATS[:4]))
    want = theirs.Slerp(times, theirs.Rotation.from_quat(QUATS[:4]))
    same(slerp(at), want(at))
    same(slerp(0.7), want(0.7))
    same(xlac.jit(lambda s, t: s(t))(slerp, at), want(at))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotation.from_quat(np.ones(3)), r"it must be \[4\]"),
        (lambda: Rotation.from_matrix(np.ones((2, 2))), r"it must be \[3, 3\]"),
        (lambda: Rotation.from_euler("xyw", VECTORS), "letters of xyz"),
        (lambda: Rotation.from_euler("xY", VECTORS[:, :2]), "letters of xyz, or of XYZ"),
        (lambda: Rotation.from_euler("xy", VECTORS), r"it must be \[2\]"),
        (lambda: Rotation.from_quat(QUATS).as_euler("xxy"), "none follows itself"),
        (lambda: Rotation.from_quat(QUATS).mean(np.ones(3)), r"give \[n\] for \[n, 4\]"),
        (lambda: Slerp.init([0.0], Rotation.from_quat(QUATS[0])), "at least two"),
        (lambda: Slerp.init([0.0], Rotation.from_quat(QUATS[:2])), "for 2 rotations"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ShapeError, match=message):
        make()
