"""Which layers of a teacher a student's layers learn from.

A map is a list of pairs (teacher, student). It matches either states, of
which number 0 is the output of the embeddings and number i that of layer i,
or attention, of which number 0 is that of the first layer.

`STATES` and `ATTENTION` hold strategies by name. With T layers of the
teacher, S of the student, and g their greatest common divisor:

* `skip`: states T/g, 2T/g, …, T with S/g, 2S/g, …, S.
* `emb+skip`: states 0, and those of `skip`.
* `last`: the last min(T, S) states of both.
* `final`: the last states. `emb`: states 0. `emb+final`: both.
* `triple`: states 0, T // 2 and T with 0, S // 2 and S.
* `att_skip`: attention 0, T/g, 2T/g, … with 0, S/g, 2S/g, …, so the first of
  each of g blocks.
* `uniform`: attention of the last of each of S blocks of T // S layers with
  all of the student's; where the student is deeper, the other way round.

Explicit pairs are written student:teacher, such as `0:0/3:6/6:12`.

Reference: CKD's code, and How-to-distill-your-BERT's for `uniform` and
`random_layers`. Pairs are theirs at all depths that they can match.
"""

import math
import re
from collections.abc import Callable

import tensorflow as tf

Pairs = list[tuple[int, int]]


def _skip(teacher: int, student: int) -> Pairs:
    blocks = math.gcd(teacher, student)
    ends = range(1, blocks + 1)
    return [(i * teacher // blocks, i * student // blocks) for i in ends]


def _last(teacher: int, student: int) -> Pairs:
    count = min(teacher, student)
    return [(teacher - i, student - i) for i in reversed(range(count))]


def _att_skip(teacher: int, student: int) -> Pairs:
    return [(0, 0), *_skip(teacher, student)[:-1]]


def _uniform(teacher: int, student: int) -> Pairs:
    count = min(teacher, student)
    ends = range(1, count + 1)
    return [
        (i * (teacher // count) - 1, i * (student // count) - 1) for i in ends
    ]


STATES: dict[str, Callable[[int, int], Pairs]] = {
    "emb+skip": lambda teacher, student: [(0, 0), *_skip(teacher, student)],
    "skip": _skip,
    "last": _last,
    "final": lambda teacher, student: [(teacher, student)],
    "emb": lambda teacher, student: [(0, 0)],
    "emb+final": lambda teacher, student: [(0, 0), (teacher, student)],
    "triple": lambda teacher, student: [
        (0, 0),
        (teacher // 2, student // 2),
        (teacher, student),
    ],
}
ATTENTION: dict[str, Callable[[int, int], Pairs]] = {
    "att_skip": _att_skip,
    "uniform": _uniform,
}

_KNOWN = ", ".join(STATES | ATTENTION)
_EXPLICIT = re.compile(r"\d+:\d+(/\d+:\d+)*", re.ASCII)


def match_layers(
    strategy: str, teacher_layers: int, student_layers: int
) -> Pairs:
    """Match layers by a strategy, or by explicit pairs of states.

    Args:
        strategy: A name in `STATES` or `ATTENTION`, or pairs of states
            student:teacher, such as `0:0/3:6/6:12`.
        teacher_layers: At least 1.
        student_layers: At least 1; they may be more than the teacher's.

    Returns:
        Pairs (teacher, student): of attention for names in `ATTENTION`, and
        of states otherwise.

    Raises:
        ValueError: The strategy is not known, or a model does not have the
            states that it names.
    """
    _check_depths(teacher_layers, student_layers)
    known = STATES | ATTENTION
    if strategy in known:
        return known[strategy](teacher_layers, student_layers)
    return _explicit(strategy, teacher_layers, student_layers)


def match_states(
    strategy: str, teacher_layers: int, student_layers: int
) -> Pairs:
    """Match states; as `match_layers`, but for the maps of attention.

    Raises:
        ValueError: as `match_layers`, or the strategy is one for attention.
    """
    if strategy in ATTENTION:
        raise ValueError(
            f"Layer map {strategy!r} is one of attention. "
            f"Known for states: {', '.join(STATES)}."
        )
    return match_layers(strategy, teacher_layers, student_layers)


def match_attention(
    strategy: str, teacher_layers: int, student_layers: int
) -> Pairs:
    """Match attention by a strategy, or by explicit pairs of states.

    Pairs of states match the attention of the layers that give them; one
    with the embeddings' output, which has no attention, is left out.

    Args:
        strategy: as `match_layers`.
        teacher_layers: as `match_layers`.
        student_layers: as `match_layers`.

    Returns:
        Pairs (teacher, student) of attention, counted from 0.

    Raises:
        ValueError: as `match_layers`, or no pair is left.
    """
    pairs = match_layers(strategy, teacher_layers, student_layers)
    if strategy in ATTENTION:
        return pairs
    found = [(t - 1, s - 1) for t, s in pairs if t and s]
    if not found:
        raise ValueError(
            f"Layer map {strategy!r} matches no attention, which the "
            f"embeddings do not have. Known: {_KNOWN}."
        )
    return found


def random_layers(
    teacher_layers: int,
    student_layers: int,
    *,
    seed: int,
    step: int | tf.Tensor,
) -> tf.Tensor:
    """Draw the teacher's layers for all of the student's, anew at each step.

    Args:
        teacher_layers: T.
        student_layers: S, at most T.
        seed: Of the run.
        step: The training step, a number or an integer scalar.

    Returns:
        int32 `[S]`, different numbers in [0, T) in ascending order, for the
        student's layers 0, 1, …, S - 1: attention as it is, states plus 1.
        They depend on the seed and the step alone.

    Raises:
        ValueError: The student has more layers.
    """
    _check_depths(teacher_layers, student_layers)
    if student_layers > teacher_layers:
        raise ValueError(
            "Random layers need a teacher's for each of "
            f"{student_layers} student's; there are {teacher_layers}. "
            f"Known layer maps: {_KNOWN}."
        )
    draws = tf.random.stateless_uniform(
        [teacher_layers],
        tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)]),
        alg="philox",
    )
    return tf.sort(tf.argsort(draws)[:student_layers])


def _explicit(strategy: str, teacher_layers: int, student_layers: int) -> Pairs:
    if not _EXPLICIT.fullmatch(strategy):
        raise ValueError(
            f"Unknown layer map {strategy!r}. Known: {_KNOWN}, and pairs of "
            "states student:teacher such as 0:0/3:6/6:12."
        )
    pairs = []
    for pair in strategy.split("/"):
        student, teacher = map(int, pair.split(":"))
        if student > student_layers or teacher > teacher_layers:
            raise ValueError(
                f"Layer map {strategy!r} has {pair} (student:teacher); there "
                f"are states 0 to {student_layers} of the student and 0 to "
                f"{teacher_layers} of the teacher. Known: {_KNOWN}."
            )
        pairs.append((teacher, student))
    return pairs


def _check_depths(teacher_layers: int, student_layers: int) -> None:
    if min(teacher_layers, student_layers) < 1:
        raise ValueError(
            "Layer maps need layers of both models. Received: "
            f"{teacher_layers} of the teacher, {student_layers} of the "
            "student."
        )
