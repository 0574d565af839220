from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from mtrelu.losses import HuberLoss, LogisticLoss, QuantileLoss, SquaredLoss, make_loss
from mtrelu.validation import InvalidInputError

LOSSES = [
    SquaredLoss(),
    HuberLoss(),
    HuberLoss(delta=0.2),
    LogisticLoss(),
    QuantileLoss(),
    QuantileLoss(quantile=0.9),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=str)

EPS = np.finfo(float).eps


def labels_for(loss, size=12, seed=0):
    rng = np.random.default_rng(seed)
    if loss.name == "logistic":
        return np.concatenate([[0.0, 1.0], rng.uniform(size=size - 2)])
    return 3.0 * rng.standard_normal(size)


def duals_inside(loss, y, seed=1):
    lo, hi = loss.dual_bounds(y)
    lo, hi = np.maximum(lo, -4.0), np.minimum(hi, 4.0)
    return lo + (hi - lo) * np.random.default_rng(seed).uniform(0.02, 0.98, size=y.shape)


@each_loss
def test_gradient_is_the_difference_quotient(loss):
    y = labels_for(loss, size=200)
    z = 4.0 * np.random.default_rng(2).standard_normal(200)
    step = 1e-6
    quotient = (loss.value(y, z + step) - loss.value(y, z - step)) / (2 * step)
    near_kink = np.abs(z - y) < 2 * step
    assert near_kink.sum() <= 1
    np.testing.assert_allclose(loss.gradient(y, z)[~near_kink], quotient[~near_kink], atol=2e-9)


@each_loss
def test_value_is_convex(loss):
    rng = np.random.default_rng(3)
    y = labels_for(loss, size=500)
    z0, z1 = 5.0 * rng.standard_normal((2, 500))
    s = rng.uniform(size=500)
    chord = (1 - s) * loss.value(y, z0) + s * loss.value(y, z1)
    assert np.all(loss.value(y, (1 - s) * z0 + s * z1) <= chord + 1e-12)


@each_loss
def test_conjugate_is_the_supremum(loss):
    y = labels_for(loss)
    for label, p in zip(y, duals_inside(loss, y), strict=True):
        found = minimize_scalar(
            lambda z, label=label, p=p: float(loss.value(label, z)) + p * z,
            bounds=(-60.0, 60.0),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert float(loss.conjugate(label, -p)) == pytest.approx(-found.fun, abs=1e-8)


@each_loss
def test_conjugate_is_infinite_exactly_outside_the_bounds(loss):
    y = labels_for(loss)
    for bound, outwards in zip(loss.dual_bounds(y), (-1.0, 1.0), strict=True):
        finite = np.isfinite(bound)
        y_f, p = y[finite], bound[finite]
        assert np.all(np.isfinite(loss.conjugate(y_f, -p)))
        # Rounding is forgiven, anything more is not.
        np.testing.assert_array_equal(loss.conjugate(y_f, -p * (1 + EPS)), loss.conjugate(y_f, -p))
        assert np.all(loss.conjugate(y_f, -(p + outwards * 1e-6)) == np.inf)
        # The supremum grows without bound there.
        far = np.array([1e3, 1e4, 1e5])[:, np.newaxis] * -outwards
        growing = -(p + outwards * 1e-2) * far - loss.value(y_f, far)
        assert np.all(np.diff(growing, axis=0) > 0)


@each_loss
def test_bounds_hold_every_gradient_and_zero(loss):
    y = labels_for(loss, size=300)
    lo, hi = loss.dual_bounds(y)
    assert np.all((lo <= 0) & (hi >= 0))
    for z in (-1e3, -1.0, 0.0, y, 2.0, 1e3):
        p = -loss.gradient(y, z)
        assert np.all((lo <= p) & (p <= hi))


@each_loss
@given(
    st.floats(0.0, 1.0),
    st.floats(-50.0, 50.0, allow_subnormal=False),
    st.floats(-50.0, 50.0, allow_subnormal=False),
)
def test_fenchel_young(loss, y, z, other):
    """ℓ(y, z) + ℓ*(y, q) >= qz for every q, with equality at the gradient."""
    scale = 1.0 + abs(z) + abs(other)
    own = float(loss.gradient(y, z))
    total = float(loss.value(y, z)) + float(loss.conjugate(y, own))
    assert total == pytest.approx(own * z, abs=1e-12 * scale**2)
    q = float(loss.gradient(y, other))
    assert float(loss.value(y, z)) + float(loss.conjugate(y, q)) >= q * z - 1e-12 * scale**2


@each_loss
def test_dual_fit_differentiates_the_conjugate(loss):
    y = labels_for(loss, size=200)
    p = duals_inside(loss, y)
    step = 1e-5

    def c(p):
        return loss.conjugate(y, -p)

    z, slope = loss.dual_fit(y, p)
    np.testing.assert_allclose(z, -(c(p + step) - c(p - step)) / (2 * step), rtol=1e-4, atol=1e-6)
    z_above, z_below = loss.dual_fit(y, p + step)[0], loss.dual_fit(y, p - step)[0]
    np.testing.assert_allclose(slope, -(z_above - z_below) / (2 * step), rtol=1e-4, atol=1e-6)
    assert np.all(slope >= 0)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.smoothness < np.inf], ids=str)
