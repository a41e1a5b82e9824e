"""Transformers that read a text and write another."""

from tfdistill.models.seq2seq.configuration import Seq2SeqConfig
from tfdistill.models.seq2seq.model import Seq2Seq

__all__ = ["Seq2Seq", "Seq2SeqConfig"]
