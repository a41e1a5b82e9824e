"""Options on data: text, tables, masks, augmentation."""

import dataclasses

from tfdistill.config.fields import Options, option

_CAUSAL = ("causal_lm", "conditional_lm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus(Options):
    """How text is cut, and the vocabulary learnt from it."""

    text_shard_bytes: int = option(
        16 << 20, "Bytes of text per shard.", minimum=1 << 10
    )
    do_lower_case: bool = option(
        True, "Lower-case and strip accents, as uncased BERT does."
    )
    vocab_size: int = option(
        30522, "Pieces of a learnt vocabulary, at most.", minimum=16
    )
    min_word_count: int = option(
        1,
        "Times that a word must occur to be among those of --words_file.",
        minimum=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples(Options):
    """How long examples are, and how they are stored."""

    max_seq_length: int = option(
        128,
        "Tokens in an example, special ones included.",
        minimum=8,
        maximum=1 << 16,
    )
    record_layout: str = option(
        "packed",
        "packed, or plain: int64 and float lists as BERT's own scripts "
        "write them.",
        choices=("packed", "plain"),
    )
    record_compression: str = option(
        "none",
        "zlib, or none: how shards are compressed, and those of knowledge "
        "that is added to them.",
        choices=("none", "zlib"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tables(Options):
    """Where tables of sentences have what."""

    text_column: str = option(
        "sentence", "Column of the sentence, of the first one of a pair."
    )
    pair_column: str = option("", "Column of a pair's second sentence, if any.")
    label_column: str = option("label", "Column of the class or score.")
    labels: str = option(
        "",
        "Classes in their order, separated by commas; empty: those of the "
        "training table, sorted.",
    )
    examples_per_shard: int = option(
        8192, "Examples in a shard of sentences.", minimum=1
    )
    records_for: str = option(
        "task",
        "What records of a task's tables are for: the task; causal_lm, a "
        "language model of its sentences, which make_vocab can learn a "
        "vocabulary for; conditional_lm, one that writes the second sentence "
        "of a pair for the first; or mlm, a masked LM of them.",
        choices=("task", *_CAUSAL, "mlm"),
    )
    input_format: str = option(
        "auto",
        "What predict reads from --input: text (a sentence a line), tsv, csv "
        "or jsonl; auto: as the suffix says, else text.",
        choices=("auto", "text", "tsv", "csv", "jsonl"),
    )

    @property
    def are_for_causal_lm(self) -> bool:
        """Whether records are for a model that reads from left to right."""
        return self.records_for in _CAUSAL


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masking(Options):
    """How masked-LM examples are made from text."""

    max_predictions_per_seq: int = option(
        20,
        "Masked positions in an example, at most.",
        minimum=1,
        maximum=1 << 16,
    )
    masked_lm_prob: float = option(
        0.15, "Share of the tokens to mask.", minimum=0.0, maximum=1.0
    )
    short_seq_prob: float = option(
        0.1,
        "Probability that a document is cut into shorter examples.",
        minimum=0.0,
        maximum=1.0,
    )
    dupe_factor: int = option(
        10, "Times the text is gone through with other masks.", minimum=1
    )
    do_whole_word_mask: bool = option(
        False, "Mask all pieces of a word together."
    )
    use_next_sentence_label: bool = option(
        True,
        "Sentence pairs with next-sentence labels; without, examples are "
        "packed full with sentences of one document.",
    )
    dynamic_masking: bool = option(
        False,
        "Store examples unmasked, once, and draw the masks anew in every "
        "epoch of training.",
    )
    eval_fraction: float = option(
        0.0,
        "Share of the documents that goes to --eval_records; the choice "
        "depends on a document's text alone.",
        minimum=0.0,
        maximum=0.5,
    )
    record_unit_bytes: int = option(
        4 << 20,
        "Bytes of text that one record shard is made from.",
        minimum=1 << 10,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation(Options):
    """How more sentences are made of those of a task."""

    method: str = option(
        "rules",
        "rules (D-BERT: masks, words with the same tag, n-grams), lm (samples "
        "of a language model), mlm (words filled in by a masked LM) or "
        "tinybert (a masked LM's candidates and neighbours by word vectors).",
        choices=("rules", "lm", "mlm", "tinybert"),
    )
    augment_rounds: int = option(
        0,
        "Samples to try for each sentence or pair; 0: the published number.",
        minimum=0,
    )
    mask_prob: float = option(
        -1.0,
        "Share of words to mask; -1: the published one (rules 0.1, mlm 0.2).",
        minimum=-1.0,
        maximum=1.0,
    )
    replace_prob: float = option(
        -1.0,
        "Share of words to replace; -1: the published one (rules 0.1, "
        "tinybert 0.4).",
        minimum=-1.0,
        maximum=1.0,
    )
    window_prob: float = option(
        0.25,
        "Rules: share of samples that are cut to an n-gram.",
        minimum=0.0,
        maximum=1.0,
    )
    num_samples: int = option(
        800_000,
        "lm: samples to draw, those included that are dropped as unfinished, "
        "malformed or repeated.",
        minimum=1,
    )
    temperature: float = option(
        1.0, "lm: temperature that tokens are drawn at.", minimum=1e-3
    )
    top_k: int = option(
        0,
        "lm: draw the K most probable tokens only; 0: all.",
        minimum=0,
    )
    top_p: float = option(
        1.0,
        "lm: draw only the most probable tokens that have this mass together.",
        minimum=1e-3,
        maximum=1.0,
    )
    language: str = option(
        "en", "Rules: language of the tagger.", choices=("en", "de")
    )