def test_dual_fit_inverts_the_gradient_of_a_smooth_loss(loss):
    y = labels_for(loss, size=200)
    p = duals_inside(loss, y)
    np.testing.assert_allclose(-loss.gradient(y, loss.dual_fit(y, p)[0]), p, atol=1e-14)


@each_loss
def test_strictly_convex_says_whether_chords_lie_above(loss):
    y = labels_for(loss)[:, np.newaxis]
    z = np.linspace(-30.0, 30.0, 61)
    chord = 0.5 * (loss.value(y, z - 0.5) + loss.value(y, z + 0.5))
    above = chord - loss.value(y, z)
    assert loss.strictly_convex == bool(np.all(above > 0.0))


@each_loss
def test_piecewise_quadratic_says_whether_the_dual_slope_is_constant(loss):
    y = labels_for(loss)
    slopes = [loss.dual_fit(y, duals_inside(loss, y))[1] for _ in range(2)]
    assert loss.piecewise_quadratic == bool(np.ptp(slopes) == 0.0)


@each_loss
def test_of_residual_says_whether_labels_may_be_shifted(loss):
    y = 0.25 * labels_for(loss)
    z = np.linspace(-2.0, 2.0, y.size)
    moved = np.abs(loss.value(y + 0.5, z + 0.5) - loss.value(y, z))
    assert loss.of_residual == bool(np.all(moved < 1e-12))


@each_loss
def test_smoothness_is_the_lipschitz_constant(loss):
    y = labels_for(loss, size=2)[:1]
    z = np.linspace(-5.0, 5.0, 200_001)
    steepest = np.max(np.abs(np.diff(loss.gradient(y, z)))) / (z[1] - z[0])
    if np.isinf(loss.smoothness):
        assert steepest > 1e4
    else:
        assert steepest == pytest.approx(loss.smoothness, rel=1e-3)


@each_loss
@given(st.floats(0.0, 1.0), st.floats(-6.0, 6.0), st.floats(-6.0, 6.0))
def test_prediction_radius_covers_the_optimum(loss, y, z, optimum):
    divergence = float(
        loss.value(y, z) - loss.value(y, optimum) - loss.gradient(y, optimum) * (z - optimum)
    )
    gap = max(divergence, 0.0) + 1e-13
    radius = loss.prediction_radius(np.array([y]), np.array([z]), np.array([gap]))
    assert radius.shape == (1,)
    assert abs(z - optimum) <= radius[0]


@pytest.mark.parametrize(
    ("loss", "curvature"), [(SquaredLoss(), 1.0), (HuberLoss(), 1.0), (LogisticLoss(), 0.25)]
)
def test_prediction_radius_is_sharp_for_small_gaps(loss, curvature):
    radius = loss.prediction_radius(np.zeros(1), np.zeros(1), np.array([1e-24]))
    assert radius[0] == pytest.approx(np.sqrt(2e-24 / curvature), rel=1e-6)


def test_prediction_radius_is_infinite_where_nothing_can_be_said():
    one = np.ones(1)
    assert QuantileLoss().prediction_radius(one, one, 1e-9 * one)[0] == np.inf
    assert HuberLoss(1.0).prediction_radius(0 * one, 2 * one, 1e-9 * one)[0] == np.inf
    assert LogisticLoss().prediction_radius(one, 0 * one, one)[0] == np.inf
    assert LogisticLoss().prediction_radius(one, 800 * one, one)[0] == np.inf


