"""What an update costs: our AdamW against Keras's, in one run.

python -m benchmarks.optimizer
"""

from collections.abc import Callable

import tfdistill  # noqa: F401, settles TensorFlow's log level first

import keras  # isort: skip
import tensorflow as tf  # isort: skip

from benchmarks.harness import Row, in_turns, report, sized
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import variable_names
from tfdistill.training import Schedule, make_optimizer

ROUNDS = sized(9, 2)


def update(optimizer: keras.optimizers.Optimizer, names: dict) -> Callable:
    """Returns a compiled update of all variables with fixed gradients."""
    variables = list(names.values())
    gradients = [tf.fill(v.shape, 1e-3) for v in variables]

    @tf.function(autograph=False)
    def run() -> tf.Tensor:
        optimizer.apply(gradients, variables)
        return tf.reduce_sum(variables[-1].value)

    def wait() -> None:
        float(run())

    return wait


def main() -> None:
    """Time updates of a 6 x 384 encoder in turns."""
    names = variable_names(
        Bert(BertConfig(num_layers=6, hidden_dim=384, num_heads=12))
    )
    theirs = keras.optimizers.AdamW(1e-5, weight_decay=0.01)
    theirs.exclude_from_weight_decay(
        var_list=[v for n, v in names.items() if "bias" in n or "norm" in n]
    )
    theirs.build(list(names.values()))
    ours = make_optimizer("adamw", Schedule("constant", 1e-5, 0, 1), names)
    steps = {"keras": update(theirs, names), "ours": update(ours, names)}
    seconds = in_turns(steps, ROUNDS)
    facts = {f"{n}_ms": round(1e3 * s, 1) for n, s in seconds.items()}
    ratio = seconds["keras"] / seconds["ours"]
    report("optimizer", [Row("against Keras", ratio, facts=facts)])


if __name__ == "__main__":
    main()
