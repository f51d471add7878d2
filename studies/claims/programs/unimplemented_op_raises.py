"""Under op determinism, an op without a deterministic version raises UnimplementedError."""

import tensorflow as tf

# Ops that TensorFlow's documentation, release notes or RFC on determinism name as having had no
# deterministic version on some device, and timestamp, which its CPU builds refuse.
ones, zeros, raw = tf.ones, tf.zeros, tf.raw_ops
ONE, BOX, PLACE = ones((1, 2, 2, 1)), ones((1, 4)), zeros((1, 2), tf.int64)
OPS = {
    "timestamp": lambda: tf.timestamp(),
    "adjust_contrast": lambda: tf.image.adjust_contrast(ones((1, 8, 8, 3)), 2.0),
    "unsorted_segment_sum": lambda: tf.math.unsorted_segment_sum(ones(8), zeros(8, tf.int32), 2),
    "scatter_nd": lambda: tf.scatter_nd(zeros((8, 1), tf.int32), ones(8), (2,)),
    "crop_and_resize": lambda: raw.CropAndResizeGradImage(
        grads=ONE, boxes=BOX, box_ind=[0], image_size=[1, 4, 4, 1], T=tf.float32
    ),
    "sparse_dense_matmul": lambda: raw.SparseTensorDenseMatMul(
        a_indices=PLACE, a_values=ones(1), a_shape=[2, 2], b=ones((2, 2))
    ),
    "resize_nearest": lambda: raw.ResizeNearestNeighborGrad(grads=ONE, size=[4, 4]),
    "bincount": lambda: tf.math.bincount(zeros(8, tf.int32), weights=ones(8)),
}

tf.config.experimental.enable_op_determinism()
for name, compute in OPS.items():
    try:
        compute()
    except Exception as error:
        print(f"{name}:", type(error).__name__)
    else:
        print(f"{name}:", "computed")
