"""Optimizers and learning-rate schedules."""

import re
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from tfdistill.config import parse_spec

# BERT decays everything but biases and layer norms; embeddings are decayed.
_NOT_DECAYED = re.compile(r"layer_norm|bias")


def _already_summed(optimizer: object, grads_and_vars: list) -> list:
    # Keras would sum over the replicas of a strategy once more: the step has
    # done so, as clipping must come after the sum.
    return grads_and_vars


class AdamW(keras.optimizers.AdamW):
    """Adam with decoupled weight decay, on gradients that are summed.

    TensorFlow's own kernel updates a variable and both moments in one pass
    over them, where Keras makes a dozen.

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay
        Regularization", 2019.
    """

    _all_reduce_sum_gradients = _already_summed

    def _powers(self) -> tuple[tf.Tensor | float, tf.Tensor | float]:
        """Powers of both betas, by which the moments' bias is corrected."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        return tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)

    def update_step(
        self,
        gradient: tf.Tensor,
        variable: tf.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        """Update one variable and its two moments."""
        index = self._get_variable_index(variable)
        beta_1_power, beta_2_power = self._powers()
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class BertAdam(AdamW):
    """Adam as BERT was trained with: no bias correction, epsilon outside.

    The first steps are up to sqrt(1 / (1 - beta_2)) / (1 / (1 - beta_1)),
    about 3.2, times larger than Adam's.

    Reference: Devlin et al., 2019, the published `optimization.py`.
    """

    def _powers(self) -> tuple[tf.Tensor | float, tf.Tensor | float]:
        return 0.0, 0.0


class Adadelta(keras.optimizers.Adadelta):
    """Updates whose size follows from those before, on summed gradients.

    A running mean of squared gradients, another of squared updates; the root
    of their ratio is what a gradient is multiplied with. Learning rates are
    of the size of 1.

    Reference: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    """

    _all_reduce_sum_gradients = _already_summed

    def update_step(
        self,
        gradient: tf.Tensor,
        variable: tf.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        """Update one variable and its two means."""
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdadelta(
            var=variable.handle,
            accum=self._accumulated_grads[index].value.handle,
            accum_update=self._accumulated_delta_vars[index].value.handle,
            lr=tf.cast(learning_rate, tf.float32),
            rho=self.rho,
            epsilon=self.epsilon,
            grad=gradient,
        )


def bert_adam(
    *,
    weight_decay: float = 0.01,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-6,
) -> dict:
    """Returns the arguments of `BertAdam`, with BERT's defaults."""
    return dict(locals())


def adamw(
    *,
    weight_decay: float = 0.01,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> dict:
    """Returns the arguments of AdamW, with its paper's defaults."""
    return dict(locals())


def adadelta(*, rho: float = 0.95, epsilon: float = 1e-6) -> dict:
    """Returns the arguments of Adadelta, with its paper's; nothing decays."""
    return dict(locals())


# By the beginning of an argument's name: what it must be.
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "weight_decay": ("at least 0", lambda x: x >= 0),
    "beta": ("in [0, 1)", lambda x: 0 <= x < 1),
    "rho": ("in [0, 1)", lambda x: 0 <= x < 1),
    "epsilon": ("positive", lambda x: x > 0),
}
_CLASSES: dict[str, tuple[type, Callable[..., dict]]] = {
    "bert_adam": (BertAdam, bert_adam),
    "adamw": (AdamW, adamw),
    "adadelta": (Adadelta, adadelta),
}
OPTIMIZERS = {name: arguments for name, (_, arguments) in _CLASSES.items()}


def make_optimizer(
    spec: str,
    schedule: "Schedule",
    variables: Mapping[str, keras.Variable],
) -> keras.optimizers.Optimizer:
    """Make and build the optimizer that a spec names.

    Args:
        spec: Such as `bert_adam(weight_decay=0.01)`.
        schedule: The learning rate.
        variables: What is trained, by names that say what is a bias or a
            layer norm: these are not decayed.

    Raises:
        ValueError: The spec is not known, or an argument is out of range.
    """
    parsed = parse_spec(spec, OPTIMIZERS)
    for name, value in parsed.arguments.items():
        for prefix, (expected, is_allowed) in _RANGES.items():
            if name.startswith(prefix) and not is_allowed(value):
                raise ValueError(
                    f"{name}={value} in {spec!r} is not {expected}."
                )
    kind, arguments = _CLASSES[parsed.name]
    optimizer = kind(learning_rate=schedule, **arguments(**parsed.arguments))
    optimizer.exclude_from_weight_decay(
        var_list=[v for n, v in variables.items() if _NOT_DECAYED.search(n)]
    )
    optimizer.build(list(variables.values()))
    return optimizer


# How the rate grows with the batch, by its ratio to the batch that the rate
# is for: Goyal et al., 2017, and Krizhevsky, 2014.
SCALINGS: dict[str, Callable[[float], float]] = {
    "none": lambda ratio: 1.0,
    "linear": lambda ratio: ratio,
    "sqrt": lambda ratio: ratio**0.5,
}


def scaled_rate(rate: float, scaling: str, ratio: float) -> float:
    """Returns the learning rate for a batch `ratio` times larger.

    Args:
        rate: Of the batch that it was chosen for.
        scaling: One of `SCALINGS`.
        ratio: Size of the batch over the size of that batch.
    """
    return rate * SCALINGS[scaling](ratio)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate by step, counted from 0."""

    def __init__(
        self, kind: str, peak: float, num_warmup_steps: int, num_steps: int
    ) -> None:
        """Choose one of `SCHEDULES`.

        Raises:
            ValueError: It is not known, or the warm-up is longer than all.
        """
        if kind not in SCHEDULES:
            raise ValueError(
                f"Unknown schedule {kind!r}. Known: {', '.join(SCHEDULES)}."
            )
        if num_warmup_steps > num_steps:
            raise ValueError(
                f"num_warmup_steps={num_warmup_steps} is more than "
                f"num_train_steps={num_steps}."
            )
        self.kind = kind
        self.peak = peak
        self.num_warmup_steps = num_warmup_steps
        self.num_steps = num_steps

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """Returns the rate at a step, a float32 scalar."""
        step = tf.cast(step, tf.float32) + _FIRST_STEPS.get(self.kind, 0.0)
        warmup = float(self.num_warmup_steps)
        share = SCHEDULES[self.kind](step, warmup, float(self.num_steps))
        if self.num_warmup_steps:
            share = tf.where(step < warmup, step / warmup, share)
        return self.peak * share

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "kind": self.kind,
            "peak": self.peak,
            "num_warmup_steps": self.num_warmup_steps,
            "num_steps": self.num_steps,
        }


# Share of the peak after the warm-up, by step, warm-up steps and all steps.
SCHEDULES: dict[str, Callable[[tf.Tensor, float, float], tf.Tensor]] = {
    # Decays from step 0 on, so it drops by the warm-up's share of all steps
    # when the warm-up ends.
    "bert_linear": lambda step, warmup, total: tf.maximum(
        1.0 - step / total, 0.0
    ),
    "warmup_linear": lambda step, warmup, total: tf.maximum(
        (total - step) / max(total - warmup, 1.0), 0.0
    ),
    "constant": lambda step, warmup, total: tf.ones_like(step),
    # Of Vaswani et al., 2017, as Tensor2Tensor's Noam has it: where a factor
    # and the width D are given, the peak is factor / sqrt(D * warmup).
    "noam": lambda step, warmup, total: tf.sqrt(tf.maximum(warmup, 1.0) / step),
}
# What the first step counts as, where that is not 0.
_FIRST_STEPS = {"noam": 1.0}
