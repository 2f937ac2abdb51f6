"""The Estimator: training, resuming, evaluating, predicting, and what it says when something is wrong."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import xlac
from xlac import numpy as xnp
from xlac.errors import CheckpointError, EstimatorError, NonFiniteLossError
from xlac.estimator import (
    ArrayInput,
    Estimator,
    EstimatorSpec,
    ModeKeys,
    accuracy,
    assign,
    layers,
    load_arrays,
    losses,
    mean,
    optimizers,
    variable,
    variable_scope,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 3)).astype(np.float32)
WEIGHTS = np.array([[1.0], [-2.0], [0.5]], np.float32)
Y = X @ WEIGHTS + 0.25


def linear(features, labels, mode, params):
    """A linear model; params: optimizer, and scale, by which the loss is multiplied."""
    params = params or {}
    prediction = layers.dense(features, 1, name="linear")
    if mode == ModeKeys.PREDICT:
        return EstimatorSpec(mode, predictions={"value": prediction})
    loss = losses.mean_squared_error(labels, prediction) * params.get("scale", 1.0)
    return EstimatorSpec(
        mode,
        loss=loss,
        train_op=params.get("optimizer", optimizers.sgd(0.1)).minimize(loss),
        eval_metric_ops={"error": mean(xnp.abs(prediction - labels)), "rows": xnp.abs(prediction - labels)[:, 0]},
    )


def quiet(**fields):
    return {"batch_size": 8, "progress": False, "log_step_count_steps": None, **fields}


def reference(steps, seed=0, batch_size=8, start=None, rate=0.1):
    """The linear model trained by NumPy in float64 on the same batches: (kernel, bias)."""
    kernel, bias = start
    kernel, bias = kernel.astype(np.float64), bias.astype(np.float64)
    for number, (x, y) in enumerate(ArrayInput(X, Y, batch_size, True, seed).stream()):
        if number == steps:
            return kernel, bias
        error = x @ kernel + bias - y
        kernel -= rate * 2 * x.T @ error / len(x)
        bias -= rate * 2 * error.mean(0)
    raise AssertionError


def start_of(model):
    """The initial kernel and bias."""
    return model._model.initial["linear/kernel"], model._model.initial["linear/bias"]


def test_training_follows_the_reference_step_by_step():
    model = Estimator(linear, config=quiet()).fit(X, Y, steps=12)
    kernel, bias = reference(12, start=start_of(model))
    assert model.global_step == 12
    # 12 steps of sums of 8 products in float32
    np.testing.assert_allclose(model.variables["linear/kernel"], kernel, rtol=0, atol=12 * 8 * 2**-24 * 4)
    np.testing.assert_allclose(model.variables["linear/bias"], bias, rtol=0, atol=12 * 8 * 2**-24 * 4)


def test_initial_values_depend_on_seed_and_name_and_are_glorot_uniform():
    first, again, other = (Estimator(linear, config=quiet(seed=seed)).fit(X, Y, steps=1) for seed in (1, 1, 2))
    kernel = start_of(first)[0]
    np.testing.assert_array_equal(kernel, start_of(again)[0])
    assert (kernel != start_of(other)[0]).all()
    assert np.abs(kernel).max() <= (6 / (3 + 1)) ** 0.5
    assert not start_of(first)[1].any()


def test_two_calls_of_fit_are_as_one():
    whole = Estimator(linear, config=quiet()).fit(X, Y, steps=9)
    parts = Estimator(linear, config=quiet()).fit(X, Y, steps=4).fit(X, Y, steps=5)
    for name, value in whole.variables.items():
        np.testing.assert_array_equal(value, parts.variables[name])


def test_epochs_are_rounded_up_to_whole_steps():
    assert Estimator(linear, config=quiet()).fit(X, Y, epochs=3).global_step == 8  # 60 rows, 8 at a time


def test_evaluate_gives_the_same_whatever_the_batches():
    model = Estimator(linear, config=quiet()).fit(X, Y, steps=3)
    whole = model.evaluate(X, Y)
    parts = Estimator(linear, config=quiet(eval_batch_size=7))
    parts._state, parts._model = model._state, model._model
    error = np.abs(model.predict(X)["value"] - Y)
    for result in (whole, parts.evaluate(X, Y)):
        assert result["global_step"] == 3
        np.testing.assert_allclose(result["loss"], np.square(error).mean(), rtol=1e-5)
        np.testing.assert_allclose(result["error"], error.mean(), rtol=1e-5)
        np.testing.assert_allclose(result["rows"], error.mean(), rtol=1e-5)


def test_predict_gives_a_row_for_each_row_in_order():
    model = Estimator(linear, config=quiet(eval_batch_size=6)).fit(X, Y, steps=3)
    values = model.predict(X)["value"]
    expected = X @ model.variables["linear/kernel"] + model.variables["linear/bias"]
    assert values.shape == (20, 1)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.predict(lambda: (X, Y))["value"], values)


def test_filled_up_batches_change_no_result():
    plain = Estimator(linear, config=quiet()).fit(X, Y, steps=3)
    padded = Estimator(linear, config=quiet(pad_to_batch=True, eval_batch_size=16)).fit(X, Y, steps=3)
    np.testing.assert_allclose(padded.predict(X[:5])["value"], plain.predict(X[:5])["value"], rtol=1e-6)
    np.testing.assert_allclose(padded.evaluate(X, Y)["rows"], plain.evaluate(X, Y)["rows"], rtol=1e-5)


def test_batches_of_an_input_fn_train_until_they_end():
    model = Estimator(linear, config=quiet())
    model.train(lambda: ((X[i : i + 6], Y[i : i + 6]) for i in range(0, 20, 6)))
    assert model.global_step == 4  # the last of 2 rows
    model.train(lambda: [(X, Y)] * 9, max_steps=7)
    assert model.global_step == 7
    model.train(lambda: (X, Y), steps=2)
    assert model.global_step == 9


def test_features_may_be_a_dict():
    def model_fn(features, labels, mode):
        prediction = layers.dense(features["a"], 1) + layers.dense(features["b"], 1)
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions=prediction)
        return EstimatorSpec(mode, loss=losses.mean_squared_error(labels, prediction), optimizer=optimizers.adam())

    data = {"b": X, "a": X[:, :2]}
    model = Estimator(model_fn, config=quiet()).fit(data, Y, steps=2)
    assert sorted(model.variables) == ["dense/bias", "dense/kernel", "dense_1/bias", "dense_1/kernel"]
    assert model.predict(data).shape == (20, 1)


def test_float64_features_train_float64_variables():
    model = Estimator(linear, config=quiet()).fit(X.astype(np.float64), Y.astype(np.float64), steps=2)
    assert model.variables["linear/kernel"].dtype == np.float64
    assert model.predict(X.astype(np.float64))["value"].dtype == np.float64


def test_fit_leaves_the_users_arrays_and_earlier_variables_alone():
    x, y = X.copy(), Y.copy()
    model = Estimator(linear, config=quiet()).fit(x, y, steps=2)
    before, held = model.variables, {name: value.copy() for name, value in model.variables.items()}
    model.fit(x, y, steps=3)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    for name in held:
        np.testing.assert_array_equal(before[name], held[name])


# ---- variables and layers


def probe(body, steps=2, **config):
    """An Estimator around a model whose prediction is body(features, mode)."""

    def model_fn(features, labels, mode):
        prediction = body(features, mode)
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions=prediction)
        loss = losses.mean_squared_error(labels, prediction)
        return EstimatorSpec(mode, loss=loss, optimizer=optimizers.sgd(0.01))

    return Estimator(model_fn, config=quiet(**config)).fit(X, Y, steps=steps)


def test_a_scope_prefixes_names_and_shares_variables_on_request():
    def body(x, mode):
        with variable_scope("tower"):
            first = layers.dense(x, 1, name="one")
        with variable_scope("tower", reuse=True):
            return first + layers.dense(x, 1, name="one")

    assert sorted(probe(body).variables) == ["tower/one/bias", "tower/one/kernel"]


def test_a_name_taken_twice_is_refused():
    with pytest.raises(EstimatorError, match="'a/kernel' is made twice"):
        probe(lambda x, mode: layers.dense(x, 1, name="a") + layers.dense(x, 1, name="a"))


def test_assigned_variables_are_no_business_of_the_optimizer():
    def body(x, mode):
        count = variable("count", (), 0, np.float32, trainable=False)
        assign("count", count + 1)
        return layers.dense(x, 1)

    assert probe(body, steps=5).variables["count"] == 5


def test_batch_normalization_keeps_moving_moments():
    model = probe(lambda x, mode: layers.batch_normalization(layers.dense(x, 1), mode == ModeKeys.TRAIN, 0.5), steps=3)
    values = model.variables
    assert values["batch_normalization/moving_variance"] != 1.0
    hidden = X @ values["dense/kernel"] + values["dense/bias"]
    expected = (hidden - values["batch_normalization/moving_mean"]) / np.sqrt(
        values["batch_normalization/moving_variance"] + 1e-3
    ) * values["batch_normalization/gamma"] + values["batch_normalization/beta"]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4, atol=1e-5)


def test_layer_normalization_gives_rows_of_mean_0_and_variance_1():
    model = probe(lambda x, mode: layers.layer_normalization(x)[:, :1], steps=1)
    rows = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-5)
    values = model.variables
    expected = rows * values["layer_normalization/gamma"] + values["layer_normalization/beta"]
    np.testing.assert_allclose(model.predict(X), expected[:, :1], rtol=1e-4, atol=1e-5)


def test_dropout_changes_by_step_in_training_alone():
    def body(x, mode):
        return layers.dense(layers.dropout(x, 0.5, mode == ModeKeys.TRAIN), 1)

    first, again = probe(body, steps=3), probe(body, steps=3)
    np.testing.assert_array_equal(first.variables["dense/kernel"], again.variables["dense/kernel"])
    np.testing.assert_array_equal(first.predict(X), first.predict(X))
    assert (
        first.variables["dense/kernel"] != probe(lambda x, mode: layers.dense(x, 1), 3).variables["dense/kernel"]
    ).any()


def test_dropout_goes_on_in_a_second_fit_as_in_one():
    def body(x, mode):
        return layers.dense(layers.dropout(x, 0.5, mode == ModeKeys.TRAIN), 1)

    whole = probe(body, steps=5)
    model = probe(body, steps=2)
    np.testing.assert_array_equal(model.fit(X, Y, steps=3).variables["dense/kernel"], whole.variables["dense/kernel"])


def test_embedding_looks_rows_up():
    ids = np.arange(20, dtype=np.int32) % 4

    def model_fn(features, labels, mode):
        rows = layers.embedding(features, 4, 2, name="words")
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions=rows)
        return EstimatorSpec(mode, loss=xnp.mean(xnp.square(rows - labels)), optimizer=optimizers.sgd(0.1))

    model = Estimator(model_fn, config=quiet()).fit(ids, np.zeros((20, 2), np.float32), steps=2)
    np.testing.assert_array_equal(model.predict(ids), model.variables["words/table"][ids])


def test_layers_outside_a_model_function_are_refused():
    with pytest.raises(EstimatorError, match="inside a model function"):
        layers.dense(X, 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x, mode: layers.dense(x, 0), "units is 0"),
        (lambda x, mode: layers.dense(x, 1, "swisch"), "activation is 'swisch'; it must be one of relu"),
        (lambda x, mode: layers.dense(x.astype(np.int32), 1), r"x is int32\[\d+,3\]; it must be floating"),
        (lambda x, mode: layers.dense(x[:, 0], 1), "must have a dimension of rows"),
        (lambda x, mode: x + variable("w", (3,), np.zeros(4)), r"shape \(3,\), but its initializer gave float64\[4\]"),
        (lambda x, mode: x + variable("", (3,)), "variable name is ''"),
        (lambda x, mode: layers.dropout(x, 1.0, True), "rate is 1.0"),
        (lambda x, mode: xnp.sum(x, axis=1, keepdims=True), "no variables to train"),
    ],
)
def test_improper_layers_are_refused(body, message):
    with pytest.raises(EstimatorError, match=message):
        probe(body)


# ---- what model functions may do wrong


@pytest.mark.parametrize(
    ("model_fn", "message"),
    [
        (lambda features, labels, mode: None, "returned None; it must return an EstimatorSpec"),
        (
            lambda features, mode: EstimatorSpec("predict", predictions=features),
            "mode 'predict'; it was called with 'train'",
        ),
    ],
)
def test_an_improper_result_of_the_model_function_is_refused(model_fn, message):
    with pytest.raises(EstimatorError, match=message):
        Estimator(model_fn, config=quiet()).fit(X, Y, steps=1)


def test_an_improper_model_function_is_refused_at_once():
    with pytest.raises(EstimatorError, match="needs magic"):
        Estimator(lambda features, labels, magic: None)
    with pytest.raises(EstimatorError, match="int 3; it must be a function"):
        Estimator(3)
    with pytest.raises(EstimatorError, match="not a folder"):
        Estimator(linear, model_dir=__file__)


def test_an_optimizer_that_changes_types_is_refused():
    bad = optimizers.Optimizer("bad", lambda v: {}, lambda g, s, v, step: ({k: x[:1] for k, x in v.items()}, s))
    with pytest.raises(EstimatorError, match=r"turned float32\[3,1\] into float32\[1,1\]"):
        Estimator(linear, params={"optimizer": bad}, config=quiet()).fit(X, Y, steps=1)


def test_untrained_models_and_wrong_features_are_refused():
    model = Estimator(linear, config=quiet())
    with pytest.raises(EstimatorError, match="not trained yet"):
        model.predict(X)
    with pytest.raises(EstimatorError, match="no variables yet"):
        _ = model.variables
    model.fit(X, Y, steps=1)
    with pytest.raises(EstimatorError, match=r"'linear/kernel' is float32\[3,1\], but the model function asks"):
        model.predict(X[:, :2])
    assert model.predict(X)["value"].shape == (20, 1)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"steps": 1, "epochs": 1}, {"steps": -1}, {"steps": 1.5}, {"epochs": 0}, {"steps": 1, "max_steps": 2}],
)
def test_fit_needs_one_proper_length(arguments):
    with pytest.raises(EstimatorError, match="steps|epochs"):
        Estimator(linear, config=quiet()).fit(X, Y, **arguments)


def test_a_failing_input_fn_loses_no_step():
    def batches():
        yield X[:8], Y[:8]
        yield X[:8], Y[:8]
        raise OSError("disk gone")

    model = Estimator(linear, config=quiet())
    with pytest.raises(OSError, match="disk gone"):
        model.train(batches)
    assert model.global_step == 2
    model.fit(X, Y, steps=1)
    assert model.global_step == 3


# ---- numbers that are none


def test_a_loss_that_is_infinite_names_the_step_and_keeps_the_last_checkpoint(tmp_path):
    bad = X.copy()
    bad[5] = np.inf
    model = Estimator(linear, tmp_path, config=quiet(save_checkpoints_steps=2, shuffle=False, batch_size=1))
    with pytest.raises(NonFiniteLossError, match="loss of step 6 is (nan|inf): the features of this batch contain"):
        model.fit(bad, Y, steps=20)
    back = Estimator(linear, tmp_path, config=quiet())
    assert np.isfinite(back.predict(X)["value"]).all()
    assert back.global_step == model.global_step == 4


def test_a_learning_rate_that_is_too_high_is_suspected():
    model = Estimator(linear, params={"optimizer": optimizers.sgd(1e8)}, config=quiet())
    with pytest.raises(NonFiniteLossError, match="learning rate"):
        model.fit(X, Y, steps=50)


def test_variables_that_became_nan_are_not_saved_though_the_loss_is_finite(tmp_path):
    def model_fn(features, labels, mode):
        w = variable("w", (3,), 0.0)
        return EstimatorSpec(mode, loss=xnp.sum(xnp.sqrt(w)), optimizer=optimizers.sgd(0.1))

    with pytest.raises(NonFiniteLossError, match="after step 1 variables/w|after step 1 w"):
        Estimator(model_fn, tmp_path, config=quiet()).fit(X, Y, steps=1)
    assert not os.listdir(tmp_path)


# ---- resuming


def test_a_new_process_goes_on_where_the_old_one_stopped(tmp_path):
    params = {"optimizer": optimizers.adam(0.05)}
    whole = Estimator(linear, params=params, config=quiet()).fit(X, Y, steps=11)
    for steps in (3, 6, 2):
        Estimator(linear, tmp_path, params, quiet()).fit(X, Y, steps=steps)
    back = Estimator(linear, tmp_path, params, quiet())
    np.testing.assert_array_equal(back.predict(X)["value"], whole.predict(X)["value"])
    assert back.evaluate(X, Y)["global_step"] == 11
    for name, value in whole.variables.items():
        np.testing.assert_array_equal(back.variables[name], value)


def test_max_steps_counts_what_was_done_before(tmp_path, caplog):
    Estimator(linear, tmp_path, config=quiet()).fit(X, Y, max_steps=4)
    model = Estimator(linear, tmp_path, config=quiet()).fit(X, Y, max_steps=6)
    assert model.global_step == 6
    with caplog.at_level(logging.INFO, "xlac.estimator"):
        model.fit(X, Y, max_steps=6)
    assert "nothing to train" in caplog.text


def test_predicting_and_then_training_goes_on_with_the_slots(tmp_path):
    params = {"optimizer": optimizers.momentum(0.05)}
    whole = Estimator(linear, params=params, config=quiet()).fit(X, Y, steps=6)
    Estimator(linear, tmp_path, params, quiet()).fit(X, Y, steps=3)
    model = Estimator(linear, tmp_path, params, quiet())
    model.predict(X)
    model.fit(X, Y, steps=3)
    np.testing.assert_array_equal(model.variables["linear/kernel"], whole.variables["linear/kernel"])


def test_checkpoints_are_written_as_often_as_asked(tmp_path):
    config = quiet(save_checkpoints_steps=2, keep_checkpoint_max=2)
    Estimator(linear, tmp_path, config=config).fit(X, Y, steps=7)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "model-6.safetensors", "model-7.safetensors"]
    model = Estimator(linear, tmp_path, config=config)
    assert model.evaluate(X, Y, checkpoint_path=tmp_path / "model-6.safetensors")["global_step"] == 6
    assert model.evaluate(X, Y)["global_step"] == 7
    assert model.latest_checkpoint == os.path.join(tmp_path, "model-7.safetensors")


def test_evaluate_sees_what_another_trainer_wrote(tmp_path):
    trainer, watcher = (Estimator(linear, tmp_path, config=quiet()) for _ in range(2))
    trainer.fit(X, Y, steps=1)
    assert watcher.evaluate(X, Y)["global_step"] == 1
    trainer.fit(X, Y, steps=1)
    assert watcher.evaluate(X, Y)["global_step"] == 2


def test_a_checkpoint_of_another_model_or_optimizer_is_refused(tmp_path):
    Estimator(linear, tmp_path, config=quiet()).fit(X, Y, steps=1)
    with pytest.raises(CheckpointError, match=r"slots/momentum/linear/kernel: float32\[3, 1\] in the model, missing"):
        Estimator(linear, tmp_path, {"optimizer": optimizers.momentum()}, quiet()).fit(X, Y, steps=1)
    with pytest.raises(CheckpointError, match=r"variables/linear/kernel: float32\[3,1\] in the file"):
        Estimator(linear, tmp_path, config=quiet()).predict(X[:, :2])


def test_a_truncated_newest_checkpoint_costs_only_its_own_steps(tmp_path, caplog):
    config = quiet(save_checkpoints_steps=3)
    whole = Estimator(linear, tmp_path / "a", config=config).fit(X, Y, steps=8)
    Estimator(linear, tmp_path / "b", config=config).fit(X, Y, steps=6)
    os.truncate(tmp_path / "b" / "model-6.safetensors", 100)
    back = Estimator(linear, tmp_path / "b", config=config).fit(X, Y, max_steps=8)
    assert "passed over" in caplog.text
    np.testing.assert_array_equal(back.variables["linear/kernel"], whole.variables["linear/kernel"])


TRAINER = """
import logging, sys, time
import numpy as np
from xlac.estimator import Estimator, EstimatorSpec, layers, losses, optimizers

