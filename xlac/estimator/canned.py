"""Ready-made models with scikit-learn's manners: DNNClassifier and DNNRegressor, a multilayer perceptron under a head.

They are Estimators inside; what they add is the encoding of labels, checks of the data, and
get_params/set_params/score.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac.errors import CheckpointError, EstimatorError
from xlac.estimator import layers, losses, optimizers
from xlac.estimator.checkpoint import Checkpoint, CheckpointStore
from xlac.estimator.estimator import Estimator
from xlac.estimator.inputs import as_array
from xlac.estimator.spec import EstimatorSpec, ModeKeys, RunConfig, check_count, check_folder, check_real, describe
from xlac.estimator.variables import variable

LEARNING_RATE = 1e-3


def _perceptron(features: Any, mode: str, params: dict[str, Any]) -> Any:
    """The outputs [rows, params["outputs"]] of the hidden layers and a last, linear one."""
    x = features
    if params["mean"] is not None:
        columns = (x.shape[1],)
        mean = variable("standardize/mean", columns, params["mean"], x.dtype, trainable=False)
        deviation = variable("standardize/deviation", columns, params["deviation"], x.dtype, trainable=False)
        x = (x - mean) / deviation
    for number, units in enumerate(params["hidden_units"]):
        x = layers.dense(x, units, params["activation"], name=f"hidden_{number}")
        x = layers.dropout(x, params["dropout"], mode == ModeKeys.TRAIN)
    return layers.dense(x, params["outputs"], name="logits")


def _penalty(params: dict[str, Any], loss: Any) -> Any:
    """The loss plus l2/2 times the sum of squares of all kernels."""
    if not params["l2"]:
        return loss
    from xlac import numpy as xnp
    from xlac.estimator.variables import current_scope

    kernels = [value for name, value in current_scope().values.items() if name.endswith("/kernel")]
    return loss + 0.5 * params["l2"] * sum(xnp.sum(xnp.square(kernel)) for kernel in kernels)


def classifier_model(features: Any, labels: Any, mode: str, params: dict[str, Any]) -> EstimatorSpec:
    """The model function of DNNClassifier: predictions are probabilities [rows, classes]."""
    from xlac import nn
    from xlac import numpy as xnp

    logits = _perceptron(features, mode, params)
    if mode == ModeKeys.PREDICT:
        return EstimatorSpec(mode, predictions=nn.softmax(logits, axis=-1))
    rows = losses.softmax_cross_entropy_rows(labels, logits)
    if mode == ModeKeys.TRAIN:
        return EstimatorSpec(mode, loss=_penalty(params, xnp.mean(rows)), optimizer=params["optimizer"])
    hits = (xnp.argmax(logits, axis=-1).astype(labels.dtype) == labels).astype(np.float32)
    return EstimatorSpec(mode, loss=xnp.mean(rows), eval_metric_ops={"loss": rows, "accuracy": hits})


def regressor_model(features: Any, labels: Any, mode: str, params: dict[str, Any]) -> EstimatorSpec:
    """The model function of DNNRegressor: predictions [rows, outputs]."""
    from xlac import numpy as xnp

    outputs = _perceptron(features, mode, params)
    if mode == ModeKeys.PREDICT:
        return EstimatorSpec(mode, predictions=outputs)
    difference = outputs - labels
    rows = xnp.mean(xnp.square(difference), axis=1)
    if mode == ModeKeys.TRAIN:
        return EstimatorSpec(mode, loss=_penalty(params, xnp.mean(rows)), optimizer=params["optimizer"])
    absolute = xnp.mean(xnp.abs(difference), axis=1)
    return EstimatorSpec(mode, loss=xnp.mean(rows), eval_metric_ops={"loss": rows, "mean_absolute_error": absolute})


class _DNN:
    """What classifier and regressor share; see DNNClassifier."""

    _estimator_type: str
    _model: Callable[..., EstimatorSpec]

    def __init__(
        self,
        hidden_units: Sequence[int] = (10, 20, 10),
        optimizer: Any = "adam",
        learning_rate: Any = None,
        activation: Any = "relu",
        batch_size: int = 32,
        steps: int = 2000,
        dropout: float = 0.0,
        l2: float = 0.0,
        standardize: bool = False,
        model_dir: str | os.PathLike[str] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        save_checkpoints_steps: int | None = 1000,
        progress: bool | str = "auto",
    ) -> None:
        self.hidden_units = hidden_units
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.activation = activation
        self.batch_size = batch_size
        self.steps = steps
        self.dropout = dropout
        self.l2 = l2
        self.standardize = standardize
        self.model_dir = model_dir
        self.seed = seed
        self.shuffle = shuffle
        self.save_checkpoints_steps = save_checkpoints_steps
        self.progress = progress

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Any:
        """Set some of the constructor's arguments; they take effect with the next fit.

        Raises:
          EstimatorError: there is no such argument.
        """
        known = self._parameter_names()
        for name, value in params.items():
            if name not in known:
                raise EstimatorError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(inspect.signature(cls.__init__).parameters)[1:]

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [f"{n}={v!r}" for n, v in self.get_params().items() if repr(v) != repr(defaults[n].default)]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        classifier = self._estimator_type == "classifier"
        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=True, multi_output=not classifier),
            classifier_tags=ClassifierTags() if classifier else None,
            regressor_tags=None if classifier else RegressorTags(),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def _features(self, X: Any) -> np.ndarray:
        """X as float32 [rows, features], finite, of as many features as in training."""
        array = as_array(X, "X")
        if array.ndim != 2:
            raise EstimatorError(
                f"X is {describe(array)}; it must be [rows, features]; use X.reshape(-1, 1) for one feature"
            )
        if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
            raise EstimatorError(f"X is {describe(array)}; it must be of real numbers")
        if array.shape[0] == 0 or array.shape[1] == 0:
            raise EstimatorError(f"X is {describe(array)}; it must have at least one row and one feature")
        known = getattr(self, "n_features_in_", array.shape[1])
        if array.shape[1] != known:
            raise EstimatorError(f"X has {array.shape[1]} features, but the model was trained with {known}")
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, np.float32)
        finite = np.isfinite(array)
        if not finite.all():
            row, column = (int(i[0]) for i in np.nonzero(~finite))
            raise EstimatorError(
                f"X has {array.size - int(finite.sum())} values that are NaN or "
                f"infinite in float32, the first at row {row}, "
                f"feature {column}; remove or replace them first"
            )
        return array

    def _make(self, X: np.ndarray, outputs: int, information: dict[str, str]) -> Estimator:
        """A new Estimator for these features."""
        if isinstance(self.hidden_units, str) or not isinstance(self.hidden_units, (Sequence, np.ndarray)):
            raise EstimatorError(
                f"hidden_units is {self.hidden_units!r}; it must be a sequence of sizes, such as (10, 20, 10)"
            )
        mean = deviation = None
        if self.standardize:
            mean, deviation = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
            deviation[deviation == 0.0] = 1.0
        layers.activation_function(self.activation)
        rate = self.learning_rate
        if rate is None and isinstance(self.optimizer, str):
            rate = LEARNING_RATE
        params = {
            "hidden_units": [check_count(n, "hidden_units: a size", 1) for n in self.hidden_units],
            "outputs": outputs,
            "activation": self.activation,
            "dropout": check_real(self.dropout, "dropout", 0.0, 1.0),
            "l2": check_real(self.l2, "l2", 0.0),
            "optimizer": optimizers.get(self.optimizer, rate),
            "mean": mean,
            "deviation": deviation,
        }
        config = RunConfig(
            seed=self.seed,
            batch_size=self.batch_size,
            shuffle=bool(self.shuffle),
            save_checkpoints_steps=self.save_checkpoints_steps,
            progress=self.progress,
            pad_to_batch=True,
        )
        estimator = Estimator(type(self)._model, check_folder(self.model_dir), params, config)
        estimator.information.update(information)
        return estimator

    def _run(
        self,
        estimator: Estimator,
        X: np.ndarray,
        y: np.ndarray,
        steps: int | None,
        epochs: int | None,
        max_steps: int | None,
    ) -> None:
        """Train, by default for `self.steps` steps."""
        if steps is None and epochs is None and max_steps is None:
            steps = self.steps
        estimator.fit(X, y, steps=steps, epochs=epochs, max_steps=max_steps)
        self.estimator_ = estimator
        self.n_features_in_ = X.shape[1]

    def _trained(self) -> Estimator:
        """The Estimator that fit made, or that a checkpoint in model_dir tells of.

        Raises:
          EstimatorError: there is neither.
        """
        if not hasattr(self, "estimator_"):
            folder = check_folder(self.model_dir)
            checkpoint = CheckpointStore(folder).restore() if folder is not None else None
            if checkpoint is None:
                where = f"; {folder} has no checkpoint" if folder is not None else ""
                raise EstimatorError(f"this {type(self).__name__} is not trained yet{where}; call fit first")
            self._adopt(checkpoint)
        return self.estimator_

    def _adopt(self, checkpoint: Checkpoint) -> None:
        """Take over a checkpoint of such a model.

        Raises:
          CheckpointError: it is of something else.
        """
        arrays, kept = checkpoint.arrays, checkpoint.model
        try:
            if kept["kind"] != self._estimator_type:
                raise ValueError(f"it is of a {kept['kind']}")
            first = "hidden_0" if len(self.hidden_units) else "logits"
            features = arrays[f"variables/{first}/kernel"].shape[0]
            outputs = arrays["variables/logits/bias"].shape[0]
            self._read_information(kept, outputs)
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise CheckpointError(
                f"{self.model_dir}: is of another model than this {type(self).__name__}: {error}"
            ) from None
        # Where features are standardised, the figures come with the checkpoint's variables.
        self.estimator_ = self._make(np.zeros((1, features), np.float32), outputs, kept)
        self.n_features_in_ = features

    def _read_information(self, kept: dict[str, str], outputs: int) -> None:
        """Set the attributes that depend on the labels from what a checkpoint says of them."""
        raise NotImplementedError

    @property
    def n_iter_(self) -> int:
        """Training steps done."""
        return self._trained().global_step

    def export(self, path: str | os.PathLike[str], batch_size: int = 1) -> str:
        """Write the trained model's program and weights to a folder; see `Estimator.export`."""
        return self._trained().export(path, batch_size=batch_size)


