"""How time, memory and disk of extraction grow, with a plot of each.

    python -m benchmarks.scaling

A teacher of 2 x 128 with random weights answers for random examples, records
read and written: for 1, 4 and 16 times the corpus; for 128, 256 and 512 tokens
with 15 % of them masked; for K from 4 to 1,000; for vocabularies of 30,522 and
250,000 pieces. Each is a process of its own, whose first pass over a few
examples does not count. Ratios are fitted exponents: 1 is growth in
proportion, 0 none. Plots go to `runs/benchmarks/scaling-….png`. It takes ten
minutes.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.harness import Row, report, sized
from benchmarks.memory import memory
from launch.demo import ROOT

BATCH = 32
BASE = {
    "examples": sized(512, 64),
    "tokens": 128,
    "k": 10,
    "pieces": 30522,
}
GROWTHS = {
    "examples": [BASE["examples"] * times for times in (1, 4, 16)],
    "tokens": [128, 256, 512],
    "k": [4, 10, 32, 128, 1000],
    "pieces": [30522, 250_000],
}
MEASURED = ("seconds", "peak_mb", "bytes_per_example")


def main() -> None:
    """Measure all growths."""
    rows = []
    folder = ROOT / "runs" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    for what, values in GROWTHS.items():
        if sized(False, True):
            values = values[:2]
        found = [run(BASE | {what: value}) for value in values]
        figure = Figure(figsize=(9, 3), layout="constrained")
        FigureCanvasAgg(figure)
        plots = figure.subplots(1, len(MEASURED))
        for plot, name in zip(plots, MEASURED, strict=True):
            measured = [one[name] for one in found]
            exponent, start = np.polyfit(np.log(values), np.log(measured), 1)
            plot.loglog(values, measured, "o")
            fitted = np.exp(start) * np.array(values, float) ** exponent
            plot.loglog(values, fitted, label=f"exponent {exponent:.2f}")
            plot.set(xlabel=what, ylabel=name.replace("_", " "))
            plot.set_ylim(min(measured) / 2, max(measured) * 2)
            plot.xaxis.minorticks_off()
            plot.set_xticks(values, [f"{value:,}" for value in values])
            plot.legend()
            facts = dict(zip(map(str, values), measured, strict=True))
            rows.append(Row(f"{name} by {what}", exponent, facts=facts))
        figure.savefig(folder / f"scaling-{what}.png", dpi=120)
    report("scaling", rows)


def run(sizes: dict[str, int]) -> dict[str, float]:
    """Measure in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", json.dumps(sizes)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def measure(
    examples: int, tokens: int, k: int, pieces: int
) -> dict[str, float]:
    """Returns what one extraction takes."""
    from benchmarks.extraction_lengths import KeptGraphs, extraction
    from benchmarks.material import (
        Shape,
        random_inputs,
        top_k_codec,
        write_records,
    )
    from tfdistill.models.bert import Bert
    from tfdistill.models.configuration import BertConfig

    shape = Shape(tokens, round(0.15 * tokens), pieces)
    inputs = random_inputs(BATCH, shape=shape)
    rows = [{n: x[i] for n, x in inputs.items()} for i in range(BATCH)]
    codec = top_k_codec(k, shape=shape)
    teacher = Bert(
        BertConfig(
            vocabulary_size=pieces, num_layers=2, hidden_dim=128, num_heads=2
        )
    )
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        some, all_of_them = (
            write_records(
                folder / str(count),
                (rows[i % BATCH] for i in range(count)),
                shape=shape,
            )
            for count in (BATCH + 1, examples)
        )
        before, replicas = memory()["now"], KeptGraphs()
        extraction(some, teacher, codec, replicas)()
        extract = extraction(all_of_them, teacher, codec, replicas)
        started = time.perf_counter()
        extract()
        seconds = time.perf_counter() - started
    # What is stored of an example, its inputs apart.
    added = sum(
        feature.packing.size(feature.length or 1)
        for feature in codec.features()
    )
    return {
        "seconds": round(seconds, 3),
        "peak_mb": round((memory()["peak"] - before) / 1e6, 1),
        "bytes_per_example": int(added),
    }


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        print(json.dumps(measure(**json.loads(sys.argv[1]))))
