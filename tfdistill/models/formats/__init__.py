"""Model folders of every known format, read into one kind of model."""

from tfdistill.models.formats.loading import (
    READERS,
    LoadedModel,
    load_model,
    read_model,
)

__all__ = ["READERS", "LoadedModel", "load_model", "read_model"]
