"""The ops on images, those that only move numbers, and random numbers.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from typing import Any, Iterator

from atlas.ops import Operation, rows


def images(tf: Any) -> Iterator[Operation]:
    """What augments and resizes images."""
    image, v1 = tf.image, tf.compat.v1.image
    turned = [0.9, -0.1, 1.0, 0.1, 0.9, -1.0, 0.0, 0.0]
    boxes = [[0.1, 0.1, 0.8, 0.9], [0.0, 0.2, 0.7, 1.0]]
    table = {
        "resize_bilinear": lambda x: image.resize(x, [13, 11]),
        "resize_nearest": lambda x: image.resize(x, [13, 11], method="nearest"),
        "resize_bicubic": lambda x: v1.resize_bicubic(x, [13, 11]),
        "resize_area": lambda x: v1.resize_area(x, [5, 3]),
        "crop_and_resize": lambda x: image.crop_and_resize(x, boxes, [0, 1], [7, 7]),
        "projective_transform": lambda x: tf.raw_ops.ImageProjectiveTransformV3(
            images=x, transforms=[turned], output_shape=[9, 9], fill_value=0.0,
            interpolation="BILINEAR", fill_mode="REFLECT",
        ),
        "rgb_to_hsv": lambda x: image.rgb_to_hsv(x),
        "rgb_to_grayscale": lambda x: image.rgb_to_grayscale(x),
        "adjust_contrast": lambda x: image.adjust_contrast(x, 1.3),
        "adjust_saturation": lambda x: image.adjust_saturation(x, 1.3),
        "adjust_hue": lambda x: image.adjust_hue(x, 0.1),
        "per_image_standardization": lambda x: image.per_image_standardization(x),
        "flip_left_right": lambda x: image.flip_left_right(x),
        "extract_patches": lambda x: image.extract_patches(
            x, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME"
        ),
    }  # fmt: skip
    lines = {name: ("probability", make) for name, make in table.items()}
    yield from rows("images", lines, [[(2, 9, 9, 3)]], ("float32",))


def arrangements(tf: Any) -> Iterator[Operation]:
    """Nothing is computed, but gradients are added up."""
    indices = [0, 7, 3, 3, 2, 7, 1]
    column = [[i] for i in indices]
    table = {
        "gather": lambda x: tf.gather(x, indices),
        "gather_nd": lambda x: tf.gather_nd(x, [[i, 2 * i] for i in indices]),
        "scatter_nd": lambda x: tf.scatter_nd(column, x[:7], [9, x.shape[1]]),
        "tensor_scatter_add": lambda x: tf.tensor_scatter_nd_add(x, column, x[8:15]),
        "concat": lambda x: tf.concat([x, x], 1),
        "stack": lambda x: tf.stack([x, x], 1),
        "split": lambda x: tf.split(x, [5, x.shape[0] - 5])[1],
        "pad": lambda x: tf.pad(x, [[1, 2], [0, 3]]),
        "mirror_pad": lambda x: tf.pad(x, [[1, 2], [0, 3]], "REFLECT"),
        "transpose": tf.transpose,
        "reverse": lambda x: tf.reverse(x, [1]),
        "roll": lambda x: tf.roll(x, 3, 0),
        "tile": lambda x: tf.tile(x, [2, 3]),
        "repeat": lambda x: tf.repeat(x, 2, axis=0),
        "strided_slice": lambda x: x[1:-1:2, ::3],
        "top_k": lambda x: tf.math.top_k(x, 5)[0],
        "sort": lambda x: tf.sort(x, -1),
        "broadcast_to": lambda x: tf.broadcast_to(x, [3, *x.shape]),
        "space_to_depth": lambda x: tf.nn.space_to_depth(x[None, :16, :16, None], 2),
        "depth_to_space": lambda x: tf.nn.depth_to_space(x[None, None, :, :16], 2),
        "embedding_lookup": lambda x: tf.nn.embedding_lookup(x, indices),
    }
    lines = {name: ("real", make) for name, make in table.items()}
    yield from rows("arrangements", lines, [[(33, 17)]])


def random(tf: Any) -> Iterator[Operation]:
    """Random numbers follow from seed and counter; the bits of normal ones go through log, cos.

    The seed comes from the input: numbers of a constant seed would be computed once, when the graph
    is rewritten, and be constants in every probe.
    """
    random, shape = tf.random, [33, 17]
    uniform, normal = random.stateless_uniform, random.stateless_normal
    truncated, gamma = random.stateless_truncated_normal, random.stateless_gamma
    table = {
        "stateless_uniform": lambda x: x + uniform(shape, _seed(tf, x), dtype=x.dtype),
        "stateless_normal": lambda x: x + normal(shape, _seed(tf, x), dtype=x.dtype),
        "stateless_truncated_normal": lambda x: x + truncated(shape, _seed(tf, x), dtype=x.dtype),
        "dropout": lambda x: _dropout(tf, x, _seed(tf, x)),
    }
    lines = {name: ("real", make) for name, make in table.items()}
    yield from rows("random", lines, [[(33, 17)]])
    of_input = {"stateless_gamma": ("above_one", lambda a: gamma(shape, _seed(tf, a), a))}
    yield from rows("random", of_input, [[(17,)]], ("float32",))


def _seed(tf: Any, x: Any) -> Any:
    """Two integers of an input; no gradient goes through them."""
    return tf.cast(1000 * tf.reshape(x, [-1])[:2], tf.int32)


def _dropout(tf: Any, x: Any, seed: Any) -> Any:
    """As later versions of TensorFlow do it; the earlier ones have no stateless one."""
    if hasattr(tf.nn.experimental, "stateless_dropout"):
        return tf.nn.experimental.stateless_dropout(x, 0.3, seed)
    kept = tf.random.stateless_uniform([33, 17], seed) < 0.7
    return tf.where(kept, x / 0.7, tf.zeros_like(x))
