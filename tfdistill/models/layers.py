"""Building blocks on plain TensorFlow operations.

Tokens are kept flat, `[B * L, D]`, so that every product is one large matrix
product; only attention looks at sequences.
"""

import zlib
from collections.abc import Callable

import keras
import tensorflow as tf

Initializer = Callable[..., tf.Tensor]

_ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "relu": tf.nn.relu,
    "tanh": tf.nn.tanh,
    "linear": tf.identity,
}


def activate(x: tf.Tensor, activation: str) -> tf.Tensor:
    """Apply an activation by the name it has in `BertConfig`."""
    return _ACTIVATIONS[activation](x)


def truncated_normal(stddev: float, seed: int, name: str) -> Initializer:
    """Returns an initializer that depends on `seed` and `name` alone.

    Unlike a stateful generator it draws the same weights in whatever order
    and on however many devices the variables are made.
    """

    def draw(shape: tuple[int, ...], dtype: str = "float32") -> tf.Tensor:
        return tf.random.stateless_truncated_normal(
            shape, seed=_seed_of(seed, name), stddev=stddev, dtype=dtype
        )

    return draw


def uniform(limit: float, seed: int, name: str) -> Initializer:
    """As `truncated_normal`, from the uniform distribution on ±limit."""

    def draw(shape: tuple[int, ...], dtype: str = "float32") -> tf.Tensor:
        return tf.random.stateless_uniform(
            shape,
            seed=_seed_of(seed, name),
            minval=-limit,
            maxval=limit,
            dtype=dtype,
        )

    return draw


def _seed_of(seed: int, name: str) -> list[int]:
    return [seed, zlib.crc32(name.encode()) & 0x7FFFFFFF]


# Inference in another way: input, bias, activation, columns of the kernel.
Product = Callable[[tf.Tensor, tf.Tensor, str, slice], tf.Tensor]
_ALL = slice(None)


class Linear(keras.layers.Layer):
    """`x @ kernel + bias` on the last axis of a matrix.

    Attributes:
        product: Takes the place of the product, its bias and its activation
            where it is set.
    """

    product: Product | None = None

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        initializer: Initializer,
        name: str,
        bias_initializer: Initializer | str = "zeros",
    ) -> None:
        """Make a kernel `[input_dim, output_dim]` and a bias."""
        super().__init__(name=name)
        self.kernel = self.add_weight(
            shape=(input_dim, output_dim),
            initializer=initializer,
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(output_dim,), initializer=bias_initializer, name="bias"
        )
        self.built = True

    def call(
        self,
        x: tf.Tensor,
        activation: str = "linear",
        bias: tf.Tensor | None = None,
        columns: slice = _ALL,
    ) -> tf.Tensor:
        """Map a matrix `[N, input_dim]` to `[N, output_dim]`.

        Args:
            x: The matrix.
            activation: Applied to what comes out.
            bias: Taken for the layer's own, `[output_dim]`.
            columns: Of the outputs, those to compute.
        """
        bias = self.bias.value if bias is None else bias
        if columns != _ALL:
            bias = bias[columns]
        if self.product is not None:
            return self.product(x, bias, activation, columns)
        kernel = self.kernel.value
        if columns != _ALL:
            kernel = kernel[:, columns]
        return activate(tf.nn.bias_add(tf.matmul(x, kernel), bias), activation)


class LayerNorm(keras.layers.Layer):
    """Layer normalisation over the last axis."""

    def __init__(self, dim: int, epsilon: float, name: str) -> None:
        """Make a scale of ones and an offset of zeros, `[dim]` each."""
        super().__init__(name=name)
        self.epsilon = epsilon
        self.gamma = self.add_weight(
            shape=(dim,), initializer="ones", name="gamma"
        )
        self.beta = self.add_weight(
            shape=(dim,), initializer="zeros", name="beta"
        )
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Normalise `[…, dim]`."""
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(
            x,
            mean,
            variance,
            self.beta.value,
            self.gamma.value,
            self.epsilon,
        )


class Embedding(keras.layers.Layer):
    """A table of vectors."""

    def __init__(
        self,
        rows: int,
        dim: int,
        initializer: Initializer,
        name: str,
        trainable: bool = True,
    ) -> None:
        """Make a table `[rows, dim]`."""
        super().__init__(name=name)
        self.table = self.add_weight(
            shape=(rows, dim),
            initializer=initializer,
            name="table",
            trainable=trainable,
        )
        self.built = True

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Look up `[…]` ids, giving `[…, dim]`."""
        return tf.gather(self.table.value, ids)


def bias_without_keys_gradient(bias: tf.Tensor) -> tf.Tensor:
    """Returns biases `[3 D]` of queries, keys and values to learn from.

    A key's bias adds the same to all scores of a query, which softmax takes
    out again, so unless keys or scores are read its gradient is 0. It is cut
    off, as Adam would blow up the rounding noise left of it.
    """
    q, k, v = tf.split(bias, 3)
    return tf.concat([q, tf.stop_gradient(k), v], axis=0)


def sizes_of(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Returns the sizes of all axes: numbers, or tensors where they vary.

    Batches of training and evaluation have fixed sizes; those of an exported
    function need not.
    """
    if x.shape.is_fully_defined():
        return list(x.shape)
    dynamic = tf.shape(x)
    return [
        dynamic[i] if size is None else size for i, size in enumerate(x.shape)
    ]
