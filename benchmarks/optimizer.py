"""What an update costs: our AdamW against Keras's, in one run.

python -m benchmarks.optimizer
"""

import json
import statistics
import time
from collections.abc import Callable

import keras
import tensorflow as tf

from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import variable_names
from tfdistill.training import Schedule, make_optimizer

ROUNDS = 9


def update(optimizer: keras.optimizers.Optimizer, names: dict) -> Callable:
    """Returns a compiled update of all variables with fixed gradients."""
    variables = list(names.values())
    gradients = [tf.fill(v.shape, 1e-3) for v in variables]

    @tf.function(autograph=False)
    def run() -> tf.Tensor:
        optimizer.apply(gradients, variables)
        return tf.reduce_sum(variables[-1].value)

    return run


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
    steps = {"Keras": update(theirs, names), "ours": update(ours, names)}
    for step in steps.values():
        float(step())
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            float(step())
            times[name].append(time.perf_counter() - started)
    medians = {n: 1e3 * statistics.median(t) for n, t in times.items()}
    for name, value in medians.items():
        print(f"{name:8} {value:8.1f} ms")
    ratio = medians["Keras"] / medians["ours"]
    print(json.dumps({"milliseconds": medians, "ratio": round(ratio, 2)}))


if __name__ == "__main__":
    main()
