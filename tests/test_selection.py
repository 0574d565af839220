import numpy as np
import pytest
from sklearn.model_selection import KFold

import mtrelu
from mtrelu.selection import select_alpha
from mtrelu.validation import InvalidInputError


def noisy(n, T, noise, seed=0):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.0, 10.0, n))
    bend = np.maximum(x - 4.0, 0.0)[:, None] * rng.standard_normal(T) * 3.0
    return x, bend + x[:, None] + noise * rng.standard_normal((n, T))


def test_scores_are_the_losses_of_fits_that_have_not_seen_the_points():
    x, Y = noisy(14, 2, 0.5)
    choice = select_alpha(x, Y, n_folds=3)
    fold = np.array([-1, *(i % 3 for i in range(12)), -1])  # the inner points in turn
    for a in (0, 7, 20):
        for f in range(3):
            out = fold == f
            kept = np.mean(~out)
            net = mtrelu.solve(x[~out], Y[~out], choice.alphas[a] * kept).network
            score = 0.5 * np.mean((net(x[out]) - Y[out]) ** 2)
            assert choice.scores[a, f] == pytest.approx(score, rel=1e-9)
    assert choice.n_held_out.tolist() == [4, 4, 4]


def test_the_choice_is_the_largest_alpha_that_is_as_good_as_the_best():
    choice = select_alpha(*noisy(40, 3, 0.5), n_folds=5)
    as_good = choice.alphas[choice.mean <= 1.01 * choice.mean.min()]
    assert choice.alpha == as_good.max()
    assert (np.diff(choice.alphas) < 0).all()


def test_more_noise_asks_for_more_penalty():
    quiet, loud = (select_alpha(*noisy(40, 2, s), n_folds=5).alpha for s in (0.01, 2.0))
    assert loud > 5 * quiet


def test_the_grid_starts_at_alpha_max():
    x, Y = noisy(20, 2, 0.3)
    choice = select_alpha(x, Y, n_folds=2)
    assert choice.alphas[0] == pytest.approx(mtrelu.alpha_max(x, Y), rel=1e-12)
    assert choice.alphas[-1] == pytest.approx(1e-5 * choice.alphas[0])


def test_order_of_the_samples_does_not_matter():
    x, Y = noisy(20, 2, 0.3)
    order = np.random.default_rng(1).permutation(20)
    one, other = select_alpha(x, Y, n_folds=3), select_alpha(x[order], Y[order], n_folds=3)
    assert one.alpha == pytest.approx(other.alpha, rel=1e-9)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)


def test_equal_inputs_are_held_out_together():
    x, Y = noisy(12, 1, 0.3)
    x2, Y2 = np.repeat(x, 2), np.repeat(Y, 2, axis=0)
    choice = select_alpha(x2, Y2, n_folds=4)
    weighted = select_alpha(x, Y, n_folds=4, sample_weight=np.full(12, 2.0))
    assert choice.n_held_out.sum() == 20
    np.testing.assert_allclose(choice.scores, weighted.scores, rtol=1e-4)


def held_out_loss(x, Y, alpha, train, test, weights):
    """By a fit of its own to one part, scored on the other."""
    kept = weights[train].sum() / weights.sum()
    net = mtrelu.solve(x[train], Y[train], alpha * kept, sample_weight=weights[train]).network
    return np.average(0.5 * (net(x[test]) - Y[test]) ** 2, weights=weights[test])


