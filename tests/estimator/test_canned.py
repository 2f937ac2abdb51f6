"""DNNClassifier and DNNRegressor: what they learn, what they refuse, and scikit-learn's manners."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import xlac
from xlac.errors import CheckpointError, EstimatorError
from xlac.estimator import DNNClassifier, DNNRegressor, load_arrays, optimizers

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import iris_dnn  # noqa: E402
from iris_dnn import load_iris, split  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4)).astype(np.float32)
CODES = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.5)
NAMES = np.array(["low", "mid", "up"])


def small(**arguments):
    return DNNClassifier(
        **{"hidden_units": (8,), "learning_rate": 0.05, "batch_size": 30, "progress": False, **arguments}
    )


@pytest.mark.parametrize(
    "labels",
    [
        CODES,
        CODES.astype(np.uint8),
        CODES + 1,
        CODES * 10 - 5,
        NAMES[CODES],
        NAMES[CODES].astype(object),
        CODES * 1.0,
        CODES > 0,
    ],
    ids=["codes", "uint8", "from 1", "any integers", "strings", "objects", "floats", "booleans"],
)
def test_labels_of_any_type_are_learned_and_come_back(labels):
    model = small().fit(X, labels, steps=60)
    predicted = model.predict(X)
    known = np.unique(labels.astype(str) if labels.dtype == object else labels)
    np.testing.assert_array_equal(model.classes_, known)
    assert predicted.dtype == model.classes_.dtype
    assert np.mean(predicted == labels) > 0.85
    assert model.score(X, labels) == pytest.approx(np.mean(predicted == labels))


def test_evaluate_agrees_with_the_probabilities():
    model = small().fit(X, CODES, steps=10)
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (60, 3) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    result = model.evaluate(X, CODES)
    assert sorted(result) == ["accuracy", "global_step", "loss"]
    assert result["global_step"] == model.n_iter_ == 10
    assert result["accuracy"] == pytest.approx(np.mean(probabilities.argmax(1) == CODES))
    assert result["loss"] == pytest.approx(-np.log(probabilities[np.arange(60), CODES]).mean(), rel=1e-5)
    for rows in (1, 7, 59):  # filled up inside
        np.testing.assert_allclose(model.predict_proba(X[:rows]), probabilities[:rows], rtol=1e-5, atol=1e-6)


def test_with_n_classes_classes_that_do_not_occur_are_kept():
    model = small(n_classes=5).fit(X, CODES, steps=1)
    np.testing.assert_array_equal(model.classes_, np.arange(5))
    assert model.predict_proba(X).shape == (60, 5)


def test_the_same_seed_gives_the_same_model_and_fit_starts_anew():
    first = small(seed=3).fit(X, CODES, steps=5)
    probabilities = first.predict_proba(X)
    np.testing.assert_array_equal(small(seed=3).fit(X, CODES, steps=5).predict_proba(X), probabilities)
    np.testing.assert_array_equal(first.fit(X, CODES, steps=5).predict_proba(X), probabilities)
    assert (small(seed=4).fit(X, CODES, steps=5).predict_proba(X) != probabilities).any()


def test_partial_fit_goes_on():
    whole = small().fit(X, CODES, steps=6)
    model = small().partial_fit(X, CODES, classes=[0, 1, 2], steps=2)
    model.partial_fit(X, CODES, steps=2).partial_fit(X, CODES)  # 60 rows, 30 at a time
    assert model.n_iter_ == 6
    np.testing.assert_array_equal(model.predict_proba(X), whole.predict_proba(X))


def test_the_figures_of_standardize_are_part_of_the_model(tmp_path):
    shifted = X * 100 + 1e4
    model = small(standardize=True, model_dir=tmp_path).fit(shifted, CODES, steps=60)
    assert model.score(shifted, CODES) > 0.85
    again = small(standardize=True, model_dir=tmp_path)
    np.testing.assert_array_equal(again.predict_proba(shifted), model.predict_proba(shifted))


def test_a_model_dir_is_enough_to_predict(tmp_path):
    model = small(model_dir=tmp_path).fit(X, NAMES[CODES], steps=5)
    again = small(model_dir=tmp_path)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.classes_, NAMES)
    assert again.fit(X, NAMES[CODES], max_steps=8).n_iter_ == 8
    with pytest.raises(
        CheckpointError, match=r'classes is \["low", "mid", "up"\] in the file, \[0, 1, 2\] in the model'
    ):
        small(model_dir=tmp_path).fit(X, CODES, steps=1)
    with pytest.raises(CheckpointError, match="of a classifier"):
        DNNRegressor((8,), model_dir=tmp_path).predict(X)
    with pytest.raises(CheckpointError, match="another model"):
        small(model_dir=tmp_path, hidden_units=(9,)).predict(X)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, 0], CODES, r"X is float32\[60\]; it must be \[rows, features\]"),
        (X[:0], CODES[:0], "at least one row"),
        (X, CODES[:9], "X has 60 rows but y has 9"),
        (
            np.where(X == X[7, 2], np.nan, X),
            CODES,
            "1 values that are NaN or infinite in float32, the first at row 7, feature 2",
        ),
        (X.astype(np.float64) + 1e300, CODES, "infinite in float32"),
        ([[1, 2], [3]], [0, 1], "X is ragged"),
        ([["a"], ["b"]], [0, 1], "must be of real numbers"),
        (X, np.zeros(60), "only the label 0.0"),
        (X, np.linspace(0, 1, 60), "not whole numbers; use DNNRegressor"),
        (X, np.eye(3)[CODES], "take argmax of one-hot rows"),
        (X, CODES * 1j, "labels must be"),
    ],
)
def test_improper_data_is_refused(x, y, message):
    with pytest.raises(EstimatorError, match=message):
        small().fit(x, y, steps=1)


def test_labels_out_of_range_are_refused():
    with pytest.raises(
        EstimatorError, match="4 different labels .*n_classes is 3; labels must be integers from 0 to 2"
    ):
        small(n_classes=3).fit(X, np.arange(60) % 4, steps=1)
    with pytest.raises(EstimatorError, match="2 different labels"):
        small(n_classes=3).fit(X, np.arange(60) % 2 - 1, steps=1)
    model = small().fit(X, CODES, steps=1)
    with pytest.raises(EstimatorError, match=r"label 7 at row 3, which is none of the model's classes \[0, 1, 2\]"):
        model.evaluate(X[:4], [0, 1, 2, 7])
    with pytest.raises(EstimatorError, match="labels of type"):
        model.evaluate(X, NAMES[CODES])
    with pytest.raises(EstimatorError, match="3 features, but the model was trained with 4"):
        model.predict(X[:, :3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_units": (8, 0)}, "a size is 0"),
        ({"hidden_units": "ten"}, "hidden_units is 'ten'"),
        ({"n_classes": 1}, "n_classes is 1"),
        ({"optimizer": "adamm"}, "'adamm'; it must be one of"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"optimizer": optimizers.sgd(), "learning_rate": 0.1}, "besides an optimizer object"),
        ({"activation": "relou"}, "'relou'; it must be one of"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_improper_parameters_are_refused_by_fit(arguments, message):
    with pytest.raises(EstimatorError, match=message):
        small(**arguments).fit(X, CODES, steps=1)


def test_an_untrained_model_says_so(tmp_path):
    with pytest.raises(EstimatorError, match="not trained yet; call fit first"):
        small().predict(X)
    with pytest.raises(EstimatorError, match="has no checkpoint"):
        small(model_dir=tmp_path).predict(X)


def test_a_regressor_learns_numbers():
    targets = X @ np.array([1.0, -2.0, 0.5, 0.0]) + 3
    model = DNNRegressor((16,), learning_rate=0.03, progress=False, l2=1e-6).fit(X, targets, steps=150)
    assert model.predict(X).shape == (60,)
    assert model.score(X, targets) > 0.9
    result = model.evaluate(X, targets)
    assert result["loss"] == pytest.approx(np.square(model.predict(X) - targets).mean(), rel=1e-4)
    both = np.stack([targets, -targets], 1)
    assert DNNRegressor((4,), progress=False).fit(X, both, steps=1).predict(X).shape == (60, 2)
    with pytest.raises(EstimatorError, match="NaN"):
        model.fit(X, np.where(targets > 3, np.nan, targets))


def test_the_exported_program_gives_the_probabilities(tmp_path):
    model = small(standardize=True).fit(X, CODES, steps=3)
    with open(model.export(tmp_path, batch_size=60)) as file:
        result = xlac.compile(file.read())(X)
    np.testing.assert_allclose(result, model.predict_proba(X), rtol=1e-5, atol=1e-6)
    assert "hidden_0/kernel" in load_arrays(tmp_path / "weights.safetensors")


# ---- scikit-learn's manners


def test_parameters_are_got_and_set():
    model = small(seed=5)
    assert model.get_params()["seed"] == 5
    assert model.set_params(seed=6, batch_size=7) is model and model.seed == 6
    assert repr(DNNClassifier(seed=6)) == "DNNClassifier(seed=6)"
    with pytest.raises(EstimatorError, match="no parameter 'sead'; it has hidden_units"):
        model.set_params(sead=1)


def test_clone_and_cross_validation_work():
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    model = small(n_classes=3, steps=40, optimizer=optimizers.adam(0.05), learning_rate=None)
    copy = base.clone(model)
    assert copy is not model and repr(copy.get_params()) == repr(model.get_params())
    assert base.is_classifier(model) and base.is_regressor(DNNRegressor())
    scores = selection.cross_val_score(model, X, NAMES[CODES], cv=3)
    assert scores.shape == (3,) and scores.mean() > 0.6


def test_it_works_in_a_pipeline():
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), small(steps=40))
    assert model.fit(X * 1000, CODES).score(X * 1000, CODES) > 0.8


@pytest.mark.slow
def test_iris_is_learned_over_ten_seeds():
    features, species = load_iris()
    accuracy = []
    for seed in range(10):
        x_train, y_train, x_test, y_test = split(features, species, seed)
        model = DNNClassifier(n_classes=3, seed=seed, progress=False).fit(x_train, y_train, steps=2000)
        accuracy.append(model.evaluate(x_test, y_test)["accuracy"])
    assert np.mean(accuracy) >= 0.95, accuracy


def test_the_example_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["iris_dnn.py", "--steps", "60"])
    iris_dnn.main()
    shown = capsys.readouterr().out
    assert shown.count("test accuracy") == 2 and "fusions" in shown and "█" in shown


def test_iris_is_the_data_set_it_says():
    features, species = load_iris()
    assert features.shape == (150, 4)
    np.testing.assert_allclose(features.mean(0), [5.8433, 3.0573, 3.758, 1.1993], atol=5e-5)
    assert [str(n) for n in np.unique(species)] == ["setosa", "versicolor", "virginica"]
    assert (np.unique(species, return_counts=True)[1] == 50).all()
