# Overfit and underfit: several sizes of one model, their callbacks, and two remedies.
import tensorflow as tf
from tensorflow.keras import layers, regularizers
import numpy as np

N_VALIDATION = 128
N_TRAIN = 512
BATCH_SIZE = 64
STEPS_PER_EPOCH = N_TRAIN // BATCH_SIZE
FEATURES = 28

generator = np.random.RandomState(42)
features = generator.normal(size=(N_TRAIN + N_VALIDATION, FEATURES)).astype("float32")
labels = (features[:, 0] * features[:, 1] + features[:, 2] > 0).astype("float32").reshape(-1, 1)
packed = tf.data.Dataset.from_tensor_slices((features, labels))
validate_ds = packed.take(N_VALIDATION).cache().batch(BATCH_SIZE)
train_ds = packed.skip(N_VALIDATION).take(N_TRAIN).cache()
train_ds = train_ds.shuffle(1000).repeat().batch(BATCH_SIZE)

lr_schedule = tf.keras.optimizers.schedules.InverseTimeDecay(
    0.001, decay_steps=STEPS_PER_EPOCH * 1000, decay_rate=1, staircase=False)


class EpochDots(tf.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print("." if epoch % 100 else "\nEpoch: {:d}, {}".format(epoch, sorted(logs)), end="")


def get_callbacks():
    return [
        EpochDots(),
        tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=2),
    ]


def compile_and_fit(model, max_epochs=4):
    model.compile(optimizer=tf.keras.optimizers.Adam(lr_schedule),
                  loss=tf.keras.losses.BinaryCrossentropy(from_logits=True),
                  metrics=[tf.keras.metrics.BinaryCrossentropy(from_logits=True, name="binary_crossentropy"),
                           "accuracy"])
    model.summary()
    return model.fit(train_ds, steps_per_epoch=STEPS_PER_EPOCH, epochs=max_epochs,
                     validation_data=validate_ds, callbacks=get_callbacks(), verbose=0)


size_histories = {}
tiny_model = tf.keras.Sequential([
    layers.Dense(16, activation="elu", input_shape=(FEATURES,)),
    layers.Dense(1),
])
size_histories["Tiny"] = compile_and_fit(tiny_model)

large_model = tf.keras.Sequential([
    layers.Dense(64, activation="elu", input_shape=(FEATURES,)),
    layers.Dense(64, activation="elu"),
    layers.Dense(1),
])
size_histories["Large"] = compile_and_fit(large_model)

combined_model = tf.keras.Sequential([
    layers.Dense(64, kernel_regularizer=regularizers.l2(0.0001), activation="elu", input_shape=(FEATURES,)),
    layers.Dropout(0.5),
    layers.Dense(64, kernel_regularizer=regularizers.l2(0.0001), activation="elu"),
    layers.Dropout(0.5),
    layers.Dense(1),
])
size_histories["combined"] = compile_and_fit(combined_model)

for name, history in size_histories.items():
    print(name, history.history["val_binary_crossentropy"][-1])
