"""The Estimator: trains, evaluates and runs what a model function describes.

A training step (forward, loss, gradients, update, step counter) is one compiled program that owns its state: variables,
slots and the step go in donated and come out in the same memory. Python only fills the batch and calls it.
"""

from __future__ import annotations

import inspect
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xlac.errors import CheckpointError, EstimatorError, NonFiniteLossError
from xlac.estimator.checkpoint import Checkpoint, CheckpointStore, read_checkpoint
from xlac.estimator.inputs import (
    ArrayInput,
    Arrays,
    as_arrays,
    batches_of,
    leaves,
    map_arrays,
    open_input,
    row_count,
    take_rows,
)
from xlac.estimator.interrupt import deferred_interrupt
from xlac.estimator.progress import Progress
from xlac.estimator.spec import (
    EstimatorSpec,
    Metric,
    ModeKeys,
    RunConfig,
    check_count,
    check_folder,
    describe,
    is_floating,
)
from xlac.estimator.variables import Scope

logger = logging.getLogger("xlac.estimator")

ModelFunction = Callable[..., EstimatorSpec]

_NEVER = 1 << 62
_ARGUMENTS = ("features", "labels", "mode", "params", "config")


@dataclass
class State:
    """Everything training changes.

    Attributes:
      variables: name -> array.
      slots: the optimizer's arrays, a pytree; None until it is known.
      step: training steps done.
      position: samples drawn.
    """

    variables: dict[str, np.ndarray]
    slots: Any = None
    step: int = 0
    position: int = 0


@dataclass
class Model:
    """What tracing the model function once has told.

    Attributes:
      initial: name -> initial value.
      trainable: names the optimizer changes.
      optimizer: None unless it was traced to train.
      features: shapes and types of one batch's features, for `export`.
    """

    initial: dict[str, np.ndarray]
    trainable: tuple[str, ...]
    optimizer: Any
    features: Arrays = field(repr=False, default=None)


