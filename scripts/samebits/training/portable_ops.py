"""Products and convolutions whose bits depend on the CPU's caches, made of ones that don't.

Eigen and oneDNN cut a large product into blocks that fit the caches, whose sizes the CPU tells, and
round after each block. Found with TensorFlow 2.21 on a native and two emulated CPUs that have the
same instruction set (docs/same-bits.md), and replaced here:

- On more than one thread a product of two matrices. oneDNN gives a single product to all threads as
  it sees fit, and of a batch each thread an equal share: so it is cut into a batch of two halves,
  by rows or by what is summed.
- On more than one thread a batch of one product: filled up to two with zeros. A batch that shares
  one factor is a product of two matrices.
- On more than one thread an einsum of two tensors: written as such a product.
- On any number of threads a convolution of one sample, and in three dimensions the gradient of its
  filter: computed as of two, one of them zeros, for which oneDNN has another kernel than gemm:jit.

Gradients follow by themselves, because they are made of the same ops. Runs on Python 3.7 to 3.13,
TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import functools
import inspect
import operator
from typing import Any, Callable, Sequence

Function = Callable[..., Any]

_SAMPLES = ("input", "out_backprop")
_DOTS = "αβγδεζηθικλμνξοπ"  # no equation has these letters


# ---- products of two matrices -----------------------------------------------------------------


def matrix_product(tf: Any, original: Function) -> Function:
    """gen_math_ops.mat_mul in two halves."""

    @functools.wraps(original)
    def product(*given: Any, **named: Any) -> Any:
        values = _bound(original, given, named)
        a, b = tf.convert_to_tensor(values["a"]), tf.convert_to_tensor(values["b"])
        if not _is_usual(tf, a, b):
            return original(**values)
        with tf.name_scope(values.get("name") or "MatMul"):
            a = tf.transpose(a) if values.get("transpose_a") else a
            b = tf.transpose(b) if values.get("transpose_b") else b
            rows, summed = a.shape[0] or 0, a.shape[1] or b.shape[0] or 0
            return _halves_of_rows(tf, a, b) if rows >= summed else _halves_of_sums(tf, a, b)

    return product


def _halves_of_rows(tf: Any, a: Any, b: Any) -> Any:
    left = tf.reshape(_even(tf, a, 0), [2, -1, _size(tf, a, 1)])
    made = tf.reshape(tf.matmul(left, tf.stack([b, b])), [-1, _size(tf, b, 1)])
    made = _first(tf, made, _size(tf, a, 0))
    made.set_shape([a.shape[0], b.shape[1]])
    return made


def _halves_of_sums(tf: Any, a: Any, b: Any) -> Any:
    left = tf.reshape(_even(tf, a, 1), [-1, 2, (_size(tf, a, 1) + 1) // 2])
    right = tf.reshape(_even(tf, b, 0), [2, -1, _size(tf, b, 1)])
    # add_n has no gradient of its own, as + has for shapes that may have to be broadcast.
    made = tf.add_n(tf.unstack(tf.matmul(tf.transpose(left, [1, 0, 2]), right)))
    made.set_shape([a.shape[0], b.shape[1]])
    return made


def _even(tf: Any, matrix: Any, axis: int) -> Any:
    return _filled(tf, matrix, axis, _size(tf, matrix, axis) % 2)


# ---- batches of products ----------------------------------------------------------------------


def batch_of_products(tf: Any, original: Function) -> Function:
    """gen_math_ops.batch_mat_mul, of any version, of at least two products."""

    @functools.wraps(original)
    def products(*given: Any, **named: Any) -> Any:
        values = _bound(original, given, named)
        x, y = tf.convert_to_tensor(values["x"]), tf.convert_to_tensor(values["y"])
        known = x.shape.rank is not None and y.shape.rank is not None
        if not known or not _is_usual(tf, x, y) or _are_many(x, y):
            return original(**values)
        with tf.name_scope(values.get("name") or "BatchMatMul"):
            x = tf.linalg.matrix_transpose(x) if values.get("adj_x") else x
            y = tf.linalg.matrix_transpose(y) if values.get("adj_y") else y
            if _is_one(y):
                return _shared(tf, x, y)
            if _is_one(x):
                turned = tf.linalg.matrix_transpose
                return turned(_shared(tf, turned(y), turned(x)))
            plain = dict(values, adj_x=False, adj_y=False, name=None)
            return _flat(tf, x, y, lambda x, y: original(**dict(plain, x=x, y=y)))

    return products


def _are_many(x: Any, y: Any) -> bool:
    """Whether each has at least two matrices, and as many as the other, for sure."""
    batch = x.shape[:-2].as_list()
    return bool(batch == y.shape[:-2].as_list() and _product(n or 0 for n in batch) > 1)


def _is_one(tensor: Any) -> bool:
    return all(size == 1 for size in tensor.shape[:-2])


def _shared(tf: Any, x: Any, y: Any) -> Any:
    """Many matrices and one: all rows and one."""
    rows = tf.reshape(x, [-1, _size(tf, x, -1)])
    made = _halves_of_rows(tf, rows, tf.reshape(y, [_size(tf, y, -2), _size(tf, y, -1)]))
    ones = [1] * (y.shape.rank - x.shape.rank)
    return tf.reshape(made, [*ones, *_sizes(tf, x)[:-1], _size(tf, y, -1)])


def _flat(tf: Any, x: Any, y: Any, multiply: Function) -> Any:
    """In one dimension of matrices, at least two."""
    batch = tf.broadcast_dynamic_shape(tf.shape(x)[:-2], tf.shape(y)[:-2])
    count = tf.reduce_prod(batch)
    flat = []
    for each in (x, y):
        wide = tf.broadcast_to(each, tf.concat([batch, tf.shape(each)[-2:]], 0))
        wide = tf.reshape(wide, [-1, _size(tf, each, -2), _size(tf, each, -1)])
        flat.append(_filled(tf, wide, 0, tf.maximum(0, 2 - count)))
    made = _first(tf, multiply(*flat), count)
    made = tf.reshape(made, tf.concat([batch, tf.shape(made)[1:]], 0))
    common = tf.broadcast_static_shape(x.shape[:-2], y.shape[:-2])
    made.set_shape([*common, x.shape[-2], y.shape[-1]])
    return made


# ---- einsum -----------------------------------------------------------------------------------


def sum_of_products(tf: Any, original: Function) -> Function:
    """gen_linalg_ops.einsum of two tensors as one product.

    Left as it is where a letter stands twice in one term, or dots for an unknown number of them.
    """

    @functools.wraps(original)
    def einsum(*given: Any, **named: Any) -> Any:
        values = _bound(original, given, named)
        tensors = [tf.convert_to_tensor(each) for each in values["inputs"]]
        terms = _terms(values["equation"], [each.shape.rank for each in tensors])
        twice = any(len(set(term)) < len(term) for term in terms)
        if len(tensors) != 2 or twice or not _is_usual(tf, *tensors):
            return original(**values)
        with tf.name_scope(values.get("name") or "Einsum"):
            return _as_product(tf, tensors, *terms)

    return einsum


def _terms(equation: str, ranks: Sequence[int | None]) -> list[str]:
    """The letters of each tensor and of the result; dots are letters, too, the last ones shared."""
    left, _, result = equation.replace(" ", "").partition("->")
    terms, most = left.split(","), 0
    for at, (term, rank) in enumerate(zip(terms, ranks)):
        if "..." in term and rank is not None:
            dots = rank - len(term) + 3
            terms[at], most = term.replace("...", _last_dots(dots)), max(most, dots)
    return [*terms, result.replace("...", _last_dots(most))]


def _last_dots(count: int) -> str:
    return _DOTS[len(_DOTS) - count :]


def _as_product(tf: Any, tensors: Sequence[Any], left: str, right: str, result: str) -> Any:
    batch = [letter for letter in result if letter in left and letter in right]
    summed = [letter for letter in left if letter in right and letter not in result]
    x, rows, sizes_x = _ordered(tf, tensors[0], left, batch, summed, result)
    y, columns, sizes_y = _ordered(tf, tensors[1], right, batch, summed, result)
    made = tf.matmul(x, tf.linalg.matrix_transpose(y))
    made = tf.reshape(made, [*_sizes(tf, made)[: len(batch)], *sizes_x, *sizes_y])
    order = [*batch, *rows, *columns]
    return tf.transpose(made, [order.index(letter) for letter in result])


def _ordered(
    tf: Any, tensor: Any, term: str, batch: list[str], summed: list[str], result: str
) -> tuple[Any, list[str], list[Any]]:
    """Matrices whose rows are the term's own letters, and columns the summed ones; the former."""
    alone = [at for at, letter in enumerate(term) if letter not in [*summed, *result]]
    kept = [letter for letter in term if letter in summed or letter in result]
    tensor = tf.reduce_sum(tensor, alone) if alone else tensor
    own = [letter for letter in kept if letter not in [*batch, *summed]]
    turned = tf.transpose(tensor, [kept.index(letter) for letter in [*batch, *own, *summed]])
    sizes = _sizes(tf, turned)
    rows = sizes[len(batch) : len(batch) + len(own)]
    folded = [*sizes[: len(batch)], _product(rows), _product(sizes[len(batch) + len(own) :])]
    return tf.reshape(turned, folded), own, rows