def test_quantile_gradient_at_the_kink_is_the_one_nearest_zero():
    assert QuantileLoss(0.9).gradient(1.0, 1.0) == 0.0


def test_logistic_keeps_its_digits_when_it_is_certain():
    loss = LogisticLoss()
    with localcontext(prec=320):
        for z in (40.0, 300.0):
            tail = (-Decimal(z)).exp()
            assert float(loss.gradient(1.0, z)) == pytest.approx(
                -float(tail / (1 + tail)), rel=1e-14, abs=0
            )
            assert float(loss.value(1.0, z)) == pytest.approx(
                float((1 + tail).ln()), rel=1e-14, abs=0
            )
            assert float(loss.gradient(0.0, -z)) == pytest.approx(
                float(tail / (1 + tail)), rel=1e-14, abs=0
            )
            p = Decimal(float(tail))
            entropy = p * p.ln() + (1 - p) * (1 - p).ln()
            assert float(loss.conjugate(1.0, -float(p))) == pytest.approx(
                float(entropy), rel=1e-13, abs=0
            )
            assert float(loss.dual_fit(1.0, float(p))[0]) == pytest.approx(
                float((1 - p).ln() - p.ln()), rel=1e-14, abs=0
            )
    assert float(loss.value(0.3, 1e4)) == pytest.approx(7e3)
    assert float(loss.value(0.3, -1e4)) == pytest.approx(3e3)


def test_huber_is_the_squared_loss_when_delta_is_large():
    rng = np.random.default_rng(0)
    y, z = rng.standard_normal((2, 50))
    wide, squared = HuberLoss(delta=1e3), SquaredLoss()
    np.testing.assert_allclose(wide.value(y, z), squared.value(y, z))
    np.testing.assert_allclose(wide.gradient(y, z), squared.gradient(y, z))
    np.testing.assert_allclose(wide.conjugate(y, z), squared.conjugate(y, z))


@each_loss
def test_methods_broadcast(loss):
    y = labels_for(loss, size=3)[:, np.newaxis]
    z = np.linspace(-1.0, 1.0, 4)
    assert loss.value(y, z).shape == (3, 4)
    assert loss.gradient(y, z).shape == (3, 4)
    assert loss.conjugate(y, 0.0 * z).shape == (3, 4)
    assert loss.dual_fit(0.5 + 0.0 * y, 0.01 * z)[0].shape == (3, 4)
    assert loss.prediction_radius(y, z, np.float64(0.1)).shape == (3, 4)


@each_loss
def test_configuration_round_trip(loss):
    assert make_loss(loss.config()) == loss
    assert make_loss(loss) is loss
    assert make_loss(loss.name) == type(loss)()


def test_only_the_logistic_loss_limits_its_labels():
    Y = np.array([[0.0, 1.0], [0.5, 1.5]])
    with pytest.raises(
        InvalidInputError, match=r"labels has the label 1\.5 at row 1.*\[0, 1\]; encode"
    ):
        LogisticLoss().check_labels(Y, "labels")
    LogisticLoss().check_labels(Y[:1])
    for loss in (SquaredLoss(), HuberLoss(), QuantileLoss()):
        loss.check_labels(Y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_loss("l1"), r"loss is 'l1', which is not a known loss; pass one of 'squar"),
        (lambda: make_loss(3), r"loss is 3, which is not a known loss"),
        (lambda: make_loss({}), r"loss is \{\}, which is not a known loss"),
        (
            lambda: make_loss({"name": "huber", "width": 1}),
            r"the huber loss does not take the parameters \['width'\]; see HuberLoss",
        ),
        (lambda: HuberLoss(delta=0.0), r"delta of the Huber loss is 0\.0"),
        (lambda: HuberLoss(delta=np.inf), r"delta of the Huber loss is inf"),
        (lambda: QuantileLoss(quantile=1.0), r"quantile of the quantile loss is 1\.0"),
        (lambda: QuantileLoss(quantile=np.nan), r"quantile of the quantile loss is nan"),
    ],
)
def test_losses_that_cannot_work_are_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()