def model_fn(features, labels, mode):
    prediction = layers.dense(layers.dense(features, 4, "tanh"), 1)
    loss = losses.mean_squared_error(labels, prediction)
    return EstimatorSpec(mode, loss=loss, optimizer=optimizers.adam(0.01))

class Report(logging.Handler):
    def emit(self, record):
        if record.msg.startswith("saved"):
            print(record.args[0], flush=True)
            time.sleep(0.02)

logging.getLogger("xlac.estimator").addHandler(Report())
logging.getLogger("xlac.estimator").setLevel(logging.INFO)
x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
config = dict(batch_size=8, save_checkpoints_steps=2, progress=False)
Estimator(model_fn, sys.argv[1], config=config).fit(x, x.sum(1, keepdims=True), max_steps=12)
"""


def run_trainer(folder, kill_after=None, number=signal.SIGKILL):
    """Train in a process of its own; kill it once it has saved step `kill_after`: (exit status, steps saved)."""
    saved = []
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            saved.append(int(line))
            if saved[-1] == kill_after:
                process.send_signal(number)
        errors = process.stderr.read()
        status = process.wait()
    assert kill_after is not None or status == 0, errors
    return status, saved


@pytest.mark.slow
def test_after_kill_9_training_ends_bit_for_bit_as_without(tmp_path):
    run_trainer(tmp_path / "whole")
    status, saved = run_trainer(tmp_path / "killed", kill_after=6)
    assert status == -signal.SIGKILL and saved[-1] < 12
    _, saved = run_trainer(tmp_path / "killed")
    assert saved[0] >= 8 and saved[-1] == 12
    whole, killed = (load_arrays(tmp_path / name / "model-12.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys() and any(name.startswith("slots/") for name in whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(killed[name], value)


def test_an_interrupt_stops_between_steps_and_keeps_the_state():
    model = Estimator(linear, config=quiet())

    def batches():
        for number in range(100):
            if number == 3:
                signal.raise_signal(signal.SIGINT)
            yield X[:8], Y[:8]

    with pytest.raises(KeyboardInterrupt):
        model.train(batches)
    assert model.global_step == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert model.evaluate(X, Y)["global_step"] == 4


# ---- reports and export


def test_loss_and_rate_are_logged(caplog):
    with caplog.at_level(logging.INFO, "xlac.estimator"):
        Estimator(linear, config=quiet(log_step_count_steps=2)).fit(X, Y, steps=5)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == ["step 2", "step 4"]
    assert all("loss" in line and "steps/s" in line for line in lines)


def test_a_bar_is_shown_when_asked_for(capsys):
    pytest.importorskip("tqdm")
    Estimator(linear, config=quiet(progress=True)).fit(X, Y, steps=30)
    assert "30/30" in capsys.readouterr().err


def test_the_exported_program_predicts_by_itself(tmp_path):
    model = Estimator(linear, config=quiet()).fit(X, Y, steps=3)
    path = model.export(tmp_path / "out", batch_size=20)
    weights = load_arrays(tmp_path / "out" / "weights.safetensors")
    np.testing.assert_array_equal(weights["linear/kernel"], model.variables["linear/kernel"])
    with open(path) as file:
        program = xlac.compile(file.read())
    result = program(X)
    result = result[0] if isinstance(result, tuple) else result
    np.testing.assert_allclose(result, model.predict(X)["value"], rtol=1e-6, atol=1e-6)


def test_a_classifier_by_hand_reports_accuracy():
    labels = (X[:, 0] > 0).astype(np.int32)

    def model_fn(features, labels, mode):
        logits = layers.dense(features, 2)
        classes = xnp.argmax(logits, axis=-1)
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions=classes)
        loss = losses.softmax_cross_entropy(labels, logits)
        metrics = {"accuracy": accuracy(labels, classes.astype(labels.dtype))}
        return EstimatorSpec(mode, loss=loss, optimizer=optimizers.adam(0.1), eval_metric_ops=metrics)

    model = Estimator(model_fn, config=quiet(eval_batch_size=6)).fit(X, labels, steps=15)
    result = model.evaluate(X, labels)
    assert result["accuracy"] == np.mean(model.predict(X) == labels)
    assert result["accuracy"] >= 0.9


def test_a_call_with_wrong_features_spoils_nothing(tmp_path):
    model = Estimator(linear, tmp_path, config=quiet())
    with pytest.raises(EstimatorError, match="labels are"):
        model.fit(X[:, :2], Y[:, 0], steps=1)
    model.fit(X, Y, steps=2)
    again = Estimator(linear, tmp_path, config=quiet())
    assert sorted(again.variables) == ["linear/bias", "linear/kernel"]
    with pytest.raises(CheckpointError, match="another model"):
        again.predict(X[:, :2])
    np.testing.assert_array_equal(again.predict(X)["value"], model.predict(X)["value"])
