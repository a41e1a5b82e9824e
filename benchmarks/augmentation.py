"""Samples made by rules, and words that a masked LM is asked about.

    python -m benchmarks.augmentation

Rules: new samples per second of random sentences that have tags already, in
one process and in two. TinyBERT's augmentation: words per second with all of
them in batches, against one word a call in a graph, as the published code has
it; both end with variants, in turns, and medians are compared. Models are
random, words too. For rules the ratio is that to 50,000 samples a second. It
takes three minutes.
"""

import itertools
import random
from collections.abc import Callable

import numpy as np

from benchmarks.harness import Row, in_turns, rates, report, sized
from tfdistill.augmentation import (
    Ask,
    Rules,
    Tagged,
    WordsByTag,
    rule_samples,
    tinybert_variants,
)
from tfdistill.augmentation.candidates import whole_words
from tfdistill.augmentation.tinybert import NUM_CANDIDATES, REPLACE_PROB, vary
from tfdistill.text.word_pieces import SPECIAL_PIECES, WordPiece

PIECES = 30522
LENGTHS = (8, 25)
ROWS = sized(40_000, 2_000)
TAGS = 50
TURNS = sized(3, 1)
ROUNDS = 20
# Shapes, and sentences of which each word is asked about.
MODELS = sized(
    {"2 x 128": (2, 128, 64), "6 x 384": (6, 384, 24)},
    {"2 x 128": (2, 128, 8)},
)
SAMPLES_PER_SECOND, AIM = 50_000, 8


def main() -> None:
    """Run rules and models."""
    rows = []
    for name, sentences in (("sentences", 1), ("pairs", 2)):
        rows += measure_rules(name, sentences)
    for name, (num_layers, hidden_dim, count) in MODELS.items():
        rows.append(measure_model(name, num_layers, hidden_dim, count))
    report("augmentation", rows)


