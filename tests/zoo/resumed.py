"""Models that are hard to resume."""

import tensorflow as tf


class Noise(tf.keras.layers.Layer):
    def call(self, x, training=None):
        return x + tf.random.normal(tf.shape(x), stddev=0.1)


def scheduled():
    """Its own schedule, built late, random numbers in the graph."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Flatten(),
            Noise(),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2, seed=4),
            layers.Dense(10),
        ]
    )
    rate = tf.keras.optimizers.schedules.ExponentialDecay(0.01, 7, 0.9)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model


class Stopping(tf.keras.Sequential):
    """Gives callbacks of its own to fit."""

    def fit(self, *args, callbacks=(), **options):
        stop = tf.keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e9, patience=1)
        return super().fit(*args, callbacks=[*callbacks, stop], **options)


class Content(tf.keras.Sequential):
    """Wants no further epoch once it has seen enough batches."""

    def train_step(self, data):
        logs = super().train_step(data)
        self.stop_training = int(self.optimizer.iterations) >= 20  # 10 are an epoch
        return logs


def stopping():
    return Stopping(_linear())


def content():
    return _eager(Content(_linear()))


def _eager(model):
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"], run_eagerly=True)
    return model


def _linear():
    return [tf.keras.layers.Flatten(input_shape=(28, 28)), tf.keras.layers.Dense(10)]


class TwoOptimizers(tf.keras.Model):
    """As a GAN has them: its train_step uses one that compile() does not know."""

    def __init__(self):
        super().__init__()
        self.flat = tf.keras.layers.Flatten()
        self.inner, self.outer = tf.keras.layers.Dense(16), tf.keras.layers.Dense(10)
        self.optimizers = {"outer": tf.keras.optimizers.SGD(0.01, momentum=0.9)}
        self.seen = [tf.Variable(0.0, trainable=False)]  # of batches

    def call(self, x):
        return self.outer(self.inner(self.flat(x)))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            logits = self(x, training=True)
            losses = tf.keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
            loss = tf.reduce_mean(losses) / (1.0 + self.seen[0] / 64.0)
        inner, outer = self.inner.trainable_weights, self.outer.trainable_weights
        found = tape.gradient(loss, [*inner, *outer])
        self.optimizer.apply_gradients([(found[0], inner[0]), (found[1], inner[1])])
        self.optimizers["outer"].apply_gradients([(found[2], outer[0]), (found[3], outer[1])])
        self.seen[0].assign_add(1.0)
        return {"loss": loss}


def two_optimizers():
    model = TwoOptimizers()
    model(tf.zeros((1, 28, 28)))
    model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Counting(tf.keras.Sequential):
    """Its steps grow shorter with a number in Python, which no checkpoint has."""

    steps = 0

    def train_step(self, data):
        self.steps += 1
        self.optimizer.learning_rate = 0.01 / self.steps
        return super().train_step(data)


class Falling(tf.keras.Sequential):
    """Its learning rate falls once, at a step that Python counts."""

    steps = 0

    def train_step(self, data):
        self.steps += 1
        if self.steps == 5:
            self.optimizer.learning_rate = 0.001
        return super().train_step(data)


def falling():
    return _eager(Falling(_linear()))


WARM = []


class Warming(tf.keras.Sequential):
    """Its first steps are short; which these are tells a list in its module alone."""

    def train_step(self, data):
        self.optimizer.learning_rate = 0.01 if len(WARM) > 3 else 0.001
        WARM.append(None)
        return super().train_step(data)


def warming():
    return _eager(Warming(_linear()))


def stateful_rnn():
    """Each epoch begins in the state in which the one before it ended."""
    layers = tf.keras.layers
    recurrent = layers.LSTM(8, stateful=True)
    return tf.keras.Sequential(
        [layers.Input(batch_shape=(32, 28, 28)), recurrent, layers.Dense(10)]
    )


def counting():
    return _eager(Counting(_linear()))
