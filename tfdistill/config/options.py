"""Every option of the toolkit, grouped by what it is about.

Flags name an artefact or a quantity, never its role in one command, and
carry BERT's published names where BERT has one.
"""

import dataclasses

from tfdistill.config.fields import Options, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artefacts(Options):
    """Files and folders that commands read and write."""

    dump: str = option(
        "",
        "Wikipedia dump (.xml, .xml.bz2), a folder or file of extracted "
        "--json lines, or plain text.",
    )
    text: str = option(
        "",
        "Folder (or one file) of text: one sentence per line, a blank line "
        "between documents.",
    )
    vocab_file: str = option("", "WordPiece vocabulary, one piece per line.")
    records: str = option("", "Folder of training records, or a glob.")
    eval_records: str = option("", "Folder of held-out records, or a glob.")
    knowledge_records: str = option(
        "", "Folder of training records that carry teacher knowledge."
    )
    model: str = option(
        "",
        "Model that finetune starts from: a folder as for --teacher, or a "
        "spec such as bert(num_layers=4, hidden_dim=312).",
    )
    teacher: str = option(
        "",
        "Teacher: a run directory, a keras-nlp preset folder, a Hugging "
        "Face folder or a Google BERT folder. Of several, separated by "
        "commas, the probabilities are averaged.",
    )
    student: str = option(
        "",
        "Student: bert(num_layers=4, hidden_dim=312), "
        "teacher_layers(layers=[0, 5]), or a model folder.",
    )
    run_dir: str = option(
        "", "Run directory; evaluate takes any model folder here."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class General(Options):
    """What is done, with which seed and how many processes for text."""

    task: str = option("mlm", "Task: mlm.")
    random_seed: int = option(12345, "Seed of everything random.", minimum=0)
    num_processes: int = option(
        0, "Processes for text work; 0: one per core.", minimum=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices(Options):
    """Where models run."""

    replicas: str = option(
        "auto",
        "one; mirrored (all devices of this process); horovod or "
        "multi_worker (all processes that mpirun or srun has started); or "
        "auto.",
        choices=("auto", "one", "mirrored", "multi_worker", "horovod"),
    )
    num_devices: int = option(
        0,
        "Devices of a process; on a machine without GPUs, mirrored makes "
        "this many of its CPU. 0: all there are.",
        minimum=0,
        maximum=256,
    )


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masking(Options):
    """How masked-LM examples are made from text."""

    max_seq_length: int = option(
        128,
        "Tokens in an example, special ones included.",
        minimum=8,
        maximum=1 << 16,
    )
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
    record_layout: str = option(
        "packed",
        "packed, or plain: int64 and float lists as BERT's own scripts "
        "write them.",
        choices=("packed", "plain"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knowledge(Options):
    """What is stored of the teacher."""

    knowledge: str = option(
        "top_k(k=10)",
        "Codec: top_k(k=10), or top_k(k=all) for the whole distribution.",
    )
    predict_batch_size: int = option(
        32,
        "Examples in a batch of inference; extract_teacher gives each "
        "device as many.",
        minimum=1,
        maximum=1 << 20,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Options):
    """The training loop."""

    objective: tuple[str, ...] = option(
        (),
        "Objective, may be repeated: soft_targets(weight=1, temperature=1, "
        "tail=left_out), labels(weight=1), next_sentence(weight=1).",
    )
    train_batch_size: int = option(
        32,
        "Examples in a step, over all replicas.",
        minimum=1,
        maximum=1 << 20,
    )
    accumulation_steps: int = option(
        1, "Micro-batches that a step's batch is cut into.", minimum=1
    )
    num_train_steps: int = option(100_000, "Steps of the optimizer.", minimum=1)
    num_warmup_steps: int = option(
        10_000, "Steps of linear warm-up.", minimum=0
    )
    learning_rate: float = option(5e-5, "Peak learning rate.", minimum=0.0)
    learning_rate_scaling: str = option(
        "none",
        "How the rate grows with --train_batch_size over --base_batch_size: "
        "none, linear, or sqrt.",
        choices=("none", "linear", "sqrt"),
    )
    base_batch_size: int = option(
        32, "Batch size that --learning_rate is for.", minimum=1
    )
    optimizer: str = option(
        "bert_adam(weight_decay=0.01)",
        "bert_adam (as published: no bias correction), or adamw.",
    )
    schedule: str = option(
        "bert_linear",
        "bert_linear (as published: decays from step 0), "
        "warmup_linear (joins at the peak), or constant.",
        choices=("bert_linear", "warmup_linear", "constant"),
    )
    clip_norm: float = option(
        1.0, "Global norm that gradients are clipped to; 0: off.", minimum=0.0
    )
    gradient_compression: str = option(
        "none",
        "How gradients travel between replicas: none (float32), fp16 or bf16.",
        choices=("none", "fp16", "bf16"),
    )
    shuffle_buffer_size: int = option(
        100_000, "Records in the shuffle buffer.", minimum=1
    )
    save_checkpoints_steps: int = option(
        1000, "Steps between checkpoints.", minimum=1
    )
    keep_checkpoint_max: int = option(
        5, "Checkpoints kept, the newest ones.", minimum=1
    )
    log_every_steps: int = option(50, "Steps between summaries.", minimum=1)
    eval_every_steps: int = option(
        0,
        "Steps between evaluations on --eval_records; 0: with every "
        "checkpoint.",
        minimum=0,
    )
    max_eval_steps: int = option(
        0, "Batches of an evaluation during training; 0: all.", minimum=0
    )
    early_stop_metric: str = option(
        "",
        "Evaluation metric that stops training when it no longer improves, "
        "for instance masked_accuracy; the best checkpoint is kept.",
    )
    early_stop_patience: int = option(
        3, "Evaluations without improvement before it stops.", minimum=1
    )


ALL: tuple[type[Options], ...] = (
    Artefacts,
    General,
    Devices,
    Corpus,
    Masking,
    Knowledge,
    Training,
)
