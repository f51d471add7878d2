"""One training, step for step as the published experiment: seed, build, compile, fit.

No random number is drawn and nothing is reordered beyond what these steps do themselves. Runs
on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import importlib
import math
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Tuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import history
from samebits.observation import executed
from samebits.text import duration, plain, say

Named = List[Tuple[str, np.ndarray]]

_SAY_EVERY = 10.0  # seconds between two lines within an epoch
_RATE, _INNER = "learning_rate", "inner_optimizer"  # in the config of an optimizer
_NOT_ARGUMENTS = ("_target_", "option")


class NotBuiltError(SamebitsError):
    """The model's function raised; what it raised is the cause."""


@dataclass(frozen=True)
class Task:
    """Model, data and trainer: the same for every training of a process."""

    tf: Any
    model: Mapping[str, Any]
    trainer: Mapping[str, Any]
    x: np.ndarray
    y: np.ndarray
    source_path: Path

    def compiled_model(self) -> Any:
        """The model, built and compiled."""
        model = build(self.tf, self.model, self.source_path)
        compile_model(self.tf, model, self.trainer)
        check_labels(self.tf, model, self.y)
        return model

    def kept(self) -> int:
        """How many samples the validation leaves for training: the first ones."""
        kept: int = math.floor(len(self.x) * (1.0 - self.trainer["validation_split"]))
        return kept

    def steps_per_epoch(self) -> int:
        """How many batches Keras makes of what the validation leaves."""
        return int(-(-self.kept() // self.trainer["batch_size"]))

    def fit(self, model: Any, callbacks: list[Any], only: int | None = None) -> Any:
        """``model.fit`` as the article calls it, or ``only`` one epoch; returns Keras' history.

        A model's own ``fit`` may call Keras' more than once: the metrics of each call are kept, as
        "loss (fit 2)".
        """
        given = {key: self.trainer[key] for key in ("batch_size", "validation_split", "shuffle")}
        given["epochs"] = self.trainer["epochs"] if only is None else only + 1
        given.update(initial_epoch=only or 0, verbose=0, callbacks=callbacks)
        with _begun_fits(self.tf) as begun:
            returned = getattr(model.fit(self.x, self.y, **given), "history", None)
        found = [one.history for one in begun if one.history]
        if len(found) > 1:
            numbered = enumerate(found, start=1)
            return {f"{m} (fit {n})": values for n, each in numbered for m, values in each.items()}
        return returned or (found[0] if found else {})


@contextmanager
def _begun_fits(tf: Any) -> Iterator[list[Any]]:
    """The histories of all calls of ``fit`` meanwhile, of whatever model, in their order."""
    begun: list[Any] = []
    begin = tf.keras.callbacks.History.on_train_begin

    def on_train_begin(self: Any, logs: Any = None) -> None:
        if self not in begun:
            begun.append(self)
        begin(self, logs)

    tf.keras.callbacks.History.on_train_begin = on_train_begin
    try:
        yield begun
    finally:
        tf.keras.callbacks.History.on_train_begin = begin


def build(tf: Any, config: Mapping[str, Any], source_path: Path) -> Any:
    """Call the model's function. Raises NotBuiltError; the traceback is printed first."""
    target = config["_target_"]
    module_name, _, function = target.rpartition(".")
    arguments = {k: v for k, v in config.items() if k not in _NOT_ARGUMENTS}
    # Last: a user's file shadows no library.
    sys.path.append(str(executed.as_named(source_path)))
    try:
        module = importlib.import_module(module_name)
        _require_users(module, source_path)
        model = getattr(module, function)(**arguments)
    except SamebitsError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise NotBuiltError(f"model._target_={target}: could not be built: {error!r}") from error
    if not isinstance(model, tf.keras.Model):
        raise SamebitsError(
            f"model._target_={target}: expected it to return a tf.keras.Model, "
            f"got {type(model).__name__!r}; return the model"
        )
    return model


def _require_users(module: Any, source_path: Path) -> None:
    """Raise SamebitsError for a library that has the name of the user's module."""
    file, name = Path(str(module.__file__)), module.__name__
    own = name.partition(".")[0] == executed.OWN
    if not own and executed.as_named(source_path) not in executed.as_named(file).parents:
        raise SamebitsError(
            f"model._target_: {name} is also the name of a library ({file}), which Python finds "
            "first; rename your module"
        )


def _keras_object(tf: Any, spec: Any) -> Any:
    """A loss, metric or optimizer as Keras' ``get`` functions take it; schedules are made here."""
    if isinstance(spec, dict):
        config = dict(spec.get("config") or {})
        if _RATE in config:
            config[_RATE] = _schedule(tf, config[_RATE])
        if _INNER in config:  # Keras takes no short form of an optimizer within an optimizer
            inner = tf.keras.optimizers.get(_keras_object(tf, config[_INNER]))
            config[_INNER] = tf.keras.optimizers.serialize(inner)
        return {"class_name": spec["class_name"], "config": config}
    return spec


def _schedule(tf: Any, value: Any) -> Any:
    """A schedule from its class and config, which not every Keras takes there."""
    if not isinstance(value, dict) or "class_name" not in value:
        return value
    cls = getattr(tf.keras.optimizers.schedules, value["class_name"])
    return cls.from_config(dict(value.get("config") or {}))


def compile_model(tf: Any, model: Any, trainer: Mapping[str, Any]) -> None:
    """Compile unless the model's function did."""
    if getattr(model, "optimizer", None) is not None:
        return
    keras, extra = tf.keras, {}
    if tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 4):  # which brought it to `compile`
        extra["steps_per_execution"] = trainer["steps_per_execution"]
    loss = keras.losses.get(_keras_object(tf, trainer["loss"]))
    optimizer = keras.optimizers.get(_keras_object(tf, trainer["optimizer"]))
    # Names stay names: Keras chooses the accuracy that fits the loss.
    metrics = [
        m if isinstance(m, str) else keras.metrics.get(_keras_object(tf, m))
        for m in trainer["metrics"]
    ]
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, **extra)


