"""Models for other programs, each proven on real inputs before it is kept."""

from tfdistill.exporting.card import model_card
from tfdistill.exporting.examples import RealExamples, read_examples
from tfdistill.exporting.formats import FORMATS, Format
from tfdistill.exporting.parity import check_parity

__all__ = [
    "FORMATS",
    "Format",
    "RealExamples",
    "check_parity",
    "model_card",
    "read_examples",
]
