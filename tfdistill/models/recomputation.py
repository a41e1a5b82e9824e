"""Gradient checkpointing: layers that are computed again for their gradients.

What is inside of a layer is not kept from the forward to the backward pass,
which costs the time of one more forward pass. Gradients are the same.

Reference: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfdistill.models.noise import DropoutNoise

Taps = dict[str, tf.Tensor]


def recomputed(
    layer: keras.layers.Layer,
    run: Callable[..., tuple[tf.Tensor, Taps]],
    x: tf.Tensor,
    noise: DropoutNoise,
    read: Sequence[str],
) -> tuple[tf.Tensor, Taps]:
    """Run a layer such that its inside need not be kept for gradients.

    Args:
        layer: Whose variables it reads.
        run: The layer with all of its arguments but `x` and `noise`; what
            those hold gets no gradients.
        x: Its input.
        noise: Dropout; the same is drawn both times.
        read: What of the layer's inside is read, and so kept after all.

    Returns:
        The layer's output, and what is read of its inside by name.
    """
    first = noise.again()

    def compute(
        noise: DropoutNoise, x: tf.Tensor, *weights: tf.Tensor
    ) -> list[tf.Tensor]:
        # Gradients of weights are asked for as of any other input.
        values = list(zip(layer.variables, weights, strict=True))
        with keras.StatelessScope(values):
            y, taps = run(x, noise=noise)
        return [y, *(taps[field] for field in read)]

    @tf.custom_gradient
    def forget_inside(*inputs: tf.Tensor) -> tuple[list[tf.Tensor], Callable]:
        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
            # Else the graph's optimizer finds that all of it was computed
            # before, and keeps that.
            with tf.control_dependencies(upstream):
                again = [tf.identity(tensor) for tensor in inputs]
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = compute(first.again(), *again)
            return tape.gradient(
                outputs,
                again,
                output_gradients=list(upstream),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        return compute(noise, *inputs), gradient

    weights = [tf.convert_to_tensor(v.value) for v in layer.variables]
    y, *taps = forget_inside(x, *weights)
    return y, dict(zip(read, taps, strict=True))
