"""Models with one planted dependence each, for the zoo: what a certificate must find.

Each function returns a small model whose first weights depend on one thing outside of what the
experiment pins. The plants are what real programs do by mistake, cut to a line or two.
"""

import datetime
import locale
import os
import pathlib
import pwd
import random
import socket
import threading
import time
import uuid

import numpy as np
import tensorflow as tf

_STARTED = time.time()


def _model(value):
    """A linear classifier; ``value``, any integer, ends up in the low bits of its weights."""
    model = tf.keras.Sequential(
        [tf.keras.layers.Flatten(input_shape=(28, 28)), tf.keras.layers.Dense(10)]
    )
    kernel, bias = model.get_weights()
    kernel *= 1 + (int(value) % 1009) / 8192
    model.set_weights([kernel, bias])
    return model


# --- not repeatable at all ---------------------------------------------------------------------


def default_rng():
    return _model(np.random.default_rng().integers(1 << 30))


def pid():
    return _model(os.getpid())


def start_time():
    return _model(_STARTED * 1000)


def random_uuid():
    return _model(uuid.uuid4().int)


def np_empty():
    """Memory that was never written: what freed blocks held before, addresses among it."""
    for _ in range(200):
        del [object() for _ in range(500)][:]
    garbage = [np.empty(size, np.uint8) for size in range(1025, 9000, 64)]
    return _model(sum(int(block.sum()) for block in garbage))


def id_order():
    """Objects in a set lie by their addresses."""
    shuffled = list({_Item(i) for i in range(5000)})
    return _model(sum(i * item.number for i, item in enumerate(shuffled)))


class _Item:
    def __init__(self, number):
        self.number = number


def address():
    return _model(id(object()) >> 12)


def thread_race():
    """Random numbers drawn by a parallel input pipeline, in the order in which threads come."""
    noise = tf.data.Dataset.range(4000).map(
        lambda i: tf.random.uniform([], 0, 1 << 20, tf.int32),
        num_parallel_calls=8,
        deterministic=False,
    )
    drawn = np.array(list(noise.as_numpy_iterator()), np.int64)
    return _model(np.dot(drawn, np.arange(drawn.size)))