class TestFolds:
    def test_given_folds_are_kept(self):
        x, Y = noisy(15, 2, 0.5)
        folds = list(KFold(3, shuffle=True, random_state=0).split(x))
        choice = select_alpha(x, Y, [3.0, 0.1, 0.5], folds=folds)
        assert choice.alphas.tolist() == [3.0, 0.5, 0.1]
        for a, f in ((0, 0), (2, 1), (1, 2)):
            expected = held_out_loss(x, Y, choice.alphas[a], *folds[f], np.ones((15, 2)))
            assert choice.scores[a, f] == pytest.approx(expected, rel=1e-6)
        assert choice.n_held_out.tolist() == [5, 5, 5]

    def test_labels_that_are_missing_or_weigh_nothing_are_neither_fitted_nor_scored(self):
        x, Y = noisy(15, 2, 0.5)
        weights = np.random.default_rng(2).uniform(0.5, 2.0, (15, 2))
        weights[[2, 5, 9], [0, 0, 1]] = 0.0
        weights[7] = 0.0  # a whole sample: given positions count it all the same
        missing = np.where(weights == 0.0, np.nan, Y)
        missing[5, 0] = 1e6  # of weight 0 though present
        folds = list(KFold(3, shuffle=True, random_state=0).split(x))
        choice = select_alpha(
            x, missing, [1.0, 0.1], folds=folds, sample_weight=weights, nan_policy="omit"
        )
        for a in (0, 1):
            for f, (train, test) in enumerate(folds):
                expected = held_out_loss(x, Y, choice.alphas[a], train, test, weights)
                assert choice.scores[a, f] == pytest.approx(expected, rel=1e-4)
        assert choice.n_held_out.sum() == 14

    @pytest.mark.parametrize(
        ("folds", "message"),
        [
            ([], r"0 division\(s\)"),
            ([([0, 1, 2], [3])], r"1 division\(s\)"),
            ([([0, 1, 2], [3]), ([0, 1], [99])], "divides no 9 samples"),
            ([([0, 1, 2], ["a"]), ([0, 1], [2])], "divides no 9 samples"),
            ([3, 4], "divides no 9 samples"),
            ([([0, 1, 2], [3]), ([0, 1, 2], [])], "fold 1 holds out no label"),
            ([([0, 1, 2], [3]), ([], [1])], "fold 1 keeps none of task 0"),
        ],
    )
    def test_folds_that_cannot_be_used(self, folds, message):
        with pytest.raises(InvalidInputError, match=message):
            select_alpha(np.arange(9.0), np.arange(9.0) ** 2, folds=folds)

    def test_a_task_whose_labels_are_all_held_out_at_once(self):
        Y = np.full((9, 2), np.nan)
        Y[:, 0], Y[4, 1] = np.arange(9.0) ** 2, 1.0
        with pytest.raises(InvalidInputError, match="keeps none of task 1"):
            select_alpha(np.arange(9.0), Y, nan_policy="omit")


class TestRules:
    def test_each_from_the_scores(self):
        data = noisy(40, 3, 0.5)
        one_percent, one_se, least = (
            select_alpha(*data, n_folds=5, rule=rule) for rule in ("one_percent", "one_se", "min")
        )
        np.testing.assert_array_equal(one_se.scores, least.scores)
        mean = least.scores.mean(axis=1)
        error = np.std(least.scores[mean.argmin()], ddof=1) / np.sqrt(5)
        assert least.alpha == least.alphas[mean.argmin()]
        assert one_se.alpha == least.alphas[mean <= mean.min() + error].max()
        assert least.alpha <= one_percent.alpha <= one_se.alpha
        assert least.alpha < one_se.alpha

    def test_another(self):
        with pytest.raises(InvalidInputError, match=r"rule is 'best'.*one_se"):
            select_alpha(*noisy(10, 1, 0.5), rule="best")


class TestOptions:
    @pytest.mark.parametrize("n_alphas", [1, 2.5, True, "many"])
    def test_number_of_penalties(self, n_alphas):
        with pytest.raises(InvalidInputError, match="n_alphas is"):
            select_alpha(*noisy(10, 1, 0.5), n_alphas=n_alphas)

    def test_grid(self):
        x, Y = noisy(20, 2, 0.3)
        choice = select_alpha(x, Y, n_alphas=6, n_folds=2)
        ratios = choice.alphas[1:] / choice.alphas[:-1]
        np.testing.assert_allclose(ratios, 0.1)
        assert choice.alphas[0] == pytest.approx(mtrelu.alpha_max(x, Y))

    def test_every_fit_is_certified(self):
        choice = select_alpha(*noisy(20, 2, 0.3), n_folds=3, tol=1e-8)
        assert choice.relative_gaps.shape == choice.scores.shape
        assert (choice.relative_gaps >= 0).all() and choice.relative_gaps.max() <= 1e-8

    def test_in_parallel_everything_is_the_same(self):
        data = bent_plane(20, 2, 0.3)
        one, two = (select_alpha(*data, n_alphas=4, n_folds=3, n_jobs=n) for n in (None, 2))
        np.testing.assert_array_equal(one.scores, two.scores)
        np.testing.assert_array_equal(one.relative_gaps, two.relative_gaps)
        assert one.alpha == two.alpha

    def test_given_penalties_are_all_tried_with_several_inputs(self):
        X, Y = bent_plane(40, 2, 0.5)
        top = mtrelu.alpha_max(X, Y)
        alphas = top * np.array([1.0, 0.3, 0.1, 0.03, 0.01])
        choice = select_alpha(X, Y, alphas, n_folds=2)
        assert choice.alphas.tolist() == alphas.tolist()
        assert choice.mean[-1] > 1.05 * choice.mean.min()

    def test_constant_skip(self):
        x, Y = noisy(15, 2, 0.5)
        choice = select_alpha(x, Y, [0.1, 1.0], skip="constant", n_folds=2)
        inner = np.arange(13) % 2
        for f in (0, 1):
            out = np.concatenate([[False], inner == f, [False]])
            net = mtrelu.solve(x[~out], Y[~out], np.mean(~out), skip="constant").network
            assert choice.scores[0, f] == pytest.approx(
                0.5 * np.mean((net(x[out]) - Y[out]) ** 2), rel=1e-2
            )