class DNNClassifier(_DNN):
    """A multilayer perceptron that tells classes apart, trained with softmax cross entropy.

    Args:
      hidden_units: sizes of the hidden layers.
      n_classes: number of classes; None for as many as fit finds.
      optimizer: "adam", "sgd", "momentum", "nesterov", "adamw", "rmsprop", "adagrad", or an Optimizer.
      learning_rate: number or schedule, for an optimizer given by name; None for 0.001.
      activation: of the hidden layers: "relu", "tanh", "gelu" ..., or a function.
      batch_size: rows a training step takes.
      steps: training steps of a fit that does not say how many.
      dropout: probability that a hidden unit is left out at a training step.
      l2: l2/2 times the sum of squares of all kernels is added to the loss.
      standardize: subtract the features' means and divide by their deviations, both taken from the first fit's data and
        kept in the model. False takes the features as they are.
      model_dir: folder of checkpoints. With one, fit goes on from the newest checkpoint there; without, fit starts
        anew, as scikit-learn's do, and partial_fit goes on.
      seed: of initial values, shuffling and dropout.
      shuffle: shuffle the rows anew in each epoch.
      save_checkpoints_steps: steps between checkpoints.
      progress: as RunConfig's.

    Attributes, after fit:
      classes_: the labels, in order: predict's values and the columns of predict_proba.
      n_features_in_, n_iter_: features, and training steps done.
      estimator_: the Estimator inside.
    """

    _estimator_type = "classifier"
    _model = staticmethod(classifier_model)

    def __init__(
        self,
        hidden_units: Sequence[int] = (10, 20, 10),
        n_classes: int | None = None,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        activation: Any = "relu",
        batch_size: int = 32,
        steps: int = 2000,
        dropout: float = 0.0,
        l2: float = 0.0,
        standardize: bool = False,
        model_dir: str | os.PathLike[str] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        save_checkpoints_steps: int | None = 1000,
        progress: bool | str = "auto",
    ) -> None:
        super().__init__(
            hidden_units, optimizer, learning_rate, activation, batch_size, steps, dropout, l2, standardize, model_dir,
            seed, shuffle, save_checkpoints_steps, progress,
        )  # fmt: skip
        self.n_classes = n_classes

    def fit(
        self, X: Any, y: Any, steps: int | None = None, epochs: int | None = None, max_steps: int | None = None
    ) -> DNNClassifier:
        """Train.

        Args:
          X: [rows, features] numbers.
          y: [rows] labels: integers, strings, booleans. Where n_classes is given and all labels are integers from 0 to
            n_classes - 1, those are the classes, whether or not each occurs; otherwise the classes are the labels that
            occur.
          steps, epochs, max_steps: as `Estimator.fit`; one at most.

        Raises:
          EstimatorError: data or parameters are not of their kind; the message says what and where.
          NonFiniteLossError: the loss became NaN or infinite.
          CheckpointError: model_dir holds checkpoints of another model.
        """
        return self._fit(X, y, None, steps, epochs, max_steps, again=False)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, steps: int | None = None, epochs: int | None = None
    ) -> Any:
        """Train on from what there is, by default for one pass over the rows; `classes` lists all labels."""
        if steps is None and epochs is None:
            epochs = 1
        return self._fit(X, y, classes, steps, epochs, None, again=True)

    def _fit(
        self,
        X: Any,
        y: Any,
        classes: Any,
        steps: int | None,
        epochs: int | None,
        max_steps: int | None,
        again: bool,
    ) -> DNNClassifier:
        again = again and hasattr(self, "estimator_")
        if not again and hasattr(self, "n_features_in_"):
            del self.n_features_in_, self.estimator_
        features = self._features(X)
        labels = self._labels(y, len(features))
        if not again:
            self.classes_ = self._find_classes(labels) if classes is None else np.unique(as_array(classes, "classes"))
        encoded = self._encode(labels)
        estimator = self.estimator_ if again else self._make(features, len(self.classes_), self._information())
        self._run(estimator, features, encoded, steps, epochs, max_steps)
        return self

    def _information(self) -> dict[str, str]:
        return {
            "kind": self._estimator_type,
            "classes": json.dumps(self.classes_.tolist()),
            "labels": self.classes_.dtype.str,
        }

    def _read_information(self, kept: dict[str, str], outputs: int) -> None:
        classes, dtype = json.loads(kept["classes"]), np.dtype(kept["labels"])
        if dtype.kind not in "iubfUS" or len(classes) != outputs:
            raise ValueError(f"it has {outputs} outputs for classes {classes!r:.80}")
        self.classes_ = np.array(classes, dtype)

    def _labels(self, y: Any, rows: int) -> np.ndarray:
        labels = as_array(y, "y")
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1:
            raise EstimatorError(
                f"y is {describe(labels)}; it must be [rows], a label for each; take argmax of one-hot rows"
            )
        if len(labels) != rows:
            raise EstimatorError(f"X has {rows} rows but y has {len(labels)}; each row needs its label")
        if labels.dtype.kind not in "iubfUS":
            raise EstimatorError(f"y is {describe(labels)}; labels must be integers, strings or booleans")
        if labels.dtype.kind == "f":
            if not np.isfinite(labels).all():
                raise EstimatorError("y has NaN or infinite labels")
            if (labels != np.rint(labels)).any():
                raise EstimatorError("y has labels that are not whole numbers; use DNNRegressor for continuous values")
        return labels

    def _find_classes(self, labels: np.ndarray) -> np.ndarray:
        found = np.unique(labels)
        if self.n_classes is None:
            count = max(2, len(found))
        else:
            count = check_count(self.n_classes, "n_classes", 2)
            if found.dtype.kind in "iu" and found[0] >= 0 and found[-1] < count:
                return np.arange(count, dtype=found.dtype)
        if len(found) != count:
            shown = ", ".join(map(repr, found[:10].tolist())) + (", ..." if len(found) > 10 else "")
            if self.n_classes is None:
                raise EstimatorError(f"y has only the label {shown}; there must be two classes or more")
            raise EstimatorError(
                f"y has {len(found)} different labels ({shown}), but n_classes is "
                f"{count}; labels must be integers from 0 to "
                f"{count - 1}, or there must be exactly {count} different ones"
            )
        return found

    def _encode(self, labels: np.ndarray) -> np.ndarray:
        """The index of each label in classes_, as int32."""
        classes = self.classes_
        if (labels.dtype.kind in "US") != (classes.dtype.kind in "US"):
            raise EstimatorError(
                f"y has labels of type {labels.dtype}, but the model's classes are {classes.tolist()!r:.200}"
            )
        index = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
        wrong = np.nonzero(classes[index] != labels)[0]
        if len(wrong):
            raise EstimatorError(
                f"y has label {labels[wrong[0]].item()!r} at row {int(wrong[0])}, which is none "
                f"of the model's classes {classes.tolist()!r:.200}"
            )
        return index.astype(np.int32)

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:
        """{"accuracy", "loss" (mean cross entropy), "global_step"} on a data set.

        Raises:
          EstimatorError: not trained, or the data are not of their kind, or a label is none of classes_.
        """
        estimator = self._trained()
        features = self._features(X)
        return estimator.evaluate(features, self._encode(self._labels(y, len(features))))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities [rows, classes] in the order of classes_, float32."""
        return self._trained().predict(self._features(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row, of the type of the labels trained on."""
        best = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[best]

    def score(self, X: Any, y: Any) -> float:
        """The fraction of rows whose label is predicted."""
        return float(self.evaluate(X, y)["accuracy"])