def check_labels(tf: Any, model: Any, y: np.ndarray) -> None:
    """Refuse labels that the model's own loss cannot mean: a GPU would train on them silently.

    Only sparse categorical crossentropy limits them. They are not judged where Keras does not
    give them to the loss itself, or where an output with another loss may be theirs.
    """
    losses, sizes = _losses(tf, model), _output_sizes(model)
    if not (losses and all(losses) and all(sizes) and _gives_labels_to_loss(tf, model)):
        return
    size, kept = max(sizes, default=math.inf), _without_ignored(y, losses)
    low, high = kept.min(), kept.max()
    if low < 0 or high >= size or (kept.dtype.kind == "f" and np.any(kept != np.floor(kept))):
        raise SamebitsError(
            "y: the model's loss is sparse categorical crossentropy, whose labels are the numbers "
            f"of its outputs: expected whole numbers 0 to {size - 1}, got {low} to {high}. To "
            "predict numbers, use trainer.loss=mse; for two classes and one output, "
            "trainer.loss=binary_crossentropy; a model that compiles itself passes its loss there. "
            "For more classes, number them from 0 and give the model an output for each (built-in "
            "models: set data.classes)"
        )


def _losses(tf: Any, model: Any) -> list[dict[str, Any]]:
    """Of each loss that the model is compiled with: its settings; empty if it is no sparse one."""
    keras, name, found = tf.keras.losses, "sparse_categorical_crossentropy", []
    for loss in tf.nest.flatten(getattr(model, "loss", None)):
        loss = keras.get(loss) if isinstance(loss, str) else loss
        if type(loss) is keras.SparseCategoricalCrossentropy:
            found.append(dict(loss.get_config()))
        elif loss is not None:
            found.append({"name": name} if loss is getattr(keras, name) else {})
    return found


def _output_sizes(model: Any) -> list[int]:
    """The last dimension of each output, 0 for one that is unknown."""
    shape = getattr(model, "output_shape", None) or ()
    shapes = [shape] if isinstance(shape, tuple) else getattr(shape, "values", lambda: shape)()
    return [(shape and shape[-1]) or 0 for shape in shapes]


def _gives_labels_to_loss(tf: Any, model: Any) -> bool:
    """Whether Keras' own ``fit`` trains the model, from the labels to the loss."""
    methods, plain = ("fit", "train_step", "make_train_function", "compute_loss"), tf.keras.Model
    own = (n in vars(model) or getattr(type(model), n, None) for n in methods)
    return list(own) == [getattr(plain, n, None) for n in methods]


def _without_ignored(y: np.ndarray, losses: list[dict[str, Any]]) -> np.ndarray:
    """The labels that count: a loss may have one that it leaves out."""
    ignored = [loss["ignore_class"] for loss in losses if loss.get("ignore_class") is not None]
    kept = y[~np.isin(y, ignored)] if ignored else y
    return kept if kept.size else np.zeros(1, y.dtype)


