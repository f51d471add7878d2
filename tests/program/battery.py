"""A program with every kind of training, each a function: run plain and by the product.

    battery.py [CASE…]

Writes battery.json: for each case digests of what it trained. Python 3.7 and TensorFlow 2.1, too.
It is a user's program: it knows nothing of the product.
"""

import hashlib
import json
import sys
import threading

import numpy as np


def in_thread():
    """Before TensorFlow is imported."""


threading.Thread(target=in_thread).start()
import tensorflow as tf  # noqa: E402

VERSION = tuple(map(int, tf.__version__.split(".")[:2]))
KERAS_3 = tf.keras.__version__.startswith("3")
if VERSION >= (2, 4):  # before the first operation: nothing may have executed one
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

layers, losses = tf.keras.layers, tf.keras.losses
LOSS = losses.SparseCategoricalCrossentropy(from_logits=True)
X = np.random.RandomState(0).rand(96, 6).astype("float32")
Y = (X.sum(1) > 3).astype("int32")
CASES = {}


def case(since=(2, 1), keras_3=False):
    def add(function):
        if VERSION >= since and (KERAS_3 or not keras_3):
            CASES[function.__name__] = function
        return function

    return add


def network(units=8, dropout=0.3):
    return tf.keras.Sequential(
        [
            layers.Dense(units, activation="relu", input_shape=(6,)),
            layers.BatchNormalization(),
            layers.Dropout(dropout),
            layers.Dense(2),
        ]
    )


def data():
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(96, seed=3).batch(16)


def compiled(optimizer="adam", **options):
    model = network()
    model.compile(optimizer, LOSS, metrics=["accuracy"], **options)
    return model


@case()
def fit():
    model = compiled()
    return [model, model.fit(X, Y, epochs=2, verbose=0, validation_split=0.25).history]


@case()
def fit_of_dataset():
    model = compiled("rmsprop")
    return [model, model.fit(data(), epochs=2, verbose=0).history, model.predict(X[:5])]


@case()
def on_batches():
    model = compiled("sgd")
    found = [model.train_on_batch(X[i::6], Y[i::6]) for i in range(6)]
    return [model, [np.asarray(one).tolist() for one in found]]


@case((2, 4))
def jit_compiled():
    model = compiled("adam", **({"jit_compile": True} if VERSION >= (2, 5) else {}))
    return [model, model.fit(X, Y, epochs=2, verbose=0).history]


@case((2, 4))
def several_steps_per_execution():
    model = compiled("adam", steps_per_execution=4)
    return [model, model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history]


@case()
def eagerly():
    model = compiled("adam", run_eagerly=True)
    return [model, model.fit(X[:32], Y[:32], batch_size=8, epochs=1, verbose=0).history]


@case()
def tape_loop():
    model, optimizer, lost = network(), tf.keras.optimizers.Adam(0.01), []
    for step in range(4):
        with tf.GradientTape(persistent=True) as tape:
            value = LOSS(Y[step::4], model(X[step::4], training=True))
            if step == 3:  # within the tape
                gradients = tape.gradient(value, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        if step != 3:
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        lost.append(float(value))
    return [model, lost]


@case()
def gan_step():
    one, two = network(4), network(5)
    optimizers = [tf.keras.optimizers.Adam(0.01), tf.keras.optimizers.SGD(0.1)]

    @tf.function
    def step(x, y):
        lost = []
        for model, optimizer in zip((one, two), optimizers):  # each draws noise behind an update
            noisy = x + tf.random.normal(tf.shape(x))
            with tf.GradientTape() as tape:
                value = LOSS(y, model(noisy, training=True))
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            lost.append(value)
        return lost + [tf.random.uniform([])]

    return [one, two, [[float(v) for v in step(X[i::4], Y[i::4])] for i in range(4)]]


@case()
def loop_in_a_graph():
    """More steps than a table has rows, in one call."""
    model, optimizer = network(3), tf.keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables) if KERAS_3 else None

    @tf.function
    def train(batches):
        total = tf.constant(0.0)
        for x, y in batches:
            with tf.GradientTape() as tape:
                value = LOSS(y, model(x, training=True))
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            total += value
        return total

    return [model, float(train(data().repeat(400)))]