def test_progress_counts_every_fit():
    seen = []
    select_alpha(*noisy(8, 1, 0.3), n_folds=2, progress=lambda *args: seen.append(args))
    assert seen == [(i + 1, len(seen)) for i in range(len(seen))]
    assert len(seen) == 2 * 26


def test_data_on_a_line_choose_something_that_gives_the_line():
    x = np.arange(8.0)
    choice = select_alpha(x, 2 * x + 1, n_folds=3)
    assert choice.mean.max() < 1e-20


@pytest.mark.parametrize("x", [[1.0, 2, 3, 4], [1.0, 1, 2, 2, 3, 3, 4, 4]])
def test_too_few_points(x):
    with pytest.raises(InvalidInputError, match="4 distinct values"):
        select_alpha(x, x)


def test_too_few_folds():
    with pytest.raises(InvalidInputError, match="n_folds is 1"):
        select_alpha(range(9), range(9), n_folds=1)


def bent_plane(n, T, noise, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (n, 2))
    bend = np.maximum(X @ [0.8, 0.6], 0.0)[:, None] * rng.uniform(1.0, 3.0, T)
    return X, bend + noise * rng.standard_normal((n, T))


class TestSeveralInputs:
    def test_scores_are_the_losses_of_fits_that_have_not_seen_the_points(self):
        X, Y = bent_plane(20, 2, 0.1)
        choice = select_alpha(X, Y, n_folds=3, tol=1e-6)
        order = np.lexsort(X.T[::-1])
        fold = np.empty(20, dtype=int)
        fold[order[np.random.default_rng(0).permutation(20)]] = np.arange(20) % 3
        for a in (0, len(choice.alphas) - 1):
            for f in range(3):
                out = fold == f
                net = mtrelu.solve(X[~out], Y[~out], choice.alphas[a] * np.mean(~out)).network
                score = 0.5 * np.mean((net(X[out]) - Y[out]) ** 2)
                assert choice.scores[a, f] == pytest.approx(score, rel=1e-2)

    def test_small_alphas_are_not_tried_once_the_loss_has_risen(self):
        choice = select_alpha(*bent_plane(40, 2, 0.5))
        assert choice.n_held_out.tolist() == [8] * 5
        assert len(choice.alphas) == len(choice.scores) < 13
        worse = choice.mean > 1.05 * np.minimum.accumulate(choice.mean)
        assert worse[-1] and not worse[:-1].any()
        assert choice.alpha == choice.alphas[choice.mean <= 1.01 * choice.mean.min()].max()
        assert not choice.least_at_edge

    def test_the_order_of_the_samples_does_not_matter(self):
        X, Y = bent_plane(20, 2, 0.3)
        order = np.random.default_rng(1).permutation(20)
        one = select_alpha(X, Y, n_folds=2)
        other = select_alpha(X[order], Y[order], n_folds=2)
        assert one.alpha == pytest.approx(other.alpha, rel=1e-9)

    def test_equal_rows_are_held_out_together(self):
        X, Y = bent_plane(12, 1, 0.3)
        choice = select_alpha(np.repeat(X, 2, axis=0), np.repeat(Y, 2, axis=0), n_folds=4)
        assert choice.n_held_out.tolist() == [6] * 4

    def test_too_few(self):
        with pytest.raises(InvalidInputError, match="4 distinct"):
            select_alpha(np.eye(4), np.ones(4))
