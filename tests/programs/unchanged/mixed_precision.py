"""Mixed precision: the dtype policy, and a training loop with loss scaling."""
import numpy as np
from tensorflow import keras
from tensorflow.keras import layers, mixed_precision

mixed_precision.set_global_policy("mixed_float16")

policy = mixed_precision.global_policy()
print("Compute dtype: %s" % policy.compute_dtype)
print("Variable dtype: %s" % policy.variable_dtype)

inputs = keras.Input(shape=(784,), name="digits")
num_units = 32
dense1 = layers.Dense(num_units, activation="relu", name="dense_1")
x = dense1(inputs)
dense2 = layers.Dense(num_units, activation="relu", name="dense_2")
x = dense2(x)
print(dense1.dtype_policy if hasattr(dense1, "dtype_policy") else dense1.dtype)
print("x.dtype: %s" % x.dtype)

# CORRECT: softmax and model output are float32
x = layers.Dense(10, name="dense_logits")(x)
outputs = layers.Activation("softmax", dtype="float32", name="predictions")(x)
print("Outputs dtype: %s" % outputs.dtype)

model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(
    loss="sparse_categorical_crossentropy",
    optimizer=keras.optimizers.RMSprop(),
    metrics=["accuracy"],
)

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train[:2048].reshape(-1, 784).astype("float32") / 255
x_test = x_test[:512].reshape(-1, 784).astype("float32") / 255
y_train, y_test = y_train[:2048], y_test[:512]

initial_weights = model.get_weights()

history = model.fit(x_train, y_train, batch_size=256, epochs=3, validation_split=0.2)
test_scores = model.evaluate(x_test, y_test, verbose=2)
print("Test loss:", test_scores[0])
print("Test accuracy:", test_scores[1])

# Once more, from the same weights, with a larger batch
model.set_weights(initial_weights)
history = model.fit(x_train, y_train, batch_size=512, epochs=2)
half = model.predict(x_test.astype(np.float16), verbose=0)
print(half.dtype, half[:2].argmax(axis=1))
