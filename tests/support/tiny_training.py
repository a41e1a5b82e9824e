"""A tiny student in training, with dropout, on examples of uneven masks."""

import contextlib

import numpy as np

from tfdistill.distillation import (
    OBJECTIVES as KINDS,
)
from tfdistill.distillation import (
    Context,
    TrainStep,
    bind_objectives,
    declare_objectives,
    live_teacher,
    recorded_teacher,
)
from tfdistill.models.bert import Bert
from tfdistill.models.configuration import BertConfig
from tfdistill.models.weights import named_weights, variable_names
from tfdistill.records import (
    RecordSetWriter,
    Schema,
    Shapes,
    make_codec,
    masked_lm_features,
)
from tfdistill.tasks import MLM
from tfdistill.training import Schedule, make_optimizer

V, L, P = 60, 16, 4
CONFIG = BertConfig(
    vocabulary_size=V,
    num_layers=2,
    hidden_dim=12,
    num_heads=3,
    max_sequence_length=L,
    dropout=0.1,
    initializer_range=0.2,
)
SHAPES = Shapes(
    layout="packed",
    max_seq_length=L,
    num_slots=P,
    vocabulary_size=V,
    num_classes=0,
)
OBJECTIVES = ("soft_targets(weight=0.7)", "labels(weight=0.3)", "next_sentence")


def features(codec=None):
    """Features of the examples, with a codec's if one is given."""
    added = () if codec is None else codec.features()
    return (
        *masked_lm_features(
            max_seq_length=L,
            max_predictions_per_seq=P,
            vocabulary_size=V,
            is_masked=True,
            has_next_sentence=True,
        ),
        *added,
    )


def examples(count, seed=0):
    """Examples of 6 to 16 tokens with 1 to 4 masks."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        length = int(rng.integers(6, L + 1))
        slots = int(rng.integers(1, P + 1))
        yield {
            "input_ids": rng.integers(5, V, length),
            "segment_ids": (np.arange(length) >= length // 2).astype(int),
            "masked_lm_positions": np.sort(
                rng.choice(np.arange(1, length), slots, replace=False)
            ),
            "masked_lm_ids": rng.integers(5, V, slots),
            "next_sentence_labels": rng.integers(0, 2, 1),
        }


def write_records(folder, count):
    """Write examples to two shards."""
    writer = RecordSetWriter(
        str(folder),
        schema=Schema(features()),
        identity={"task": "mlm"},
        shard_names=["0.tfrecord", "1.tfrecord"],
        files={},
    )
    made = list(examples(count))
    for name, part in (("0.tfrecord", made[:5]), ("1.tfrecord", made[5:])):
        with writer.shard(name) as shard:
            for example in part:
                shard.add(example)
    return writer.finish()


def context(
    student=CONFIG, teacher=CONFIG, num_steps=1000, scope=contextlib.nullcontext
):
    """What objectives are bound to."""
    return Context(
        targets=MLM.targets,
        soft_target=MLM.soft_target,
        student=student,
        teacher=teacher,
        num_steps=num_steps,
        seed=3,
        example_labels=lambda: np.array(
            [e["next_sentence_labels"][0] for e in examples(50)]
        ),
        scope=scope,
    )


class Run:
    """A student, its optimizer and its compiled step."""

    def __init__(
        self,
        replicas,
        *,
        objectives=OBJECTIVES,
        accumulation_steps=1,
        clip_norm=0.5,
        optimizer="bert_adam",
        teacher="live",
        knowledge=None,
        codec=None,
        seed=3,
        compression="none",
        teacher_config=CONFIG,
        rate=1e-3,
    ):
        declared = declare_objectives(objectives, KINDS)
        bound = bind_objectives(
            declared, context(CONFIG, teacher_config, scope=replicas.scope)
        )
        with replicas.scope():
            self.student = Bert(CONFIG, seed)
            source = None
            if codec is not None:
                source = recorded_teacher(codec)
            elif teacher == "live":
                source = live_teacher([Bert(teacher_config, 99)])
            elif teacher == "recorded":
                source = recorded_teacher(make_codec([knowledge], SHAPES))
            names = variable_names(self.student)
            for one in bound:
                for name, variable in one.loss.variables.items():
                    names[f"{one.name}/{name}"] = variable
            self.optimizer = make_optimizer(
                optimizer, Schedule("constant", rate, 0, 1000), names
            )
        self.objectives, self.teacher = bound, source
        step = TrainStep(
            student=self.student,
            variables=list(names.values()),
            objectives=bound,
            teacher=source,
            optimizer=self.optimizer,
            replicas=replicas,
            accumulation_steps=accumulation_steps,
            clip_norm=clip_norm,
            seed=seed,
            compression=compression,
        )
        self._first, self._next = step.prepare, step.compiled()
        self._is_prepared = False
        self.state = {f"model/{n}": v for n, v in names.items()} | {
            f"optimizer/{i:04d}": v
            for i, v in enumerate(self.optimizer.variables)
        }

    def prepare(self, batch):
        """Settle memories, without learning anything."""
        self._first(batch)
        self._is_prepared = True

    def step(self, batch):
        """One step, of a run that begins with the first one."""
        if not self._is_prepared:
            self.prepare(batch)
        return self._next(batch)

    def weights(self):
        """The student's weights by canonical name."""
        return named_weights(self.student)


def largest_difference(ours, theirs):
    """Largest difference of two sets of weights, and where it is."""
    return max((float(np.abs(ours[n] - theirs[n]).max()), n) for n in ours)
