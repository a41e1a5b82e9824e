"""Inference with products of 8-bit integers or in bfloat16.

Products take nearly all of an encoder's time. With `int8`, each row of
activations is laid on bytes from its least number to its largest, each column
of a kernel by its largest magnitude, so a row's result does not depend on the
others of its batch. With
`bfloat16`, both factors lose 16 of their bits. Sums, biases, activation
functions, attention and layer norms stay in float32, and so do heads.

Both need a processor that multiplies such numbers faster than float32
(AVX-512 VNNI, AVX-512 BF16, or AMX); without it they are slower, not wrong.

Reference: Zafrir et al., "Q8BERT: Quantized 8Bit BERT", 2019; scales of rows
    as in Dettmers et al., "LLM.int8()", 2022, section 2.1.
"""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.layers import Linear, Product, activate
from tfdistill.models.outputs import Model

PRECISIONS = ("float32", "bfloat16", "int8")
_LARGEST = 127.0
_STEPS = 255.0


def lower_precision(model: Model, precision: str) -> None:
    """Let an encoder's products run in another precision from now on.

    The model cannot be trained after that, and keeps what its kernels are at
    this moment.

    Args:
        model: A model.
        precision: One of `PRECISIONS`.

    Raises:
        ValueError: It is no BERT, or TensorFlow has no such product here.
    """
    if precision == "float32":
        return
    if not isinstance(model, Bert):
        raise ValueError(f"--precision={precision} is for encoders like BERT.")
    make: dict[str, Callable[[keras.Variable], Product]] = {
        "bfloat16": _in_bfloat16,
        "int8": _in_bytes,
    }
    for layer in model.encoder.encoder_layers:
        for part in vars(layer).values():
            if isinstance(part, Linear):
                part.product = make[precision](part.kernel)
    try:
        model.encoder.encoder_layers[0].qkv(
            tf.zeros([1, model.config.hidden_dim])
        )
    except tf.errors.OpError:
        raise ValueError(
            f"--precision={precision}: this TensorFlow has no such product "
            "for this processor."
        ) from None


def _in_bfloat16(kernel: keras.Variable) -> "_Bfloat16":
    return _Bfloat16(tf.cast(kernel.value, tf.bfloat16))


def _in_bytes(kernel: keras.Variable) -> "_Bytes":
    values = tf.convert_to_tensor(kernel.value)
    largest = tf.reduce_max(tf.abs(values), axis=0)
    # Zeros alone are zeros at any scale.
    scale = tf.where(largest > 0, largest, 1.0) / _LARGEST
    codes = tf.cast(tf.round(values / scale), tf.int8)
    sums = tf.reduce_sum(tf.cast(codes, tf.int32), axis=0)
    return _Bytes(codes, scale, scale * tf.cast(sums, tf.float32))


@dataclasses.dataclass(frozen=True)
class _Bfloat16:
    """Products with a kernel `[D, E]` in bfloat16."""

    kernel: tf.Tensor

    def __call__(
        self,
        x: tf.Tensor,
        bias: tf.Tensor,
        activation: str,
        columns: slice,
    ) -> tf.Tensor:
        product = tf.matmul(tf.cast(x, tf.bfloat16), self.kernel[:, columns])
        return _finished(product, bias, activation)


@dataclasses.dataclass(frozen=True)
class _Bytes:
    """Products with a kernel of bytes.

    Attributes:
        codes: int8 `[D, E]`.
        scale: float32 `[E]`: what a code of 1 stands for.
        sums: float32 `[E]`: of each column, as coded.
    """

    codes: tf.Tensor
    scale: tf.Tensor
    sums: tf.Tensor

    def __call__(
        self,
        x: tf.Tensor,
        bias: tf.Tensor,
        activation: str,
        columns: slice,
    ) -> tf.Tensor:
        codes, scale, least = _rows_in_bytes(x)
        products, _, _ = tf.raw_ops.QuantizedMatMulWithBias(
            a=tf.bitcast(codes, tf.quint8),
            b=tf.bitcast(self.codes[:, columns], tf.qint8),
            bias=tf.bitcast(
                tf.zeros_like(self.sums[columns], tf.int32), tf.qint32
            ),
            # Not used where sums of products are returned as they are.
            min_a=0.0,
            max_a=255.0,
            min_b=-_LARGEST,
            max_b=_LARGEST,
            Toutput=tf.qint32,
            input_quant_mode="SCALED",
        )
        return _scaled(
            tf.bitcast(products, tf.int32),
            scale,
            least,
            self.scale[columns],
            self.sums[columns],
            bias,
            activation,
        )


# Compiled, as these are single passes over large tensors then.
@tf.function(jit_compile=True)
def _rows_in_bytes(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    least = tf.reduce_min(x, axis=1, keepdims=True)
    width = tf.reduce_max(x, axis=1, keepdims=True) - least
    scale = tf.where(width > 0, width, 1.0) / _STEPS
    return tf.cast(tf.round((x - least) / scale), tf.uint8), scale, least


@tf.function(jit_compile=True)
def _scaled(
    products: tf.Tensor,
    rows: tf.Tensor,
    least: tf.Tensor,
    columns: tf.Tensor,
    sums: tf.Tensor,
    bias: tf.Tensor,
    activation: str,
) -> tf.Tensor:
    product = tf.cast(products, tf.float32) * rows * columns
    return activate(product + least * sums + bias, activation)


@tf.function(jit_compile=True)
def _finished(
    product: tf.Tensor, bias: tf.Tensor, activation: str
) -> tf.Tensor:
    return activate(tf.cast(product, tf.float32) + bias, activation)
