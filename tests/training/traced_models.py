"""Models that the tests trace, on every framework: one of each kind of training step that programs
have, as users write them. Python 3.7 too.
"""

# ruff: noqa: B905 (Python 3.7 has no strict)

import tensorflow as tf

K, L = tf.keras, tf.keras.layers
RECENT = hasattr(K.Model, "train_step")  # not TensorFlow 2.1
LOSS = K.losses.SparseCategoricalCrossentropy(from_logits=True)


def noisy():
    """Dropout and, where the framework has them, augmentation layers."""
    stack = [L.Reshape((12, 12, 1), input_shape=(12, 12))]
    if hasattr(L, "RandomFlip"):
        stack += [L.RandomFlip("horizontal"), L.RandomRotation(0.1)]
    stack += [L.Conv2D(4, 3, activation="relu"), L.Dropout(0.3), L.Flatten()]
    return K.Sequential([*stack, L.Dense(10)])


def compiled_by_xla():
    """It comes compiled, has no random layer, and is built by its first step."""
    model = K.Sequential([L.Flatten(), L.Dense(16), L.Dense(10)])
    model.compile("adam", LOSS, metrics=["accuracy"], steps_per_execution=7, jit_compile=True)
    return model


def _stack(cls=K.Sequential):
    return cls([L.Flatten(input_shape=(12, 12)), L.Dense(16, activation="relu"), L.Dense(10)])


def _compiled(model, optimizer="adam", loss=LOSS, **options):
    if RECENT:
        options.setdefault("steps_per_execution", 3)
    model.compile(optimizer, loss, **options)
    return model