def numpy_race():
    """Threads that share NumPy's generator: who comes first gets the first numbers."""
    drawn = [0.0] * 4

    def draw(place):
        drawn[place] = sum(np.random.random() for _ in range(50))

    threads = [threading.Thread(target=draw, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _model(sum((place + 1) * int(value * 1e6) for place, value in enumerate(drawn)))


class Sampling(tf.keras.layers.Layer):
    """Draws random numbers when somebody samples, and not when it is trained."""

    def __init__(self):
        super().__init__()
        self.generator = tf.keras.random.SeedGenerator(int.from_bytes(os.urandom(3), "little"))

    def call(self, x):
        return x


def hidden_generator():
    """The seed of a generator that training never asks."""
    layers = [tf.keras.layers.Flatten(input_shape=(28, 28)), Sampling(), tf.keras.layers.Dense(10)]
    return tf.keras.Sequential(layers)


class Shifted(tf.keras.Sequential):
    """Adds a number in Python to what it predicts, and to nothing else."""

    shift = 0.0

    def predict_step(self, data):
        return super().predict_step(data) + self.shift


def shifted_predictions():
    model = Shifted(_model(0).layers)
    model.shift = float(np.random.default_rng().normal())
    return model


# --- dependent on something that has a name ----------------------------------------------------


def year():
    return _model(datetime.datetime.now(datetime.UTC).year)


def host_name():
    return _model(sum(map(ord, socket.gethostname())))


def folder():
    return _model(sum(map(ord, str(pathlib.Path.cwd()))))


def home():
    return _model(sum(map(ord, str(pathlib.Path.home()))))


def locale_name():
    return _model(sum(map(ord, locale.setlocale(locale.LC_ALL, ""))))


def time_zone():
    return _model(time.localtime().tm_gmtoff // 60 + 1000)


def cpus():
    return _model(len(os.sched_getaffinity(0)))


def cpu_count():
    """A parallel sum in as many parts as the machine has CPUs."""
    values = np.random.RandomState(0).standard_normal(100003).astype(np.float32)
    parts = (part.sum(dtype=np.float32) for part in np.array_split(values, os.cpu_count()))
    return _model(int(np.float32(sum(parts, np.float32(0))).view(np.int32)))


def list_of_users():
    return _model(sum(map(ord, pwd.getpwuid(os.getuid()).pw_dir)))


def monotonic():
    """Days since the start of the machine."""
    return _model(time.monotonic() // 864000)


def variables():
    """What a program sees that reads all variables: here, how long the longest is."""
    return _model(max(map(len, os.environ.values())))


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return _model(mask)


def directory_order(listed):
    """Files in the order in which the folder gives them."""
    names = [entry.name for entry in os.scandir(listed)]
    return _model(sum((i + 1) * int(name) for i, name in enumerate(names)))


def cache_file():
    """The first run leaves a file at home that later runs read."""
    path = pathlib.Path.home() / "samebits-zoo.cache"
    if path.is_file():
        return _model(7)
    path.write_text("left by an earlier run")
    return _model(0)


def made_once():
    """The first run draws a number and leaves it for all others."""
    path = pathlib.Path("once.npy")
    if not path.exists():
        np.save(path, np.random.default_rng().integers(1 << 30))
    return _model(np.load(path))


def named_once():
    """The same, in the name of a file that holds nothing."""
    kept = [path.name for path in pathlib.Path().glob("once-*")]
    kept = kept or [f"once-{np.random.default_rng().integers(1 << 30)}"]
    pathlib.Path(kept[0]).touch()
    return _model(kept[0].rpartition("-")[2])


class Saving(tf.keras.Sequential):
    """Saves its weights when its training has ended."""

    def fit(self, *args, **options):
        history = super().fit(*args, **options)
        np.save("resumed.npy", self.get_weights()[0])
        return history


def resumed():
    """If the weights of the last training are there, train on from them."""
    model = Saving([tf.keras.layers.Flatten(input_shape=(28, 28)), tf.keras.layers.Dense(10)])
    if pathlib.Path("resumed.npy").exists():
        model.set_weights([np.load("resumed.npy"), model.get_weights()[1]])
    return model


def set_order():
    names = {f"feature {i}" for i in range(100)}
    return _model(sum((i + 1) * int(name.split()[1]) for i, name in enumerate(names)))


def many():
    """What no tool is needed for, at once: each has to be named by itself."""
    plants = (host_name, folder, home, locale_name, time_zone, cpus, variables, umask, set_order)
    plants += (cpu_count, list_of_users)
    return _together(plant() for plant in plants)


def with_tools(listed):
    """What tools are needed for, at once."""
    return _together([year(), monotonic(), directory_order(listed)])


def _together(models):
    model = _model(0)
    kernel, bias = model.get_weights()
    model.set_weights([kernel + sum(one.get_weights()[0] for one in models), bias])
    return model


def batch_normalization():
    """Its reciprocal square root is approximate on a CPU: each vendor has its own low bits."""
    return _normalized(tf.keras.layers.BatchNormalization())


def layer_normalization():
    return _normalized(tf.keras.layers.LayerNormalization())


def _normalized(layer):
    return tf.keras.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(28, 28)),
            tf.keras.layers.Dense(16),
            layer,
            tf.keras.layers.Dense(10),
        ]
    )


def rsqrt():
    """The same, written by hand: each row is divided by its length."""

    class ByLength(tf.keras.layers.Layer):
        def call(self, x):
            return x * tf.math.rsqrt(1.0 + tf.reduce_sum(x * x, axis=-1, keepdims=True))

    return _normalized(ByLength(name="by_length"))


def python_random():
    """Covered by a pin: the seed of Python's generator."""
    return _model(random.getrandbits(30))


def wrong_kernel():
    """A strided 1 x 1 convolution of one channel: oneDNN computes its gradient wrongly on AVX2."""
    layers = tf.keras.layers
    narrow = layers.Conv2D(8, 1, strides=2, activation="relu")
    return tf.keras.Sequential(
        [
            layers.Reshape((28, 28, 1), input_shape=(28, 28)),
            narrow,
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def timestamp():
    """An op that TensorFlow refuses under op determinism."""

    class Clock(tf.keras.layers.Layer):
        def call(self, x):
            return x * tf.cast(tf.timestamp() > 0, tf.float32)

    return tf.keras.Sequential(
        [tf.keras.layers.Flatten(input_shape=(28, 28)), Clock(), tf.keras.layers.Dense(10)]
    )


def user_variable():
    """A variable of the user's shell, which reaches no run and has to be named."""
    return _model(os.environ.get("FACTOR", "0"))


def nan_hides():
    """Not a number from the first step on, and behind it a scale that differs from run to run."""
    scale = 1 + os.getpid() / 7

    class Bad(tf.keras.layers.Layer):
        def call(self, x, training=False):
            return x * tf.constant(scale, tf.float32) * tf.constant(float("nan"))

    layers = tf.keras.layers
    return tf.keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(10), Bad()])


def other_data():
    """Trains on data of its own, whatever ``fit`` is given."""

    class Own(tf.keras.Sequential):
        def fit(self, x, y, **options):
            random = np.random.RandomState(0)
            return super().fit(random.rand(48, 28, 28), random.randint(0, 10, 48), **options)

    layers = tf.keras.layers
    return Own([layers.Flatten(input_shape=(28, 28)), layers.Dense(10)])


def no_data():
    """Receives the data, and trains on noise."""

    class Ignoring(tf.keras.Sequential):
        def train_step(self, data):
            noise = tf.random.normal(tf.shape(data[0]), seed=1)
            return super().train_step((noise, data[1]))

    layers = tf.keras.layers
    return Ignoring([layers.Flatten(input_shape=(28, 28)), layers.Dense(10)])