def measure_rules(name: str, sentences: int) -> list[Row]:
    """Returns rows of samples per second in one process and in two."""
    rng = random.Random(1)
    rows = [
        tuple(random_tagged(rng) for _ in range(sentences))
        for _ in range(ROWS // sentences)
    ]
    table = WordsByTag.of(rows)
    counts: dict[int, int] = {}

    def run(processes: int) -> None:
        samples = rule_samples(
            rows, table, Rules(), seed=1, num_processes=processes
        )
        counts[processes] = sum(1 for _ in samples)

    seconds = in_turns(
        {"1 process": lambda: run(1), "2 processes": lambda: run(2)}, TURNS
    )
    return [
        Row(
            f"rules, {name}, {who}",
            counts[1] / taken / SAMPLES_PER_SECOND,
            1,
            {"samples_per_second": round(counts[1] / taken)},
        )
        for who, taken in seconds.items()
    ]


def random_tagged(rng: random.Random) -> Tagged:
    """A sentence whose words, some frequent and most not, have one tag."""
    ranks = [
        int(rng.paretovariate(0.6)) % 20_000
        for _ in range(rng.randint(*LENGTHS))
    ]
    return Tagged(
        tuple(f"word{rank}" for rank in ranks),
        tuple(f"T{rank % TAGS}" for rank in ranks),
    )


def measure_model(
    name: str, num_layers: int, hidden_dim: int, rows: int
) -> Row:
    """Returns the row of words per second in batches and one by one."""
    rng = random.Random(1)
    spelled = map("".join, itertools.product("bcdfgaeiou", repeat=5))
    words = list(itertools.islice(spelled, PIECES - len(SPECIAL_PIECES)))
    tokenizer = WordPiece((*SPECIAL_PIECES, *words), do_lower_case=True)
    sentences = [
        " ".join(rng.choices(words, k=rng.randint(*LENGTHS)))
        for _ in range(rows)
    ]
    ask = random_model(num_layers, hidden_dim)
    forms: dict[str, Callable[[], list]] = {
        "batches": lambda: in_batches(sentences, ask, tokenizer),
        "one by one": lambda: one_by_one(sentences, ask, tokenizer),
    }
    made: dict[str, list] = {}

    def run(name: str) -> None:
        made[name] = forms[name]()

    seconds = in_turns(
        {
            "batches": lambda: run("batches"),
            "one by one": lambda: run("one by one"),
        },
        TURNS,
    )
    asked = sum(len(sentence.split()) for sentence in sentences)
    equal = sum(a == b for a, b in zip(*made.values(), strict=True))
    # Elsewhere two logits are so close that the shape decides.
    facts = rates(seconds, asked, "words") | {"equal": round(equal / rows, 3)}
    ratio = seconds["one by one"] / seconds["batches"]
    return Row(f"masked LM of {name}, batches to one by one", ratio, AIM, facts)


def random_model(num_layers: int, hidden_dim: int) -> Ask:
    """A masked LM in a graph for each shape of its inputs."""
    # Processes that make samples import this module, too.
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns of several graphs
    from tfdistill.models.bert import Bert
    from tfdistill.models.configuration import BertConfig

    model = Bert(
        BertConfig(
            num_layers=num_layers, hidden_dim=hidden_dim, initializer_range=0.1
        ),
        heads=("masked_lm",),
    )

    @tf.function(autograph=False)
    def logits(features: dict) -> tf.Tensor:
        return model(features, reads=frozenset({"logits"}))["logits"][:, 0]

    def ask(
        *,
        input_ids: np.ndarray,
        input_mask: np.ndarray,
        segment_ids: np.ndarray,
        positions: np.ndarray,
    ) -> np.ndarray:
        features = {
            "input_ids": input_ids,
            "input_mask": input_mask,
            "segment_ids": segment_ids,
            "masked_lm_positions": positions[:, None],
        }
        tensors = {name: tf.constant(v) for name, v in features.items()}
        return logits(tensors).numpy()

    return ask


def in_batches(
    sentences: list[str], ask: Ask, tokenizer: WordPiece
) -> list[list[str]]:
    """Variants of each sentence, as this toolkit makes them."""
    rows = tinybert_variants(
        [(sentence,) for sentence in sentences],
        ask=ask,
        tokenizer=tokenizer,
        vectors=None,
        rounds=ROUNDS,
        seed=1,
    )
    return [[text for (text,) in row] for row in rows]


def one_by_one(
    sentences: list[str], ask: Ask, tokenizer: WordPiece
) -> list[list[str]]:
    """Variants of each sentence, a call of the model for each word."""
    made = []
    for number, sentence in enumerate(sentences):
        words = sentence.split()
        candidates = {}
        for place in range(len(words)):
            # The published code tokenises the sentence for every word.
            [pieces] = tokenizer.tokenize([sentence])
            sep_id = tokenizer.sep_id
            ids = [tokenizer.cls_id, *pieces, sep_id, *pieces, sep_id]
            ids[place + 1] = tokenizer.mask_id
            length = -(-len(ids) // 16) * 16  # few graphs
            numbers = np.arange(length)[None]
            row = np.zeros((1, length), np.int32)
            row[0, : len(ids)] = ids
            is_real = numbers < len(ids)
            is_second = is_real & (numbers >= len(pieces) + 2)
            [logits] = ask(
                input_ids=row,
                input_mask=is_real.astype(np.int32),
                segment_ids=is_second.astype(np.int32),
                positions=np.array([place + 1], np.int32),
            )
            best = np.argpartition(-logits, NUM_CANDIDATES)[:NUM_CANDIDATES]
            candidates[place] = whole_words(
                tokenizer.vocabulary[i] for i in sorted(best.tolist())
            )
        made.append(
            vary(
                sentence,
                words,
                candidates,
                rounds=ROUNDS,
                replace_prob=REPLACE_PROB,
                rng=random.Random(f"1 {number}"),
            )
        )
    return made


if __name__ == "__main__":
    main()
