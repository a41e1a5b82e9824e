"""Whether records and models fit each other: vocabulary and length."""

from tfdistill.models.formats import LoadedModel
from tfdistill.models.masked_lm import MaskedLM
from tfdistill.records import RecordSet
from tfdistill.text.tokenizer import (
    Tokenizer,
    read_vocabulary,
    vocabulary_fingerprint,
)


def tokenizer_of(
    records: RecordSet,
    model: LoadedModel | None,
    vocab_file: str,
    casing: bool,
    *,
    role: str = "model",
) -> Tokenizer:
    """Find the vocabulary of records: their own, a model's, or a file.

    All that are known must agree. `role` says in messages which model it is.

    Raises:
        ValueError: They differ, or there is none.
    """
    if records.vocabulary_file is not None:
        tokenizer = Tokenizer(
            read_vocabulary(records.vocabulary_file),
            do_lower_case=records.identity["do_lower_case"],
            source=str(records.vocabulary_file),
        )
    elif model is not None:
        tokenizer = Tokenizer(
            model.vocabulary, do_lower_case=model.do_lower_case
        )
    elif vocab_file:
        tokenizer = Tokenizer(
            read_vocabulary(vocab_file), do_lower_case=casing, source=vocab_file
        )
    else:
        raise ValueError(
            f"{records.path} does not say which vocabulary it was made "
            "with; --vocab_file is needed."
        )
    records.check_tokenizer(tokenizer.fingerprint, "its own vocab.txt")
    if vocab_file:
        given = Tokenizer(
            read_vocabulary(vocab_file),
            do_lower_case=tokenizer.do_lower_case,
            source=vocab_file,
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
    theirs = vocabulary_fingerprint(model.vocabulary, model.do_lower_case)
    if theirs != tokenizer.fingerprint:
        raise ValueError(
            f"The {role} has another vocabulary or casing "
            f"({theirs[:12]}…, {len(model.vocabulary)} pieces) "
            f"than {whose} ({tokenizer.fingerprint[:12]}…, "
            f"{len(tokenizer.vocabulary)} pieces)."
        )


def check_length(
    model: MaskedLM, records: RecordSet, role: str = "model"
) -> None:
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
