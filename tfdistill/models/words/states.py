"""The loops of an LSTM and a GRU over all words of a batch, for CPUs.

Whatever does not depend on the word before is computed for all words at once,
as a few large operations: products with the inputs beforehand and, of an
LSTM, factors and gradients of weights afterwards. What is left in the loops
is one product with the state and some element-wise operations. TensorFlow's
own fused LSTM multiplies word by word, which took half as long again at the
published sizes, and gradients of BlockLSTMV2 are wrong in TensorFlow 2.20.
"""

from collections.abc import Callable

import tensorflow as tf


@tf.custom_gradient
def lstm_states(
    of_inputs: tf.Tensor, recurrent_kernel: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Run an LSTM from states of zeros.

    Args:
        of_inputs: `[T, B, 4 h]`, what inputs and bias add to the gates:
            input, forget, cell and output.
        recurrent_kernel: `[h, 4 h]`.

    Returns:
        The states, `[T, B, h]`, and the function of their gradients.
    """
    steps = tf.shape(of_inputs)[0]
    _, batch, width = of_inputs.shape
    dim = width // 4
    zeros = tf.zeros([batch, dim], of_inputs.dtype)

    def array(size: int) -> tf.TensorArray:
        return tf.TensorArray(
            of_inputs.dtype, steps, element_shape=[batch, size]
        )

    inputs = array(width).unstack(of_inputs)

    def forward(
        t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *kept: tf.TensorArray
    ) -> tuple:
        gates = inputs.read(t) + tf.matmul(h, recurrent_kernel)
        i, f, g, o = tf.split(gates, 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        h = o * tf.tanh(c)
        values = (h, c, tf.concat([i, f, g, o], axis=-1))
        return (
            t + 1,
            h,
            c,
            *(x.write(t, v) for x, v in zip(kept, values, strict=True)),
        )

    kept = tf.while_loop(
        lambda t, *_: t < steps,
        forward,
        (0, zeros, zeros, array(dim), array(dim), array(width)),
    )[3:]
    states, cells, gates = (x.stack() for x in kept)

    def gradients(of_states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        i, f, g, o = tf.split(gates, 4, axis=-1)
        bent = tf.tanh(cells)
        before = tf.concat([zeros[None], cells[:-1]], axis=0)
        # By what the gradients of a cell and a state are multiplied.
        factors = [
            g * i * (1 - i),
            before * f * (1 - f),
            i * (1 - g**2),
            bent * o * (1 - o),
            o * (1 - bent**2),
            f,
            of_states,
        ]
        rows = array(7 * dim).unstack(tf.concat(factors, axis=-1))

        def backward(
            t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, found: tf.TensorArray
        ) -> tuple:
            to_i, to_f, to_g, to_o, to_c, f, more = tf.split(
                rows.read(t), 7, axis=-1
            )
            dh += more
            dc += dh * to_c
            of_gates = tf.concat(
                [dc * to_i, dc * to_f, dc * to_g, dh * to_o], axis=-1
            )
            dh = tf.matmul(of_gates, recurrent_kernel, transpose_b=True)
            return t - 1, dh, dc * f, found.write(t, of_gates)

        of_gates = tf.while_loop(
            lambda t, *_: t >= 0,
            backward,
            (steps - 1, zeros, zeros, array(width)),
        )[3].stack()
        shifted = tf.concat([zeros[None], states[:-1]], axis=0)
        of_kernel = tf.matmul(
            tf.reshape(shifted, [-1, dim]),
            tf.reshape(of_gates, [-1, width]),
            transpose_a=True,
        )
        return of_gates, of_kernel

    return states, gradients


def gru_states(
    of_inputs: tf.Tensor, recurrent_kernel: tf.Tensor, bias: tf.Tensor
) -> tf.Tensor:
    """Run a GRU from states of zeros.

    Args:
        of_inputs: `[T, B, 3 h]`, what inputs and their bias add to the
            gates: update, reset and candidate.
        recurrent_kernel: `[h, 3 h]`.
        bias: `[3 h]`, added to the product with the state.

    Returns:
        The states, `[T, B, h]`.
    """
    _, batch, width = of_inputs.shape

    def step(h: tf.Tensor, of_input: tf.Tensor) -> tf.Tensor:
        of_state = tf.nn.bias_add(tf.matmul(h, recurrent_kernel), bias)
        z_x, r_x, g_x = tf.split(of_input, 3, axis=-1)
        z_h, r_h, g_h = tf.split(of_state, 3, axis=-1)
        z = tf.sigmoid(z_x + z_h)
        g = tf.tanh(g_x + tf.sigmoid(r_x + r_h) * g_h)
        return z * h + (1 - z) * g

    start = tf.zeros([batch, width // 3], of_inputs.dtype)
    return tf.scan(step, of_inputs, start)
