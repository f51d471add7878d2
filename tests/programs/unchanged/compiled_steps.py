"""A faster fit: several batches in each call, and the step compiled by XLA."""
import keras
import numpy as np
import tensorflow as tf

x = np.random.normal(size=(1024, 20)).astype("float32")
w = np.random.normal(size=(20, 1)).astype("float32")
y = x @ w + 0.1 * np.random.normal(size=(1024, 1)).astype("float32")


def get_compiled_model(**options):
    model = keras.Sequential(
        [
            keras.Input(shape=(20,)),
            keras.layers.Dense(64, activation="gelu"),
            keras.layers.Dense(64, activation="gelu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.AdamW(3e-3), loss="mse", **options)
    return model


dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1024).batch(32, drop_remainder=True)

print("several steps in each execution")
model = get_compiled_model(steps_per_execution=8)
model.fit(dataset, epochs=2, verbose=2)

print("compiled")
model = get_compiled_model(jit_compile=True)
model.fit(dataset, epochs=2, verbose=2)
print(model.evaluate(x, y, batch_size=128, verbose=0))

print("both, with averaged weights and accumulated gradients")
model = get_compiled_model()
optimizer = keras.optimizers.SGD(
    0.01, momentum=0.9, use_ema=True, ema_momentum=0.9, gradient_accumulation_steps=2
)
model.compile(optimizer=optimizer, loss="mse", steps_per_execution=4)
model.fit(dataset, epochs=2, verbose=2)
print(model.evaluate(x, y, batch_size=128, verbose=0))
