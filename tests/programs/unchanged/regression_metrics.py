"""House prices: a regression with metrics of its own."""
import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import Dense, Dropout
from tensorflow.keras.models import Sequential


def root_mean_squared_error(y_true, y_pred):
    return tf.sqrt(tf.reduce_mean(tf.square(y_pred - y_true)))


def r_squared(y_true, y_pred):
    residual = tf.reduce_sum(tf.square(y_true - y_pred))
    total = tf.reduce_sum(tf.square(y_true - tf.reduce_mean(y_true)))
    return 1.0 - residual / (total + 1e-7)


class WithinTen(tf.keras.metrics.Metric):
    """Share of the predictions that are at most ten percent off."""

    def __init__(self, name="within_ten", **kwargs):
        super(WithinTen, self).__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = tf.cast(y_true, tf.float32)
        near = tf.abs(y_true - y_pred) <= 0.1 * tf.abs(y_true)
        self.hits.assign_add(tf.reduce_sum(tf.cast(near, tf.float32)))
        self.seen.assign_add(tf.cast(tf.size(near), tf.float32))

    def result(self):
        return self.hits / self.seen


with np.load("housing.npz") as f:
    x, y = f["x"].astype("float32"), f["y"].astype("float32").reshape(-1, 1)
order = np.random.permutation(len(x))
x, y = x[order], y[order]
split = int(0.8 * len(x))
mean, std = x[:split].mean(axis=0), x[:split].std(axis=0)
x = (x - mean) / std

model = Sequential()
model.add(Dense(32, input_dim=13, activation="relu", kernel_initializer="normal"))
model.add(Dropout(0.1))
model.add(Dense(16, activation="relu"))
model.add(Dense(1))
model.compile(
    loss="mean_squared_error",
    optimizer=tf.keras.optimizers.SGD(0.001, momentum=0.9),
    metrics=["mae", root_mean_squared_error, r_squared, WithinTen()],
)
model.fit(x[:split], y[:split], validation_data=(x[split:], y[split:]), epochs=5, batch_size=20, verbose=2)

predicted = model.predict(x[split:]).flatten()
for got, expected in list(zip(predicted, y[split:, 0]))[:5]:
    print("predicted %.2f, true %.2f" % (got, expected))
