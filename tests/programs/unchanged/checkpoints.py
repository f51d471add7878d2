# Save and restore models: checkpoints during training, a log, and the best weights at the end.
import os

import numpy as np
from tensorflow import keras

with np.load("digits.npz") as digits:
    images, labels = digits["images"].reshape(-1, 8 * 8) / 16.0, digits["labels"]
train_images, test_images = images[:640], images[640:]
train_labels, test_labels = labels[:640], labels[640:]


# Define a simple sequential model
def create_model():
    model = keras.Sequential([
        keras.layers.Dense(48, activation="relu", input_shape=(64,)),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10),
    ])
    model.compile(optimizer="adam",
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    return model


checkpoint_path = "training_2/cp-{epoch:04d}.weights.h5"
checkpoint_dir = os.path.dirname(checkpoint_path)
os.makedirs(checkpoint_dir)

callbacks = [
    keras.callbacks.ModelCheckpoint(checkpoint_path, save_weights_only=True, verbose=1),
    keras.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True, save_best_only=True),
    keras.callbacks.CSVLogger("training.log"),
    keras.callbacks.EarlyStopping(patience=1, min_delta=0.02, restore_best_weights=True),
    keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("epoch", epoch, logs)),
]

model = create_model()
# Save the weights using the `checkpoint_path` format
model.save_weights(checkpoint_path.format(epoch=0))
model.fit(train_images, train_labels, epochs=6, batch_size=64, callbacks=callbacks,
          validation_data=(test_images, test_labels), verbose=0)
print(sorted(os.listdir(checkpoint_dir)))

# Create a new model instance, and load the best weights
model = create_model()
loss, acc = model.evaluate(test_images, test_labels, verbose=2)
print("Untrained model, accuracy: {:5.2f}%".format(100 * acc))
model.load_weights("best.weights.h5")
loss, acc = model.evaluate(test_images, test_labels, verbose=2)
print("Restored model, accuracy: {:5.2f}%".format(100 * acc))
