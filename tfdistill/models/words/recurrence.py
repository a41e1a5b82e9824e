"""LSTM and GRU over sentences of different lengths.

One layout of weights, Keras's, serves every kernel: gates are input, forget,
cell, output, or update, reset, candidate. On GPUs Keras runs cuDNN's kernels
with them, on CPUs there are the loops of `states`.

Time comes first here, `[T, B, …]`, as the kernels want it.

Reference: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; Cho et
    al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014, in
    the form of cuDNN: the reset gate acts on the product with the state.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfdistill.models.layers import Initializer, uniform
from tfdistill.models.words.states import gru_states, lstm_states

_LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


class Recurrence(keras.layers.Layer):
    """One direction of an LSTM or a GRU, from states of zeros."""

    def __init__(
        self, rnn: str, input_dim: int, hidden_dim: int, seed: int, name: str
    ) -> None:
        """Make kernels and a bias, all from U(±1 / sqrt(hidden_dim)).

        Args:
            rnn: "lstm" or "gru".
            input_dim: Width of the inputs.
            hidden_dim: h, width of the state.
            seed: Of the weights.
            name: "forward" or "backward".
        """
        super().__init__(name=name)

        def drawn(part: str) -> Initializer:
            return uniform(hidden_dim**-0.5, seed, f"{name}/{part}")

        more = {"unit_forget_bias": False} if rnn == "lstm" else {}
        self._rnn = rnn
        self._layer = _LAYERS[rnn](
            hidden_dim,
            kernel_initializer=drawn("kernel"),
            recurrent_initializer=drawn("recurrent_kernel"),
            bias_initializer=drawn("bias"),
            return_sequences=True,
            **more,
        )
        self._layer.build((None, None, input_dim))
        self.kernel = self._layer.cell.kernel
        self.recurrent_kernel = self._layer.cell.recurrent_kernel
        self.bias = self._layer.cell.bias
        self.built = True

    def call(
        self, inputs: Sequence[tf.Tensor], lengths: tf.Tensor
    ) -> tf.Tensor:
        """Run over sentences.

        Args:
            inputs: `[T, B, D]` each, whose widths add up to `input_dim`.
            lengths: int32 `[B]`, 1 to T.

        Returns:
            `[T, B, h]`, the state after each step; what stands behind a
            sentence's length is of no meaning.
        """
        if has_gpu():
            x = tf.transpose(tf.concat(inputs, axis=-1), [1, 0, 2])
            mask = tf.sequence_mask(lengths, tf.shape(x)[1])
            return tf.transpose(self._layer(x, mask=mask), [1, 0, 2])
        recurrent_kernel = tf.convert_to_tensor(self.recurrent_kernel.value)
        if self._rnn == "lstm":
            of_inputs = self._of_inputs(inputs, self.bias.value)
            return lstm_states(of_inputs, recurrent_kernel)
        bias = tf.unstack(self.bias.value)
        of_inputs = self._of_inputs(inputs, bias[0])
        return gru_states(of_inputs, recurrent_kernel, bias[1])

    def _of_inputs(
        self, inputs: Sequence[tf.Tensor], bias: tf.Tensor
    ) -> tf.Tensor:
        """Returns `[T, B, gates]`; frozen inputs cost no gradient."""
        widths = [x.shape[-1] for x in inputs]
        kernels = tf.split(self.kernel.value, widths)
        products = [
            tf.matmul(tf.reshape(x, [-1, width]), kernel)
            for x, width, kernel in zip(inputs, widths, kernels, strict=True)
        ]
        flat = tf.nn.bias_add(tf.add_n(products), bias)
        return tf.reshape(flat, [-1, inputs[0].shape[1], flat.shape[-1]])


class Bidirectional(keras.layers.Layer):
    """Two recurrences, one of which reads sentences backwards."""

    def __init__(
        self, rnn: str, input_dim: int, hidden_dim: int, seed: int
    ) -> None:
        """Make both; the arguments are those of `Recurrence`."""
        super().__init__(name="rnn")
        self.forward = Recurrence(rnn, input_dim, hidden_dim, seed, "forward")
        self.backward = Recurrence(rnn, input_dim, hidden_dim, seed, "backward")
        self.built = True

    def call(
        self, inputs: Sequence[tf.Tensor], lengths: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Run over sentences; padding changes nothing.

        Args:
            inputs: `[T, B, D]` each, whose widths add up to `input_dim`.
            lengths: int32 `[B]`, 1 to T.

        Returns:
            The states at every word, `[T, B, 2 h]`, of no meaning in the
            padding, and the last state of each direction, `[B, 2 h]`.
        """
        ahead = self.forward(inputs, lengths)
        turned = [_reversed(x, lengths) for x in inputs]
        back = _reversed(self.backward(turned, lengths), lengths)
        batch = inputs[0].shape[1]
        ends = tf.stack([lengths - 1, tf.range(batch)], axis=1)
        last = tf.concat([tf.gather_nd(ahead, ends), back[0]], axis=-1)
        return tf.concat([ahead, back], axis=-1), last


def has_gpu() -> bool:
    """Returns whether TensorFlow runs models on a GPU here."""
    return bool(tf.config.list_logical_devices("GPU"))


def _reversed(x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Turn the words of each sentence around; padding stays behind them."""
    return tf.reverse_sequence(x, lengths, seq_axis=0, batch_axis=1)
