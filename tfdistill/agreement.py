"""Whether records and models fit each other: vocabulary and length."""

from tfdistill.models.causal import CausalConfig
from tfdistill.models.conditional import ConditionalConfig
from tfdistill.models.configuration import BertConfig
from tfdistill.models.formats import LoadedModel
from tfdistill.models.kinds import kind_of
from tfdistill.models.outputs import Model
from tfdistill.models.words import WordConfig
from tfdistill.records import RecordSet
from tfdistill.text.tokenizer import Pieces, read_pieces
from tfdistill.text.words import Words, read_words


def tokenizer_of(
    records: RecordSet,
    model: LoadedModel | None,
    vocab_file: str,
    casing: bool,
    *,
    role: str = "model",
) -> Pieces:
    """Find the tokenizer of records: their own, a model's, or a file's.

    All that are known must agree. A model of words must have the words that
    records hold beside pieces.

    Args:
        records: The records.
        model: A model that is to read them, if any.
        vocab_file: A vocabulary, if any.
        casing: Whether that lower-cases text, where it does not say so.
        role: Which model it is, for messages.

    Raises:
        ValueError: They differ, or there is none.
    """
    tokenizer: Pieces
    if records.tokenizer_folder is not None:
        tokenizer = read_pieces(records.tokenizer_folder, records.identity)
    elif model is not None and not isinstance(model.tokenizer, Words):
        tokenizer = model.tokenizer
    elif vocab_file:
        tokenizer = read_pieces(vocab_file, {"do_lower_case": casing})
    else:
        raise ValueError(
            f"{records.path} does not say which vocabulary it was made "
            "with; --vocab_file is needed."
        )
    records.check_tokenizer(tokenizer.fingerprint, "its own vocabulary")
    if vocab_file:
        given = read_pieces(
            vocab_file, {"do_lower_case": casing} | tokenizer.settings
        )
        records.check_tokenizer(given.fingerprint, vocab_file)
        if given.fingerprint != tokenizer.fingerprint:
            # Records without a manifest do not know their vocabulary.
            raise ValueError(
                f"{vocab_file} is another vocabulary than the {role}'s."
            )
    if model is not None:
        check_vocabulary(model, tokenizer, records, role)
    return tokenizer


def words_of(records: RecordSet) -> Words | None:
    """Find the whole words that records hold beside pieces, if they do.

    Raises:
        ValueError: Their vocabulary was changed.
        OSError: It cannot be read.
    """
    made_with = records.identity.get("words")
    if made_with is None:
        return None
    words = read_words(records.path, made_with)
    if words.fingerprint != made_with["fingerprint"]:
        raise ValueError(
            f"{records.path} was made with other words than it has now."
        )
    return words


def check_vocabulary(
    model: LoadedModel,
    tokenizer: Pieces,
    records: RecordSet,
    role: str = "model",
) -> None:
    """Refuse a model whose vocabulary differs from that of records.

    Args:
        model: The model.
        tokenizer: Of the records' pieces.
        records: The records, which may hold words as well.
        role: Which model it is, for messages.

    Raises:
        ValueError: It differs.
    """
    theirs = model.tokenizer
    if isinstance(theirs, Words):
        check_words(theirs, records, role)
    elif theirs.fingerprint != tokenizer.fingerprint:
        raise ValueError(
            f"The {role} has another vocabulary or casing "
            f"({theirs.fingerprint[:12]}…, {len(theirs.vocabulary)} pieces) "
            f"than {records.path} ({tokenizer.fingerprint[:12]}…, "
            f"{len(tokenizer.vocabulary)} pieces)."
        )


def check_words(words: Words, records: RecordSet, role: str = "model") -> None:
    """Refuse records that do not hold the words that a model reads.

    Raises:
        ValueError: They hold pieces alone, or other words.
    """
    ours = words_of(records)
    if ours is None:
        raise ValueError(
            f"The {role} reads whole words, which {records.path} does not "
            "hold: make_records puts them there with --words_file."
        )
    if ours.fingerprint != words.fingerprint:
        raise ValueError(
            f"The {role} has other words or another casing "
            f"({words.fingerprint[:12]}…, {len(words.vocabulary)} words) than "
            f"{records.path} ({ours.fingerprint[:12]}…, "
            f"{len(ours.vocabulary)} words)."
        )


def check_length(model: Model, records: RecordSet, role: str = "model") -> None:
    """Refuse records that are empty or that a model cannot read.

    Raises:
        ValueError: They are empty or longer than its positions; or it reads
            one sentence and they hold two, or vice versa.
    """
    if records.examples == 0:
        raise ValueError(f"{records.path} holds no examples.")
    if isinstance(model.config, WordConfig):
        is_pair = records.schema.feature("word_segments") is not None
        if is_pair != model.config.is_pair:
            raise ValueError(
                f"The {role} is a {kind_of(model.config)}, which reads "
                + ("pairs" if model.config.is_pair else "single sentences")
                + f"; {records.path} holds "
                + ("pairs." if is_pair else "single sentences.")
            )
        return
    feature = records.schema.feature("input_ids")
    length = 0 if feature is None else feature.length
    if isinstance(model.config, ConditionalConfig):
        target = records.schema.feature("target_ids")
        # [CLS] and the [SEP] between both.
        length += 2 + (0 if target is None else target.length)
        most = model.config.bert.max_sequence_length
    elif isinstance(model.config, BertConfig):
        most = model.config.max_sequence_length
    elif isinstance(model.config, CausalConfig):
        most = model.config.most_tokens or length
    else:
        return
    if length > most:
        raise ValueError(
            f"{records.path} has max_seq_length={length}, but the {role} has "
            f"{most} positions (max_sequence_length)."
        )


def check_labels(held_out: RecordSet, records: RecordSet) -> None:
    """Refuse held-out records that training on others cannot be measured by.

    Raises:
        ValueError: They have other classes, or no labels.
    """
    for key in ("num_classes", "labels"):
        theirs, ours = held_out.identity.get(key), records.identity.get(key)
        if theirs != ours:
            raise ValueError(
                f"{held_out.path} has {key}={theirs}, {records.path} has "
                f"{ours}."
            )
    label_of = {"num_classes": "labels", "questions": "answer_positions"}
    for kind, label in label_of.items():
        if kind in held_out.identity and not held_out.schema.feature(label):
            raise ValueError(
                f"{held_out.path} holds no labels to compare with."
            )
