"""
Title: Image classification from scratch
Description: Training an image classifier from scratch on a folder of pictures.
"""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

image_size = (24, 24)
batch_size = 16

train_ds = tf.keras.utils.image_dataset_from_directory(
    "photos",
    validation_split=0.2,
    subset="training",
    seed=1337,
    image_size=image_size,
    batch_size=batch_size,
)
val_ds = tf.keras.utils.image_dataset_from_directory(
    "photos",
    validation_split=0.2,
    subset="validation",
    seed=1337,
    image_size=image_size,
    batch_size=batch_size,
)
class_names = train_ds.class_names
print(class_names)

data_augmentation = keras.Sequential(
    [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
    ]
)

AUTOTUNE = tf.data.AUTOTUNE
# Apply `data_augmentation` to the training images.
train_ds = train_ds.cache().shuffle(1000)
train_ds = train_ds.map(
    lambda img, label: (data_augmentation(img, training=True), label),
    num_parallel_calls=AUTOTUNE,
)
# Prefetching samples helps to hide latency.
train_ds = train_ds.prefetch(buffer_size=AUTOTUNE)
val_ds = val_ds.cache().prefetch(buffer_size=AUTOTUNE)

model = keras.Sequential(
    [
        keras.Input(shape=image_size + (3,)),
        layers.Rescaling(1.0 / 255),
        layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.2),
        layers.Flatten(),
        layers.Dense(16, activation="relu"),
        layers.Dense(len(class_names)),
    ]
)
model.compile(
    optimizer="adam",
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_ds, validation_data=val_ds, epochs=3)
model.save_weights("classifier.weights.h5")

raw = tf.io.decode_png(tf.io.read_file("photos/round/000.png"))
predictions = model.predict(tf.expand_dims(tf.cast(raw, tf.float32), 0))
score = tf.nn.softmax(predictions[0])
print("This image most likely belongs to", class_names[int(tf.argmax(score))])