# ---- convolutions -----------------------------------------------------------------------------


def of_two_samples(tf: Any, original: Function) -> Function:
    """gen_nn_ops.conv2d or conv3d, or its filter's gradient, of at least two samples."""

    @functools.wraps(original)
    def convolution(*given: Any, **named: Any) -> Any:
        values = _bound(original, given, named)
        samples = {n: tf.convert_to_tensor(values[n]) for n in _SAMPLES if n in values}
        count = _size(tf, samples["input"], 0)
        if isinstance(count, int) and count != 1:
            return original(**values)
        missing = 1 if isinstance(count, int) else tf.maximum(0, 2 - count)
        two = {name: _filled(tf, tensor, 0, missing) for name, tensor in samples.items()}
        made = original(**{**values, **two})
        if len(samples) > 1:  # a filter's gradient, to which the zeros add nothing
            return made
        made = _first(tf, made, count)
        made.set_shape([samples["input"].shape[0], *made.shape[1:]])
        return made

    return convolution


# ---- shapes -----------------------------------------------------------------------------------


def _bound(original: Function, given: Sequence[Any], named: dict[str, Any]) -> dict[str, Any]:
    return dict(inspect.signature(original).bind(*given, **named).arguments)


def _is_usual(tf: Any, *tensors: Any) -> bool:
    """Whether oneDNN computes with them; float64 is Eigen's, for which no way was found."""
    return all(each.dtype == tf.float32 for each in tensors)


def _size(tf: Any, tensor: Any, axis: int) -> Any:
    """A number where it is known while the graph is traced, else a tensor."""
    known = tensor.shape[axis]
    return tf.shape(tensor)[axis] if known is None else known


def _sizes(tf: Any, tensor: Any) -> list[Any]:
    return [_size(tf, tensor, axis) for axis in range(tensor.shape.rank)]


def _product(sizes: Any) -> Any:
    return functools.reduce(operator.mul, sizes, 1)


def _filled(tf: Any, tensor: Any, axis: int, missing: Any) -> Any:
    """With so many zeros behind; TensorFlow copies nothing where none is missing."""
    if isinstance(missing, int) and not missing:
        return tensor
    return tf.pad(tensor, [[0, missing if at == axis else 0] for at in range(tensor.shape.rank)])


def _first(tf: Any, tensor: Any, count: Any) -> Any:
    """Of the first dimension; TensorFlow copies nothing."""
    return tf.slice(tensor, [0] * tensor.shape.rank, [count] + [-1] * (tensor.shape.rank - 1))