def callback(tf: Any, **methods: Callable[..., Any]) -> Any:
    """A Keras callback with these methods; each gets what Keras passes."""
    functions = {name: staticmethod(method) for name, method in methods.items()}
    return type("Callback", (tf.keras.callbacks.Callback,), functions)()


def progress(tf: Any, run: str, epochs: int, count: int | None = None) -> Any:
    """A callback that tells epochs and the time left; it reads, and changes nothing.

    It also ends a training whose Ctrl-C was lost.

    ``count``: how many epochs this process trains, where these are not all to the last.
    """

    class Progress(tf.keras.callbacks.Callback):  # type: ignore[misc]
        done = 0  # epochs that this process has trained

        def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.epoch = epoch
            if not self.done:
                self.started = self.said = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            raise_if_interrupted()
            # A call may execute many steps, and name one after the last.
            steps = self.params.get("steps")
            if time.monotonic() - self.said >= _SAY_EVERY and steps and batch + 1 < steps:
                self._say(self.epoch, (batch + 1) / steps, f"step {batch + 1:,}/{steps:,}")

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            values = (f"{plain(k)} {v:.4f}" for k, v in history.numbers(logs or {}).items())
            self._say(epoch, 1, ", ".join(values))
            self.done += 1

        def _say(self, epoch: int, part: float, what: str) -> None:
            """``part``: how much of the epoch is trained."""
            self.said = time.monotonic()
            more = (count - self.done if count else epochs - epoch) - part
            left = (self.said - self.started) / (self.done + part) * more
            say(f"{run}: epoch {epoch + 1}/{epochs}, {what}, {duration(left)} left")

    return Progress()


def trainable_variables(model: Any) -> list[Any]:
    """Those that the model has by now, whether or not it is called built."""
    try:
        return list(model.trainable_variables)
    except ValueError:  # so says Keras 2 that there are none yet
        return []


def trainable(model: Any) -> Named:
    """Every weight that is trained, in the model's own order, as (name, array)."""
    return values(named(model.trainable_variables))


def values(variables: list[tuple[str, Any]]) -> Named:
    """Named variables as named arrays."""
    return [(name, np.asarray(variable.numpy())) for name, variable in variables]


def describe(model: Any) -> dict[str, Any]:
    """Name, number of parameters, and layers in forward order: also of a model that is not built.

    Keras' own ``count_params`` and ``summary`` refuse one that has no ``call``, or whose own
    ``train_step`` calls its layers alone.
    """
    layers = [{"name": layer.name, "class": type(layer).__name__} for layer in model.layers]
    sizes = [int(np.size(variable.numpy())) for variable in model.weights]
    return {"name": model.name, "parameters": sum(sizes), "layers": layers}


def unique(names: Iterable[str]) -> Iterator[str]:
    """The names; a repeated one gets its count, or the next one that is free."""
    seen: Counter[str] = Counter()
    for name in names:
        free = name
        while seen[free]:
            seen[name] += 1
            free = f"{name}#{seen[name]}"
        seen[free] = 1
        yield free


# ---- Ctrl-C -----------------------------------------------------------------------------------
#
# An exception cannot leave a finalizer, nor a callback of a C library: Python prints or drops it
# there (``sys.unraisablehook``), a KeyboardInterrupt as well. A training calls both all the time,
# and would continue to its end. So the signal is remembered, and raised again at the next step.

_interrupted = False


def install_handler() -> None:
    """Remember a Ctrl-C from now on; where interrupts are ignored, they stay ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if an earlier one was lost."""
    if _interrupted:
        raise KeyboardInterrupt


def _interrupt(*_: Any) -> None:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


# ---- where Keras 3, Keras 2 and TensorFlow 2.1 differ ------------------------------------------


def steps_per_execution(model: Any) -> int:
    """As compiled: a number in Keras 3, a variable in Keras 2, nothing in TensorFlow 2.1."""
    steps = getattr(model, "steps_per_execution", None)
    if steps is None:
        steps = getattr(model, "_steps_per_execution", None)
    return 1 if steps is None else int(steps)


def optimizer_name(model: Any) -> str | None:
    """The name that its optimizer gives the scope of what it computes; None where it has none."""
    names = [getattr(model.optimizer, name, None) for name in ("name", "_name")]
    return next((str(name) for name in names if name is not None), None)


def named(variables: Any) -> list[tuple[str, Any]]:
    """Names don't have to be unique in a user's model: a repeated one gets its count."""
    return list(zip(unique(map(name_of, variables)), variables))


def name_of(variable: Any) -> str:
    """Keras 3 names a variable by its path in the model, Keras 2 by its name."""
    return str(getattr(variable, "path", None) or variable.name)
