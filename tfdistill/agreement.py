"""Whether records and models fit each other: vocabulary and length."""

from tfdistill.models.bert import Bert
from tfdistill.models.formats import LoadedModel
from tfdistill.records import RecordSet
from tfdistill.text.tokenizer import Tokenizer, read_tokenizer


def tokenizer_of(
    records: RecordSet,
    model: LoadedModel | None,
    vocab_file: str,
    casing: bool,
    *,
    role: str = "model",
) -> Tokenizer:
    """Find the tokenizer of records: their own, a model's, or a file's.

    All that are known must agree.

    Args:
        records: The records.
        model: A model that is to read them, if any.
        vocab_file: A vocabulary, if any.
        casing: Whether that lower-cases text, where it does not say so.
        role: Which model it is, for messages.

    Raises:
        ValueError: They differ, or there is none.
    """
    tokenizer: Tokenizer
    if records.tokenizer_folder is not None:
        tokenizer = read_tokenizer(records.tokenizer_folder, records.identity)
    elif model is not None:
        tokenizer = model.tokenizer
    elif vocab_file:
        tokenizer = read_tokenizer(vocab_file, {"do_lower_case": casing})
    else:
        raise ValueError(
            f"{records.path} does not say which vocabulary it was made "
            "with; --vocab_file is needed."
        )
    records.check_tokenizer(tokenizer.fingerprint, "its own vocabulary")
    if vocab_file:
        given = read_tokenizer(
            vocab_file, {"do_lower_case": casing} | tokenizer.settings
        )
        records.check_tokenizer(given.fingerprint, vocab_file)
        if given.fingerprint != tokenizer.fingerprint:
            # Records without a manifest do not know their vocabulary.
            raise ValueError(
                f"{vocab_file} is another vocabulary than the {role}'s."
            )
    if model is not None:
        check_vocabulary(model, tokenizer, records.path, role)
    return tokenizer


def check_vocabulary(
    model: LoadedModel, tokenizer: Tokenizer, whose: str, role: str = "model"
) -> None:
    """Refuse a model whose vocabulary differs from that of records.

    Raises:
        ValueError: It differs.
    """
    theirs = model.tokenizer
    if theirs.fingerprint != tokenizer.fingerprint:
        raise ValueError(
            f"The {role} has another vocabulary or casing "
            f"({theirs.fingerprint[:12]}…, {len(theirs.vocabulary)} pieces) "
            f"than {whose} ({tokenizer.fingerprint[:12]}…, "
            f"{len(tokenizer.vocabulary)} pieces)."
        )


def check_length(model: Bert, records: RecordSet, role: str = "model") -> None:
    """Refuse records that are empty or longer than a model can read.

    Raises:
        ValueError: They are.
    """
    if records.examples == 0:
        raise ValueError(f"{records.path} holds no examples.")
    feature = records.schema.feature("input_ids")
    length = 0 if feature is None else feature.length
    if length > model.config.max_sequence_length:
        raise ValueError(
            f"{records.path} has max_seq_length={length}, but the {role} has "
            f"{model.config.max_sequence_length} positions "
            "(max_sequence_length)."
        )