class DNNRegressor(_DNN):
    """A multilayer perceptron that predicts numbers, trained with the mean squared error.

    Arguments are DNNClassifier's.
    """

    _estimator_type = "regressor"
    _model = staticmethod(regressor_model)

    def fit(
        self, X: Any, y: Any, steps: int | None = None, epochs: int | None = None, max_steps: int | None = None
    ) -> DNNRegressor:
        """Train on X [rows, features] and y [rows] or [rows, outputs]; arguments and errors as DNNClassifier.fit."""
        return self._fit(X, y, steps, epochs, max_steps, again=False)

    def partial_fit(self, X: Any, y: Any, steps: int | None = None, epochs: int | None = None) -> DNNRegressor:
        """Train on from what there is, by default for one pass over the rows."""
        if steps is None and epochs is None:
            epochs = 1
        return self._fit(X, y, steps, epochs, None, again=True)

    def _fit(
        self, X: Any, y: Any, steps: int | None, epochs: int | None, max_steps: int | None, again: bool
    ) -> DNNRegressor:
        again = again and hasattr(self, "estimator_")
        if not again and hasattr(self, "n_features_in_"):
            del self.n_features_in_, self.estimator_
        features = self._features(X)
        targets = self._targets(y, len(features))
        if not again:
            self.n_outputs_, self._flat = targets.shape[1], np.ndim(y) == 1
        information = {"kind": self._estimator_type, "flat": json.dumps(self._flat)}
        estimator = self.estimator_ if again else self._make(features, targets.shape[1], information)
        self._run(estimator, features, targets, steps, epochs, max_steps)
        return self

    def _read_information(self, kept: dict[str, str], outputs: int) -> None:
        self._flat, self.n_outputs_ = bool(json.loads(kept["flat"])), outputs

    def _targets(self, y: Any, rows: int) -> np.ndarray:
        array = as_array(y, "y")
        if array.ndim not in (1, 2) or array.dtype.kind not in "fiub":
            raise EstimatorError(f"y is {describe(array)}; it must be numbers, [rows] or [rows, outputs]")
        if len(array) != rows:
            raise EstimatorError(f"X has {rows} rows but y has {len(array)}; each row needs its target")
        array = np.ascontiguousarray(array.reshape(rows, -1), np.float32)
        if not np.isfinite(array).all():
            raise EstimatorError("y has targets that are NaN or infinite in float32")
        known = getattr(self, "n_outputs_", array.shape[1]) if hasattr(self, "estimator_") else array.shape[1]
        if array.shape[1] != known:
            raise EstimatorError(f"y has {array.shape[1]} outputs, but the model was trained with {known}")
        return array

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:
        """{"loss" (mean squared error), "mean_absolute_error", "global_step"} on a data set."""
        estimator = self._trained()
        features = self._features(X)
        return estimator.evaluate(features, self._targets(y, len(features)))

    def predict(self, X: Any) -> np.ndarray:
        """Predictions [rows], or [rows, outputs] where y had two dimensions, float32."""
        result = self._trained().predict(self._features(X))
        return result[:, 0] if self._flat else result

    def score(self, X: Any, y: Any) -> float:
        """The coefficient of determination R^2, averaged over the outputs: 1 is perfect, 0 no better than the mean."""
        estimator = self._trained()
        features = self._features(X)
        targets = self._targets(y, len(features)).astype(np.float64)
        errors = np.square(estimator.predict(features) - targets).sum(0)
        spread = np.square(targets - targets.mean(0)).sum(0)
        ratio = np.divide(errors, spread, out=np.where(errors > 0, 1.0, 0.0), where=spread > 0)
        return float(np.mean(1.0 - ratio))
