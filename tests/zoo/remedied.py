"""The planted models with the remedy that their certificate names, and nothing else changed."""

import datetime
import locale
import os
import pathlib
import random
import tempfile
import threading

import numpy as np
import planted
import tensorflow as tf
from planted import _model

_STARTED = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)  # an argument, not the clock


def default_rng():
    return _model(np.random.default_rng(1).integers(1 << 30))


def pid():
    return _model(1)


def start_time():
    return _model(_STARTED.timestamp() * 1000)


def random_uuid():
    return _model(random.Random(1).getrandbits(128))  # noqa: S311


def np_empty():
    garbage = [np.zeros(size, np.uint8) for size in range(1025, 9000, 64)]
    return _model(sum(int(block.sum()) for block in garbage))


def id_order():
    ordered = sorted((planted._Item(i) for i in range(5000)), key=lambda item: item.number)
    return _model(sum(i * item.number for i, item in enumerate(ordered)))


def address():
    return _model(0)


class _Sampling(tf.keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.generator = tf.keras.random.SeedGenerator(1)

    def call(self, x):
        return x


def hidden_generator():
    layers = [tf.keras.layers.Flatten(input_shape=(28, 28)), _Sampling(), tf.keras.layers.Dense(10)]
    return tf.keras.Sequential(layers)


def shifted_predictions():
    model = planted.Shifted(_model(0).layers)
    model.shift = float(np.random.default_rng(1).normal())
    return model


def numpy_race():
    drawn = [0.0] * 4

    def draw(place):
        own = np.random.default_rng(place)
        drawn[place] = sum(own.random() for _ in range(50))

    threads = [threading.Thread(target=draw, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _model(sum((place + 1) * int(value * 1e6) for place, value in enumerate(drawn)))


def year():
    return _model(_STARTED.year)


def monotonic():
    return _model(_STARTED.timestamp() // 864000)


def host_name(host="nodename"):
    return _model(sum(map(ord, host)))


def folder():
    return _model(sum(map(ord, str(pathlib.Path("model", "data")))))


def home():
    return _model(sum(map(ord, pathlib.Path("settings.txt").name)))


list_of_users = home


def locale_name():
    return _model(sum(map(ord, locale.setlocale(locale.LC_ALL, "C"))))


def time_zone():
    now = datetime.datetime.now(datetime.UTC)
    return _model(now.utcoffset().total_seconds() // 60 + 1000)


def cpus():
    return _model(2)


def cpu_count():
    values = np.random.RandomState(0).standard_normal(100003).astype(np.float32)
    parts = (part.sum(dtype=np.float32) for part in np.array_split(values, 3))
    return _model(int(np.float32(sum(parts, np.float32(0))).view(np.int32)))


def variables():
    return _model(len(os.environ.get("PYTHONHASHSEED", "")))


def umask():
    os.umask(0o022)
    return planted.umask()


def directory_order(listed):
    names = sorted(entry.name for entry in os.scandir(listed))
    return _model(sum((i + 1) * int(name) for i, name in enumerate(names)))


def cache_file():
    path = pathlib.Path(tempfile.gettempdir(), "samebits-zoo.cache")
    if path.is_file():
        return _model(7)
    path.write_text("left by an earlier run")
    return _model(0)


class _Saving(tf.keras.Sequential):
    def fit(self, *args, **options):
        history = super().fit(*args, **options)
        np.save(pathlib.Path(tempfile.gettempdir(), "resumed.npy"), self.get_weights()[0])
        return history


def resumed():
    path = pathlib.Path(tempfile.gettempdir(), "resumed.npy")
    model = _Saving([tf.keras.layers.Flatten(input_shape=(28, 28)), tf.keras.layers.Dense(10)])
    if path.exists():
        model.set_weights([np.load(path), model.get_weights()[1]])
    return model


def set_order():
    names = sorted(f"feature {i}" for i in range(100))
    return _model(sum((i + 1) * int(name.split()[1]) for i, name in enumerate(names)))


def many(listed):
    """All of them at once: what one of them leaves would show."""
    plants = (default_rng, pid, start_time, random_uuid, np_empty, id_order, numpy_race, year)
    plants += (monotonic, host_name, folder, home, locale_name, time_zone, cpus, cpu_count)
    plants += (variables, umask, cache_file, set_order)
    return planted._together(one() for one in (*plants, lambda: directory_order(listed)))