class Estimator:
    """Trains, evaluates and runs a model.

    Args:
      model_fn: `model_fn(features, labels, mode, params, config) -> EstimatorSpec`; it may leave out any argument but
        features. It is traced: it makes its variables by `xlac.estimator.layers` and `xlac.estimator.variable`, and
        computes by `xlac.numpy` and friends. labels is None in mode "predict".
      model_dir: folder of checkpoints; training resumes from the newest good one there. None keeps the state in memory
        only.
      params: handed to the model function as it is.
      config: RunConfig, or a dict of its fields.

    Raises:
      EstimatorError: an argument is not of its kind.
    """

    def __init__(
        self,
        model_fn: ModelFunction,
        model_dir: str | os.PathLike[str] | None = None,
        params: Any = None,
        config: RunConfig | Mapping[str, Any] | None = None,
    ) -> None:
        if not callable(model_fn):
            raise EstimatorError(
                f"model_fn is {describe(model_fn)}; it must be a function that returns an EstimatorSpec"
            )
        self.model_fn = model_fn
        self.params = params
        self.config = RunConfig.of(config)
        self.model_dir = check_folder(model_dir)
        self.information: dict[str, str] = {}  # free strings that are kept in checkpoints
        self._arguments = _accepted(model_fn)
        self._store = CheckpointStore(self.model_dir, self.config.keep_checkpoint_max) if self.model_dir else None
        self._state: State | None = None
        self._model: Model | None = None
        self._programs: dict[Any, Any] = {}

    # ---- training

    def fit(
        self,
        x: Arrays,
        y: Arrays = None,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        max_steps: int | None = None,
    ) -> Estimator:
        """Train on arrays; a second call trains further.

        Args:
          x, y: features and labels: array, dict of arrays or tuple of arrays, of the same number of rows.
          steps: how many steps to train.
          epochs: how often to go over the rows instead; rounded up to whole steps.
          batch_size: rows a step; the config's if None.
          max_steps: train until so many steps have been done in all; after a resume, only the rest.

        Raises:
          EstimatorError: arguments, data or the model function's result are not of their kind.
          NonFiniteLossError: the loss became NaN or infinite.
          CheckpointError: model_dir holds checkpoints, but of another model or all faulty.
        """
        size = self.config.batch_size if batch_size is None else check_count(batch_size, "batch_size", 1)
        data = ArrayInput(x, y, size, self.config.shuffle, self.config.seed)
        if sum(v is not None for v in (steps, epochs, max_steps)) != 1:
            raise EstimatorError(
                f"fit: got steps={steps}, epochs={epochs}, max_steps={max_steps}; give exactly one of them"
            )
        if epochs is not None:
            steps = -(-check_count(epochs, "epochs", 1) * data.rows // data.batch_size)
        return self._train(data, steps, max_steps)

    def train(self, input_fn: Any, steps: int | None = None, max_steps: int | None = None) -> Estimator:
        """Train on what `input_fn()` returns: (x, y) arrays, an ArrayInput, or an iterable of (features, labels)
        batches.

        Arrays are gone over again and again; an iterable ends the training when it ends. A resumed run takes arrays up
        where it left them; an iterable starts anew.

        Args:
          input_fn: function of no arguments.
          steps: how many steps to train.
          max_steps: train until so many steps have been done in all.

        Raises:
          as `fit`.
        """
        if steps is not None and max_steps is not None:
            raise EstimatorError(f"train: both steps={steps} and max_steps={max_steps} are given; give one")
        data = open_input(input_fn, None, self.config.batch_size, self.config.shuffle, self.config.seed)
        if isinstance(data, ArrayInput) and steps is None and max_steps is None:
            raise EstimatorError("train: the input_fn gives arrays, which do not end; give steps or max_steps")
        return self._train(data, steps, max_steps)

    def _train(self, data: Any, steps: int | None, max_steps: int | None) -> Estimator:
        steps = None if steps is None else check_count(steps, "steps")
        max_steps = None if max_steps is None else check_count(max_steps, "max_steps")
        batches: Iterator[tuple[Arrays, Arrays]]
        if isinstance(data, ArrayInput):
            first: Any = next(data.stream())
        else:
            batches = batches_of(data)
            first = next(batches, None)
            if first is None:
                raise EstimatorError("train: the input_fn gave no batches")
        state = self._ready(first, ModeKeys.TRAIN)
        stop = max_steps if steps is None else state.step + steps
        if stop is not None and state.step >= stop:
            logger.info("nothing to train: step %d of %d", state.step, stop)
            return self
        if isinstance(data, ArrayInput):
            batches = data.stream(state.position)
        else:
            batches = _chain(first, batches)
        if self._store is not None:
            self._store.clean()
        self._loop(state, batches, stop)
        return self

    def _loop(self, state: State, batches: Iterator[tuple[Arrays, Arrays]], stop: int | None) -> None:
        """Train `state` until step `stop` or the end of the batches."""
        from xlac import tree

        carried = {"variables": state.variables, "slots": state.slots, "step": np.asarray(state.step, np.int64)}
        # The program may write into what it is given: initial values and what predict holds must stay as they are.
        flat, structure = tree.flatten(carried)
        flat = tuple([np.array(array) for array in flat])
        save_every = self.config.save_checkpoints_steps if self._store is not None else None
        progress = Progress(state.step, stop, self.config.log_step_count_steps, self.config.progress)
        intervals = [every for every in (save_every, progress.every) if every is not None]
        step, position = state.step, state.position
        loss = math.nan
        batch = previous = nesting = program = None
        arrays: tuple[np.ndarray, ...] = ()
        rows = 0
        self._state = None
        inside = spoilt = False  # the program is running; the state is not one to go on from
        try:
            with deferred_interrupt() as check_interrupt:
                while step != stop:
                    pause = min([(step // every + 1) * every for every in intervals] + [stop or _NEVER])
                    while step < pause:
                        batch = next(batches, None)
                        if batch is None:
                            stop = step
                            break
                        if batch is not previous:  # arrays in memory come in the same buffers each time
                            previous, rows = batch, row_count(batch[0])
                            arrays, found = tree.flatten(batch)
                            if nesting is None or found != nesting:
                                nesting = found
                                program = self._training_program(structure, nesting)
                        inside = True
                        *flat, value = program(*flat, *arrays)
                        inside = False
                        step += 1
                        position += rows
                        loss = float(value)
                        if not math.isfinite(loss):
                            raise self._non_finite_loss(loss, step, batch[0])
                        check_interrupt()
                    if progress.every is not None and step % progress.every == 0:
                        progress.report(step, loss)
                    if step == stop or (save_every is not None and step % save_every == 0):
                        reached = self._snapshot(flat, structure, step, position)
                        _check_finite(reached, loss)
                        if self._store is not None and step > state.step:
                            self._save(reached)
        except BaseException as error:
            # An exception of the program's comes before it runs; only what interrupts it leaves the state half written.
            spoilt = isinstance(error, NonFiniteLossError) or (inside and not isinstance(error, Exception))
            raise
        finally:
            progress.close(step)
            if not spoilt:
                self._state = self._snapshot(flat, structure, step, position)

    def _snapshot(self, flat: Sequence[np.ndarray], structure: Any, step: int, position: int) -> State:
        from xlac import tree

        carried = tree.unflatten(structure, flat)
        return State(carried["variables"], carried["slots"], step, position)

    def _training_program(self, structure: Any, nesting: Any) -> Any:
        """One step: (leaves of the state, leaves of (features, labels)) -> (leaves of the state, loss), all flat.

        Args:
          structure: how the state nests.
          nesting: how (features, labels) nest.
        """
        key = (ModeKeys.TRAIN, structure, nesting)
        if key in self._programs:
            return self._programs[key]
        import xlac
        from xlac import tree

        assert self._model is not None
        trainable, seed = self._model.trainable, self.config.seed
        count = structure.num_leaves

        def training_step(*arrays: Any) -> tuple[Any, ...]:
            carried = tree.unflatten(structure, arrays[:count])
            features, labels = tree.unflatten(nesting, arrays[count:])
            variables, slots, step = carried["variables"], carried["slots"], carried["step"]
            fixed = {name: value for name, value in variables.items() if name not in trainable}
            specs: list[EstimatorSpec] = []

            def loss_function(moving: dict[str, Any]) -> tuple[Any, tuple[Any, dict[str, Any]]]:
                scope = Scope(seed, {**fixed, **moving}, step)
                with scope.active():
                    spec = self._call_model(features, labels, ModeKeys.TRAIN)
                specs[:] = [spec]
                return spec.training_loss, (spec.loss, scope.updates)

            moving = {name: variables[name] for name in trainable}
            (_, (loss, updates)), gradients = xlac.value_and_grad(loss_function, has_aux=True)(moving)
            moving, slots = specs[0].training_optimizer.update(gradients, slots, moving, step)
            after, found = tree.flatten({"variables": {**fixed, **moving, **updates}, "slots": slots, "step": step + 1})
            _check_update(arrays[:count], structure, after, found)
            return (*after, loss)

        program = self._programs[key] = xlac.jit(training_step, donate_argnums=tuple(range(count)))
        return program

    def _non_finite_loss(self, loss: float, step: int, features: Arrays) -> NonFiniteLossError:
        bad = not all(_is_finite(array) for array in leaves(features))
        cause = (
            "the features of this batch contain NaN or infinite values"
            if bad
            else "likely causes are a learning rate that is too high, features "
            "that are not scaled, or log or division at 0"
        )
        kept = "; the last checkpoint is kept" if self._store is not None else ""
        return NonFiniteLossError(f"the loss of step {step} is {loss}: {cause}{kept}")

    # ---- evaluation and prediction

    def evaluate(
        self, x: Any, y: Arrays = None, steps: int | None = None, checkpoint_path: str | os.PathLike[str] | None = None
    ) -> dict[str, Any]:
        """The mean loss and metrics over a data set.

        Args:
          x, y: arrays; or x an input_fn as in `train`.
          steps: evaluate at most so many batches.
          checkpoint_path: of another checkpoint than the newest.

        Returns:
          "loss", "global_step", and the model's eval_metric_ops by name, as Python numbers.

        Raises:
          EstimatorError: the model is not trained, or arguments and data are not of their kind.
          CheckpointError: there are checkpoints, but of another model or all faulty.
        """
        limit = math.inf if steps is None else check_count(steps, "steps", 1)
        batches = self._batches(x, y)
        first = next(batches, None)
        if first is None:
            raise EstimatorError("evaluate: the input_fn gave no batches")
        state = self._ready(first, ModeKeys.EVAL, checkpoint_path)
        program = self._program(ModeKeys.EVAL, self._evaluation_program)
        totals: dict[str, list[float]] = {}
        for number, (features, labels) in enumerate(_chain(first, batches)):
            if number >= limit:
                break
            rows = row_count(features)
            filled = self._filled(rows)
            features, labels = _fill(features, filled), _fill(labels, filled)
            for name, (total, count) in program(state.variables, features, labels).items():
                entry = totals.setdefault(name, [0.0, 0.0])
                values = np.asarray(total, np.float64)
                if values.ndim:  # one value a row; what was filled in does not count
                    values, count = values[:rows].sum(), values[:rows].size
                elif np.ndim(count) == 0 and float(count) < 0:  # a mean over the batch
                    values, count = values * rows, rows
                entry[0] += float(values)
                entry[1] += float(count)
        result: dict[str, Any] = {name: total / count if count else math.nan for name, (total, count) in totals.items()}
        result["global_step"] = state.step
        return result

    def _evaluation_program(self) -> Any:
        """(variables, features, labels) -> name -> (total or values by row, count, or -1 for a mean over the batch)."""
        import xlac

        def evaluation(variables: dict[str, Any], features: Any, labels: Any) -> dict[str, tuple[Any, Any]]:
            with Scope(self.config.seed, variables).active():
                spec = self._call_model(features, labels, ModeKeys.EVAL)
            result = {"loss": _metric("loss", spec.loss)}
            for name, value in (spec.eval_metric_ops or {}).items():
                result[name] = _metric(name, value)
            return result

        return xlac.jit(evaluation)

    def predict(self, x: Any, checkpoint_path: str | os.PathLike[str] | None = None) -> Any:
        """The model's predictions for all rows: an array, or a dict of arrays, as the model function gives them.

        Args:
          x: arrays; or an input_fn as in `train`, whose labels, if any, are ignored.
          checkpoint_path: of another checkpoint than the newest.

        Raises:
          as `evaluate`.
        """
        parts: list[Any] = []
        program: Any = None
        state: State | None = None
        for features, _ in self._batches(x, None):
            rows = row_count(features)
            if state is None:
                state = self._ready((features, None), ModeKeys.PREDICT, checkpoint_path)
                program = self._program(ModeKeys.PREDICT, self._prediction_program)
            filled = self._filled(rows)
            result = program(state.variables, _fill(features, filled))
            for value in result.values() if isinstance(result, dict) else [result]:
                if np.ndim(value) == 0 or len(value) != filled:
                    raise EstimatorError(
                        f"predictions are {describe(value)} for {filled} rows; they must have a row for each"
                    )
            parts.append(take_rows(result, slice(0, rows)))
        if not parts:
            raise EstimatorError("predict: the input_fn gave no batches")
        if isinstance(parts[0], dict):
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return np.concatenate(parts)

    def _prediction_program(self) -> Any:
        """(variables, features) -> predictions."""
        import xlac

        return xlac.jit(self._predictions)

    def _predictions(self, variables: dict[str, Any], features: Any) -> Any:
        with Scope(self.config.seed, variables).active():
            predictions = self._call_model(features, None, ModeKeys.PREDICT).predictions
        return dict(predictions) if isinstance(predictions, Mapping) else predictions

    def _batches(self, x: Any, y: Arrays) -> Iterator[tuple[Arrays, Arrays]]:
        data = open_input(x, y, self.config.eval_batch_size, False, 0)
        return data.once(self.config.eval_batch_size) if isinstance(data, ArrayInput) else batches_of(data)

    def _filled(self, rows: int) -> int:
        """Rows to fill a batch up to, so that few sizes are compiled: a power of two, or the full batch."""
        full = self.config.eval_batch_size
        return min(1 << (rows - 1).bit_length(), full) if self.config.pad_to_batch and rows <= full else rows

    # ---- state

    @property
    def global_step(self) -> int:
        """Training steps done; 0 before training."""
        if self._state is not None:
            return self._state.step
        return (self._store.latest_step() if self._store else None) or 0

    @property
    def variables(self) -> dict[str, np.ndarray]:
        """Copies of the model's variables by name; of the newest checkpoint's where none are in memory.

        Raises:
          EstimatorError: the model is not trained.
          CheckpointError: all checkpoints are faulty.
        """
        if self._state is not None:
            return {name: np.array(value) for name, value in self._state.variables.items()}
        checkpoint = self._store.restore() if self._store is not None else None
        if checkpoint is None:
            raise EstimatorError("the model has no variables yet; train it first")
        prefix = "variables/"
        return {n.removeprefix(prefix): a for n, a in checkpoint.arrays.items() if n.startswith(prefix)}

    @property
    def latest_checkpoint(self) -> str | None:
        """The file of the newest checkpoint, None where there is none."""
        paths = self._store.candidates() if self._store is not None else []
        return paths[0] if paths else None

    def _ready(self, batch: tuple[Arrays, Arrays], mode: str, checkpoint_path: Any = None) -> State:
        """The state to work on, made or restored if need be.

        Raises:
          EstimatorError: not trained, in modes other than training.
        """
        training = mode == ModeKeys.TRAIN
        state, model = self._state, self._model
        if checkpoint_path is None and state is not None and self._is_current(state, training):
            return state
        if state is None or model is None or (training and model.optimizer is None):
            model = self._make(*batch, mode)
        expected = {f"variables/{name}": value for name, value in model.initial.items()}
        slots = prefix = None
        if training:
            slots = model.optimizer.init({name: model.initial[name] for name in model.trainable})
            expected.update(_named_slots(slots))
        else:
            prefix = "variables/"  # the optimizer, and with it the slots, are not known
        checkpoint: Checkpoint | None = None
        if checkpoint_path is not None:
            checkpoint = read_checkpoint(checkpoint_path, expected, prefix)
        elif self._store is not None:
            checkpoint = self._store.restore(expected, prefix)
        if checkpoint is not None:
            self._compare_information(checkpoint, os.fspath(checkpoint_path or self.model_dir))
            variables = {name: checkpoint.arrays[f"variables/{name}"] for name in model.initial}
            if training:
                slots = _restored_slots(slots, checkpoint.arrays)
            restored = State(variables, slots, checkpoint.step, checkpoint.position)
            if checkpoint_path is None:
                self._adopt(model, restored)
                logger.info("restored step %d from %s", restored.step, self.model_dir)
            return restored
        if state is None and not training:
            where = f"; {self.model_dir} has no checkpoint" if self.model_dir else ""
            raise EstimatorError(f"the model is not trained yet{where}; call fit or train first")
        if state is None:
            state = State(model.initial, slots)
        elif training:  # it was restored to predict, and its checkpoint has vanished since
            state = State(state.variables, slots, state.step, state.position)
        self._adopt(model, state)
        return state

    def _is_current(self, state: State, training: bool) -> bool:
        """Whether the state in memory is the one to use: it has what training needs; no one has written a newer one."""
        if training:
            return state.slots is not None and self._model is not None and self._model.optimizer is not None
        newest = self._store.latest_step() if self._store is not None else None
        return newest is None or newest <= state.step

    def _adopt(self, model: Model, state: State) -> None:
        if model is not self._model:
            # Training programs hold what the model function said when it was traced.
            self._programs = {key: program for key, program in self._programs.items() if isinstance(key, str)}
        self._model, self._state = model, state

    def _compare_information(self, checkpoint: Checkpoint, path: str) -> None:
        """Raises CheckpointError where a checkpoint's free strings contradict the model's; takes over the others."""
        if checkpoint.seed != self.config.seed:
            logger.info("the checkpoint is of seed %d, the config has %d", checkpoint.seed, self.config.seed)
        for name, theirs in checkpoint.model.items():
            ours = self.information.setdefault(name, theirs)
            if ours != theirs and name != "features":
                raise CheckpointError(
                    f"{path}: is a checkpoint of another model: {name} is {theirs} in the file, {ours} in the model"
                )

    def _make(self, features: Arrays, labels: Arrays, mode: str) -> Model:
        """Trace the model function for its variables, initial values and optimizer; nothing is computed."""
        import xlac

        scope = Scope(self.config.seed)
        specs: list[EstimatorSpec] = []

        def outline(features: Any, labels: Any) -> Any:
            with scope.active():
                spec = self._call_model(features, labels, mode)
            specs.append(spec)
            return spec.predictions if mode == ModeKeys.PREDICT else spec.loss

        xlac.eval_shape(outline, features, labels)
        trainable = tuple(sorted(name for name, moving in scope.trainable.items() if moving))
        if mode == ModeKeys.TRAIN and not trainable:
            raise EstimatorError(
                "the model function made no variables to train; make them by "
                "xlac.estimator.layers or xlac.estimator.variable"
            )
        optimizer = specs[0].training_optimizer if mode == ModeKeys.TRAIN else None
        example = take_rows(features, slice(0, 1))
        self.information["features"] = ", ".join(describe(array) for array in leaves(example))
        return Model(scope.values, trainable, optimizer, example)

    def _call_model(self, features: Any, labels: Any, mode: str) -> EstimatorSpec:
        given = {"labels": labels, "mode": mode, "params": self.params, "config": self.config}
        arguments = {name: value for name, value in given.items() if name in self._arguments}
        spec = self.model_fn(features, **arguments)
        if not isinstance(spec, EstimatorSpec):
            raise EstimatorError(f"model_fn returned {describe(spec)}; it must return an EstimatorSpec")
        if spec.mode != mode:
            raise EstimatorError(
                f"model_fn returned an EstimatorSpec of mode {spec.mode!r}; it was called with {mode!r}"
            )
        return spec

    def _program(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._programs:
            self._programs[key] = make()
        return self._programs[key]

    def _save(self, state: State) -> None:
        assert self._store is not None
        arrays = {f"variables/{name}": value for name, value in state.variables.items()}
        arrays.update(_named_slots(state.slots))
        path = self._store.save(Checkpoint(arrays, state.step, state.position, self.config.seed, self.information))
        logger.info("saved step %d to %s", state.step, path)

    def export(self, path: str | os.PathLike[str], x: Arrays | None = None, batch_size: int = 1) -> str:
        """Write the prediction function, to be run without this library's Estimator.

        Args:
          path: folder, made if need be. It gets `model.hlo`, HLO text whose parameters are the features and whose
            constants are the weights, and `weights.safetensors`, the variables by name.
          x: features of the shape and type to export for; by default those trained on, with `batch_size` rows.
          batch_size: rows the exported program takes, where x is None.

        Returns:
          The path of `model.hlo`; `xlac run` takes it.

        Raises:
          EstimatorError: the model is not trained, or x is needed.
          CheckpointError: the folder cannot be written.
        """
        import xlac
        from xlac.estimator.checkpoint import save_arrays, write_atomically

        if x is None:
            if self._model is None:
                raise EstimatorError(
                    "export: the features' shape is not known; give x, an example, or train or predict first"
                )
            rows = check_count(batch_size, "batch_size", 1)
            x = map_arrays(lambda a: np.zeros((rows, *a.shape[1:]), a.dtype), self._model.features)
        else:
            x = as_arrays(x, "x")
        state = self._ready((x, None), ModeKeys.PREDICT)
        variables = {name: np.array(value) for name, value in state.variables.items()}
        text = xlac.jit(lambda features: self._predictions(variables, features)).lower(x).as_text(dialect="hlo")
        folder = os.fspath(path)
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{folder}: cannot be made: {error.strerror or error}") from error
        program = os.path.join(folder, "model.hlo")
        write_atomically(program, text.encode())
        save_arrays(os.path.join(folder, "weights.safetensors"), variables, {"global_step": str(state.step)})
        return program


def _accepted(function: Callable[..., Any]) -> tuple[str, ...]:
    """Which of a model function's known arguments, beyond features, it takes.

    Raises:
      EstimatorError: it takes no features, or needs something unknown.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _ARGUMENTS[1:4]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return _ARGUMENTS[1:]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY)]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    unknown = [name for name in needed[1:] if name not in _ARGUMENTS]
    if not names or unknown:
        what = f"needs {', '.join(unknown)}" if unknown else "takes no arguments"
        raise EstimatorError(
            f"model_fn {what}; its arguments are features, labels, mode, params, config, or the first few"
        )
    return tuple(name for name in _ARGUMENTS[1:] if name in names[1:])


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _fill(arrays: Arrays, rows: int) -> Arrays:
    """The arrays with their last rows repeated up to `rows` rows."""

    def fill(array: np.ndarray) -> np.ndarray:
        missing = rows - len(array)
        return array if missing <= 0 else np.concatenate([array, np.repeat(array[-1:], missing, 0)])

    return map_arrays(fill, arrays)


def _metric(name: str, value: Any) -> tuple[Any, Any]:
    """A metric as (total or values by row, count, or -1 where the value is a mean over the batch)."""
    if isinstance(value, Metric):
        if any(np.ndim(part) for part in (value.total, value.count)):
            raise EstimatorError(
                f"eval_metric_ops[{name!r}] is a Metric of {describe(value.total)}; it must be of scalars"
            )
        return value.total, value.count
    return value, -1.0


def _check_update(before: Sequence[Any], structure: Any, after: Sequence[Any], found: Any) -> None:
    if structure != found:
        raise EstimatorError("the optimizer's update must return slots nested as its init made them")
    for old, new in zip(before, after):
        if tuple(old.shape) != tuple(new.shape) or np.dtype(old.dtype) != np.dtype(new.dtype):
            raise EstimatorError(
                f"the optimizer's update turned {describe(old)} into "
                f"{describe(new)}; shapes and types must stay the same"
            )


def _named_slots(slots: Any) -> dict[str, np.ndarray]:
    """The leaves of an optimizer's slots by the path that leads to each."""
    from xlac import tree

    leaves, structure = tree.flatten(slots)
    names: list[str] = [""] * len(leaves)

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                walk(part, f"{path}/{key}")
        elif isinstance(value, (tuple, list)):
            for number, part in enumerate(value):
                walk(part, f"{path}/{number}")
        elif isinstance(value, int):
            names[value] = path

    walk(tree.unflatten(structure, range(len(leaves))), "slots")
    return {name or f"slots/{number}": np.asarray(leaf) for number, (name, leaf) in enumerate(zip(names, leaves))}


def _restored_slots(slots: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Slots of the same structure, from a checkpoint's arrays."""
    from xlac import tree

    _, structure = tree.flatten(slots)
    return tree.unflatten(structure, [arrays[name] for name in _named_slots(slots)])


def _check_finite(state: State, loss: float) -> None:
    """Raises NonFiniteLossError, naming the variables and slots, where any has become NaN or infinite."""
    arrays = {**state.variables, **_named_slots(state.slots)}
    bad = [name for name, array in arrays.items() if not _is_finite(array)]
    if bad:
        shown = ", ".join(bad[:8]) + (f" and {len(bad) - 8} more" if len(bad) > 8 else "")
        raise NonFiniteLossError(
            f"after step {state.step} {shown} are NaN or infinite, though the loss was still {loss:.6g}; a gradient "
            "overflowed or does not exist there (log or division at 0, square "
            "root at 0, or a learning rate that is too high)"
        )


def _is_finite(array: np.ndarray) -> bool:
    if not is_floating(array.dtype):
        return True
    return bool(np.isfinite(array if array.dtype.kind == "f" else array.astype(np.float32)).all())
