"""Every option of the toolkit, grouped by what it is about.

Flags name an artefact or a quantity, never its role in one command, and
carry BERT's published names where BERT has one.
"""

import dataclasses

from tfdistill.config.data_options import (
    Augmentation,
    Corpus,
    Examples,
    Masking,
    Tables,
)
from tfdistill.config.fields import Options, option
from tfdistill.config.generation import Decoding, ParallelText
from tfdistill.config.inference import Inference, Knowledge
from tfdistill.config.question_answering import Answering, Windows


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
    vocab_file: str = option(
        "",
        "WordPiece vocabulary, one piece per line; or vocab.json of byte-level "
        "BPE, with merges.txt beside it. Of a language model: such a "
        "vocab.json, or words.txt, one word a line. Of translation and "
        "summarisation: pieces.txt, with vocab.txt beside it, or a "
        "SentencePiece ….model.",
    )
    words_file: str = option(
        "",
        "Whole words, one a line, for students that read word vectors; "
        "make_vocab learns them from a task's tables.",
    )
    records: str = option("", "Folder of training records, or a glob.")
    eval_records: str = option("", "Folder of held-out records, or a glob.")
    test_records: str = option("", "Folder of records to predict.")
    predictions: str = option(
        "",
        "Folder for predictions, in GLUE's or SQuAD's layout where there is "
        "one.",
    )
    input: str = option(
        "",
        "One table of sentences, as augment writes it, in the place of the "
        "one in --data_dir; or a SQuAD JSON that --records are made from; or "
        "texts to predict, - for standard input.",
    )
    eval_input: str = option(
        "", "SQuAD JSON that --eval_records are made from."
    )
    source_file: str = option(
        "",
        "Text with a source on each line, or several files with commas "
        "between them.",
    )
    target_file: str = option(
        "", "What is to be written of each line of --source_file."
    )
    eval_source_file: str = option("", "As --source_file, for --eval_records.")
    eval_target_file: str = option("", "As --target_file, for --eval_records.")
    test_source_file: str = option("", "As --source_file, for --test_records.")
    test_target_file: str = option("", "As --target_file, for --test_records.")
    word_pieces_file: str = option(
        "",
        "BERT's vocab.txt that the pieces which source and target share are "
        "made of; empty: such a vocabulary is learnt.",
    )
    output: str = option(
        "",
        "What augment, report or export writes: a table, page or folder; "
        "or predict for --input, empty for standard output.",
    )
    vectors_file: str = option(
        "", "Word vectors: GloVe's or word2vec's text, or word2vec's binary."
    )
    data_dir: str = option(
        "",
        "Folder with a task's tables: a folder of GLUE, or train, dev and "
        "test as .tsv, .csv or .jsonl.",
    )
    knowledge_records: str = option(
        "", "Folder of training records that carry teacher knowledge."
    )
    model: str = option(
        "",
        "Model that finetune starts from: a folder as for --teacher, or a "
        "spec such as bert(num_layers=4, hidden_dim=312), gpt2 or "
        "transformer_xl; what augment asks.",
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
        "teacher_layers(layers=[0, 5]), bilstm(hidden_dim=150), "
        "siamese_bilstm, kim_cnn, conv_rnn, seq2seq(num_layers=6, "
        "hidden_dim=512), or a model folder.",
    )
    output_dir: str = option(
        "", "Folder for the table and the plot of knowledge_report."
    )
    run_dir: str = option(
        "", "Run directory; evaluate takes any model folder here."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class General(Options):
    """What is done, with which seed and how many processes for text."""

    task: str = option(
        "mlm",
        "Task: mlm; causal_lm; of GLUE cola, sst2, mrpc, qqp, stsb, mnli, "
        "mnli_mm, qnli, rte, wnli, ax, or xnli; classification or regression of your own "
        "sentences or pairs; squad_v1 or squad_v2; translation or "
        "summarisation, and cmlm for a teacher of these.",
    )
    random_seed: int = option(12345, "Seed of everything random.", minimum=0)
    num_processes: int = option(
        0,
        "Processes for text work, or runs of a sweep at a time; 0: one per "
        "core, for runs one per GPU where there are any.",
        minimum=0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(Options):
    """What a sweep goes over."""

    sweep: str = option("", "File with the axes of a sweep and their points.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(Options):
    """What a model is exported as."""

    format: str = option(
        "preset",
        "preset (of keras-nlp), saved_model (text in, tokenizer inside), "
        "tflite, tflite_int8 (weights of 8 bits), or onnx.",
        choices=("preset", "saved_model", "tflite", "tflite_int8", "onnx"),
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
class Training(Options):
    """The training loop."""

    objective: tuple[str, ...] = option(
        (),
        "Objective, may be repeated: soft_targets(weight=1, temperature=1, "
        "tail=auto), labels(weight=1), next_sentence(weight=1).",
    )
    train_batch_size: int = option(
        32,
        "Examples in a step, over all replicas.",
        minimum=1,
        maximum=1 << 20,
    )
    train_batch_tokens: int = option(
        0,
        "Padded tokens in a step, of sources and targets, in batches of "
        "examples of like length, filled up to what replicas and "
        "micro-batches divide; 0: --train_batch_size examples.",
        minimum=0,
    )
    token_window: int = option(
        16384,
        "Examples whose batches are made at a time of --train_batch_tokens.",
        minimum=1,
    )
    accumulation_steps: int = option(
        1, "Micro-batches that a step's batch is cut into.", minimum=1
    )
    num_train_steps: int = option(100_000, "Steps of the optimizer.", minimum=1)
    num_warmup_steps: int = option(
        10_000, "Steps of linear warm-up.", minimum=0
    )
    num_train_epochs: float = option(
        0.0,
        "Times that the records are gone through; where it is given, "
        "--num_train_steps and --num_warmup_steps follow from it.",
        minimum=0.0,
    )
    warmup_proportion: float = option(
        0.1,
        "Share of the steps of --num_train_epochs that are warm-up.",
        minimum=0.0,
        maximum=1.0,
    )
    length_window: int = option(
        1,
        "Batches whose examples are dealt out anew, those of like length "
        "together; 1: none.",
        minimum=1,
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
        "bert_adam (as published: no bias correction), adamw, or adadelta.",
    )
    schedule: str = option(
        "bert_linear",
        "bert_linear (as published: decays from step 0), "
        "warmup_linear (joins at the peak), noam (falls with the root of "
        "the step), or constant.",
        choices=("bert_linear", "warmup_linear", "noam", "constant"),
    )
    clip_norm: float = option(
        1.0, "Global norm that gradients are clipped to; 0: off.", minimum=0.0
    )
    gradient_compression: str = option(
        "none",
        "How gradients travel between replicas: none (float32), fp16 or bf16.",
        choices=("none", "fp16", "bf16"),
    )
    gradient_checkpointing: bool = option(
        False,
        "Keep the input of each layer only and compute the rest once more "
        "for gradients: less memory, more time, the same results.",
    )
    shuffle_buffer_size: int = option(
        100_000, "Records that are shuffled at a time.", minimum=1
    )
    save_checkpoints_steps: int = option(
        1000, "Steps between checkpoints.", minimum=1
    )
    keep_checkpoint_max: int = option(
        5,
        "Checkpoints kept, the newest ones; 0: one, and none once the run is "
        "finished.",
        minimum=0,
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
        "for instance masked_accuracy, or auto for the task's own; the best "
        "checkpoint is kept.",
    )
    early_stop_patience: int = option(
        3,
        "Evaluations without improvement before it stops; 0: it never does, "
        "but the best checkpoint is kept.",
        minimum=0,
    )


ALL: tuple[type[Options], ...] = (
    Artefacts,
    General,
    Sweep,
    Export,
    Devices,
    Corpus,
    Examples,
    Tables,
    Masking,
    Augmentation,
    Windows,
    ParallelText,
    Knowledge,
    Inference,
    Training,
    Answering,
    Decoding,
)