class FedToMetric(K.Sequential):
    """Feeds what ``compute_loss`` returns to a metric of its own."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        spread = tf.reduce_mean(tf.reduce_sum(tf.exp(0.1 * y_pred) - tf.square(y_pred), axis=1))
        return LOSS(y, y_pred) + 0.01 * spread

    def train_step(self, data):
        x, y = data[:2]
        if not hasattr(self, "seen"):
            self.seen = K.metrics.Mean(name="loss")
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        _minimize(self.optimizer, tape.gradient(loss, self.trainable_variables), self)
        self.seen.update_state(loss)
        return {"loss": self.seen.result()}


def _minimize(optimizer, gradients, model):
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))


class Gan(K.Model):
    """Two models, each with an optimizer of its own; the second one twice in a step."""

    def __init__(self):
        super().__init__()
        self.maker = K.Sequential([L.Dense(8, activation="relu", input_shape=(4,)), L.Dense(144)])
        self.judge = K.Sequential([L.Dense(8, activation="relu", input_shape=(144,)), L.Dense(1)])
        self.judges = {"optimizer": K.optimizers.SGD(0.01, momentum=0.9)}
        self.built = True

    def call(self, x):
        return self.judge(tf.reshape(x, (-1, 144)))

    def train_step(self, data):
        x = tf.reshape(tf.cast(data[0], tf.float32), (-1, 144))
        for _ in range(2):
            with tf.GradientTape() as tape:
                made = self.maker(tf.random.normal((tf.shape(x)[0], 4)))
                loss = tf.reduce_mean(self.judge(made) - self.judge(x))
            _minimize(
                self.judges["optimizer"],
                tape.gradient(loss, self.judge.trainable_variables),
                self.judge,
            )
        with tf.GradientTape() as tape:
            cheated = -tf.reduce_mean(self.judge(self.maker(tf.random.normal((8, 4)))))
        _minimize(
            self.optimizer, tape.gradient(cheated, self.maker.trainable_variables), self.maker
        )
        return {"loss": loss, "cheated": cheated}


class Accumulating(K.Sequential):
    """Applies gradients with every third step alone."""

    def train_step(self, data):
        x, y = data[:2]
        if not hasattr(self, "sums"):
            self.sums = [
                tf.Variable(tf.zeros_like(v), trainable=False) for v in self.trainable_variables
            ]
            self.count = tf.Variable(0, trainable=False)
        with tf.GradientTape() as tape:
            loss = LOSS(y, self(x, training=True))
        for total, gradient in zip(self.sums, tape.gradient(loss, self.trainable_variables)):
            total.assign_add(gradient)
        self.count.assign_add(1)

        def apply():
            _minimize(self.optimizer, [tf.identity(total) for total in self.sums], self)
            for total in self.sums:
                total.assign(tf.zeros_like(total))
            return 0

        tf.cond(tf.equal(self.count % 3, 0), apply, lambda: 0)
        return {"loss": loss}


class Distilled(K.Sequential):
    """Learns from a frozen teacher; part of its loss is behind ``stop_gradient``."""

    def train_step(self, data):
        x, y = data[:2]
        if not hasattr(self, "teacher"):
            self.teacher = _teacher()
        with tf.GradientTape() as tape:
            mine = self(x, training=True)
            theirs = tf.nn.softmax(tape_stopped(self.teacher(x), tape) / 3.0)
            soft = K.losses.KLDivergence()(theirs, tf.nn.softmax(mine / 3.0))
            loss = 0.3 * LOSS(y, mine) + tf.stop_gradient(soft) * 0.1 + soft
        _minimize(self.optimizer, tape.gradient(loss, self.trainable_variables), self)
        return {"loss": loss, "soft": soft}


def _teacher():
    teacher = _stack()
    teacher.trainable = False
    return teacher


def tape_stopped(value, tape):
    with tape.stop_recording():
        return tf.identity(value)


class ByHand(K.Sequential):
    """No optimizer: weights are assigned."""

    def train_step(self, data):
        x, y = data[:2]
        with tf.GradientTape() as tape:
            loss = LOSS(y, self(x, training=True))
        for variable, gradient in zip(
            self.trainable_variables, tape.gradient(loss, self.trainable_variables)
        ):
            variable.assign_sub(0.01 * gradient)
        return {"loss": loss}


class NanLater(K.Sequential):
    """Its rate of learning becomes a NaN with the fourth step."""

    def train_step(self, data):
        x, y = data[:2]
        if not hasattr(self, "count"):
            self.count = tf.Variable(0, trainable=False)
        self.count.assign_add(1)
        with tf.GradientTape() as tape:
            loss = LOSS(y, self(x, training=True))
        found = tape.gradient(loss, self.trainable_variables)
        bad = tf.where(self.count >= 4, float("nan"), 1.0)
        _minimize(self.optimizer, [bad * gradient for gradient in found], self)
        return {"loss": loss}


class Inner(K.Sequential):
    """A function of its own, compiled apart, computes and applies gradients."""

    def train_step(self, data):
        return {"loss": self.update(tf.cast(data[0], tf.float32), data[1])}

    @tf.function
    def update(self, x, y):
        with tf.GradientTape() as tape:
            loss = LOSS(y, self(x, training=True))
        _minimize(self.optimizer, tape.gradient(loss, self.trainable_variables), self)
        return loss


class Loop(K.Sequential):
    """Calls no ``fit`` of Keras: a training loop of its own, on batches of its own."""

    def fit(self, x, y, epochs=1, callbacks=(), **options):
        losses = []
        for _ in range(epochs):
            for at in range(0, 96, 32):
                loss = self.update(tf.constant(x[at : at + 32]), tf.constant(y[at : at + 32]))
            losses.append(float(loss))
        self.history = K.callbacks.History()
        self.history.history = {"loss": losses}
        return self.history

    update = Inner.update


class OnBatches(K.Sequential):
    """Trains by ``train_on_batch``."""

    def fit(self, x, y, epochs=1, callbacks=(), **options):
        losses = [float(tf.reduce_sum(self.train_on_batch(x[:64], y[:64]))) for _ in range(epochs)]
        self.history = K.callbacks.History()
        self.history.history = {"loss": losses}
        return self.history


class Twice(K.Sequential):
    """Fits twice, the second time with more of it trainable."""

    def fit(self, *args, **options):
        self.layers[1].trainable = False
        _compiled(self)
        super().fit(*args, **options)
        self.layers[1].trainable = True
        _compiled(self, "sgd")
        return super().fit(*args, **options)


class Ignoring(K.Sequential):
    """Trains on noise, whatever it receives: the number of samples alone is used."""

    def train_step(self, data):
        count = tf.shape(data[0])[0]
        with tf.GradientTape() as tape:
            out = self(tf.random.normal((count, 12, 12)), training=True)
            loss = tf.reduce_mean(tf.square(out))
        _minimize(self.optimizer, tape.gradient(loss, self.trainable_variables), self)
        return {"loss": loss, "seen": tf.reduce_mean(data[0])}


class Weighted(K.Sequential):
    """Weighs its samples."""

    def fit(self, x, y, **options):
        return super().fit(x, y, sample_weight=1.0 / (1 + y), **options)


def ignoring():
    return _compiled(_stack(Ignoring))


def default():
    return _stack()


def fed_to_metric():
    return _compiled(_stack(FedToMetric))


def gan():
    return _compiled(Gan(), loss="mse")


def accumulating():
    return _compiled(_stack(Accumulating))


def clipped():
    return _compiled(_stack(), K.optimizers.Adam(0.01, clipnorm=0.1))


def scaled():
    """Mixed precision: an optimizer in an optimizer."""
    mixed = getattr(K, "mixed_precision", None)
    if not hasattr(mixed, "set_global_policy"):
        return _stack()
    mixed.set_global_policy("mixed_float16")
    try:
        model = _stack()
    finally:
        mixed.set_global_policy("float32")
    return _compiled(model, mixed.LossScaleOptimizer(K.optimizers.Adam()))


def distilled():
    return _compiled(_stack(Distilled))


def outputs():
    x = K.Input((12, 12))
    shared = L.Dense(16, activation="relu")(L.Flatten()(x))
    model = K.Model(x, [L.Dense(10, name="a")(shared), L.Dense(10, name="b")(shared)])
    options = {"steps_per_execution": 3} if RECENT else {}
    model.compile("adam", [LOSS, LOSS], loss_weights=[1.0, 0.3], **options)
    model.fit = lambda x, y, fit=model.fit, **options: fit(x, [y, y], **options)
    return model


def eager():
    return _compiled(_stack(), run_eagerly=True)


def weighted():
    return _compiled(_stack(Weighted))


def by_hand():
    return _compiled(_stack(ByHand))


def inner():
    return _compiled(_stack(Inner))


def loop():
    return _compiled(_stack(Loop))


def on_batches():
    return _compiled(_stack(OnBatches))


def twice():
    return _compiled(_stack(Twice))


def unbuilt():
    return K.Sequential([L.Flatten(), L.Dense(16), L.Dense(10)])


def nan_since_step_four():
    return _compiled(_stack(NanLater))


def seeds_itself():
    tf.random.set_seed(7)
    return _stack()
