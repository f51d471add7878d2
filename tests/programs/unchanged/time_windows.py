# Time series forecasting: several models on windows of the same series.
import numpy as np
import tensorflow as tf

table = np.genfromtxt("weather.csv", delimiter=",", skip_header=1, usecols=(1, 2, 3))
day = 24
timestamps = np.arange(len(table))
table = np.column_stack([
    table, np.sin(timestamps * 2 * np.pi / day), np.cos(timestamps * 2 * np.pi / day)
]).astype(np.float32)

n = len(table)
train_df, val_df, test_df = table[: int(n * 0.7)], table[int(n * 0.7) : int(n * 0.9)], table[int(n * 0.9) :]
mean, std = train_df.mean(axis=0), train_df.std(axis=0)
train_df, val_df, test_df = [(part - mean) / std for part in (train_df, val_df, test_df)]


class WindowGenerator:
    def __init__(self, input_width, shift):
        self.input_width = input_width
        self.total_window_size = input_width + shift

    def split_window(self, features):
        inputs = features[:, : self.input_width, :]
        labels = features[:, self.input_width :, 1:2]
        inputs.set_shape([None, self.input_width, None])
        return inputs, labels

    def make_dataset(self, data):
        ds = tf.keras.utils.timeseries_dataset_from_array(
            data=data, targets=None, sequence_length=self.total_window_size,
            sequence_stride=1, shuffle=True, batch_size=32)
        return ds.map(self.split_window)

    @property
    def train(self):
        return self.make_dataset(train_df)

    @property
    def val(self):
        return self.make_dataset(val_df)

    @property
    def test(self):
        return self.make_dataset(test_df)


MAX_EPOCHS = 2
window = WindowGenerator(input_width=6, shift=1)


def compile_and_fit(model, window, patience=2):
    early_stopping = tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, mode="min")
    model.compile(loss=tf.keras.losses.MeanSquaredError(), optimizer=tf.keras.optimizers.Adam(),
                  metrics=[tf.keras.metrics.MeanAbsoluteError()])
    return model.fit(window.train, epochs=MAX_EPOCHS, validation_data=window.val,
                     callbacks=[early_stopping])


models = {
    "linear": tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(1),
                                   tf.keras.layers.Reshape([1, 1])]),
    "conv": tf.keras.Sequential([tf.keras.layers.Conv1D(8, kernel_size=6, activation="relu"),
                                 tf.keras.layers.Dense(1)]),
    "gru": tf.keras.Sequential([tf.keras.layers.GRU(8), tf.keras.layers.Dense(1),
                                tf.keras.layers.Reshape([1, 1])]),
}
val_performance, performance = {}, {}
for name, model in models.items():
    compile_and_fit(model, window)
    val_performance[name] = model.evaluate(window.val)
    performance[name] = model.evaluate(window.test, verbose=0)
for name, value in performance.items():
    print(f"{name:12s}: {value[1]:0.4f}")