@case((2, 8))
def step_that_xla_compiles():
    model, optimizer = network(3, 0.0), tf.keras.optimizers.Adam(0.01)
    model.build((None, 6))
    optimizer.build(model.trainable_variables) if KERAS_3 else None

    @tf.function(jit_compile=True)
    def step(x, y):
        with tf.GradientTape() as tape:
            value = LOSS(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return value

    return [model, [float(step(X[i::4], Y[i::4])) for i in range(4)]]


class Custom(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.drop, self.out = layers.Dense(7), layers.Dropout(0.2), layers.Dense(2)
        self.seen = tf.Variable(0.0, trainable=False)

    def call(self, x, training=False):
        return self.out(self.drop(self.dense(x), training=training))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            value = LOSS(y, self(x + 0.01 * tf.random.normal(tf.shape(x)), training=True))
        gradients = tape.gradient(value, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.seen.assign_add(1.0)
        return {"loss": value}


@case((2, 2))
def custom_step_built_late():
    model = Custom()
    model.compile("adam")
    history = model.fit(X, Y, epochs=2, verbose=0).history
    return [model, history, float(model.seen.numpy())]


@case((2, 4))
def mirrored():
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = compiled()
    return [model, model.fit(data(), epochs=2, verbose=0).history]


@case((2, 4))
def mirrored_by_hand():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model, optimizer = network(3), tf.keras.optimizers.SGD(0.1)
        model.build((None, 6))

    def step(x, y):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(LOSS(y, model(x, training=True)))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return value

    @tf.function
    def train(x, y):
        return strategy.run(step, args=(x, y))

    return [model, [float(train(X[i::4], Y[i::4])) for i in range(4)]]


@case(keras_3=True)
def accumulates_and_averages():
    kwargs = {"gradient_accumulation_steps": 2, "use_ema": True, "clipnorm": 1.0}
    model = compiled(tf.keras.optimizers.AdamW(0.01, **kwargs))
    return [model, model.fit(X, Y, epochs=2, verbose=0).history]


@case((2, 8))
def scaled_loss():
    inner = tf.keras.optimizers.Adam(0.01)
    scale = tf.keras.mixed_precision if not KERAS_3 else tf.keras.optimizers
    model = compiled(scale.LossScaleOptimizer(inner))
    return [model, model.fit(X, Y, epochs=2, verbose=0).history]


@case()
def folds():
    """The name is bound again, and what it named is forgotten."""
    found = []
    for fold in range(3):
        tf.keras.backend.clear_session()
        tf.random.set_seed(fold)
        model = compiled()
        keep = np.arange(96) % 3 != fold
        model.fit(X[keep], Y[keep], epochs=1, verbose=0)
        found.append([float(v) for v in model.evaluate(X[~keep], Y[~keep], verbose=0)])
        weights = [np.array(w) for w in model.get_weights()]
        del model
    return [weights, found]


@case()
def by_hand():
    w = tf.Variable(tf.random.normal([6, 2]), name="by_hand")
    for _ in range(3):
        with tf.GradientTape() as tape:
            value = LOSS(Y, X @ w)
        w.assign_sub(0.1 * tape.gradient(value, w))
    return [w.numpy()]


@case()
def outside_of_a_model():
    w, optimizer = tf.Variable(tf.random.normal([6, 2]), name="alone"), tf.keras.optimizers.SGD(0.1)
    for _ in range(3):
        with tf.GradientTape() as tape:
            value = LOSS(Y, X @ w)
        optimizer.apply_gradients([(tape.gradient(value, w), w)])
    return [w.numpy()]


@case()
def old_optimizer():
    model, optimizer = network(3, 0.0), tf.compat.v1.train.GradientDescentOptimizer(0.1)
    with tf.GradientTape() as tape:
        value = LOSS(Y, model(X, training=True))
    gradients = tape.gradient(value, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return [model]


class Doubling(tf.keras.optimizers.SGD):
    def apply_gradients(self, grads_and_vars, **options):
        doubled = [(2.0 * gradient, variable) for gradient, variable in grads_and_vars]
        return super().apply_gradients(doubled, **options)


@case()
def optimizer_of_its_own():
    model = compiled(Doubling(0.05))
    return [model, model.fit(X, Y, epochs=2, verbose=0).history]


@case()
def words():
    """Sparse gradients, and two inputs."""
    text = np.random.RandomState(1).randint(0, 20, (96, 5))
    word, number = tf.keras.Input((5,), dtype="int32"), tf.keras.Input((6,))
    both = layers.Concatenate()(
        [layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(word)), number]
    )
    model = tf.keras.Model([word, number], layers.Dense(2)(both))
    model.compile("adam", LOSS)
    history = model.fit([text, X], Y, epochs=2, verbose=0).history
    part = tf.keras.Model(model.inputs, model.layers[-2].output)
    return [model, history, part.predict([text[:3], X[:3]])]


def digest(found):
    sha = hashlib.sha256()

    def add(value):
        if isinstance(value, tf.keras.Model):
            optimizer = getattr(value, "optimizer", None)
            extra = getattr(optimizer, "variables", [])
            add([np.array(w) for w in value.get_weights()])
            add([np.array(v.numpy()) for v in (extra() if callable(extra) else extra)])
        elif isinstance(value, dict):
            add([[key, value[key]] for key in sorted(value)])
        elif isinstance(value, (list, tuple)):
            for one in value:
                add(one)
        else:
            array = np.asarray(value)
            sha.update(repr((str(array.dtype), array.shape)).encode())
            sha.update(array.tobytes())

    add(found)
    return sha.hexdigest()


def main():
    told = {}
    for name in sys.argv[1:] or CASES:
        np.random.seed(7)
        tf.random.set_seed(7)
        told[name] = digest(CASES[name]())
        told[name + ": drawn"] = [float(tf.random.uniform([])), float(np.random.rand())]
        print(name, told[name][:12], flush=True)
    with open("battery.json", "w") as file:
        json.dump(told, file, indent=1)


main()
