"""BERT in torch, as it is commonly used: runs in an environment of its own.

It knows nothing of tfdistill: see `peer.py`, which talks with it. Each
request is a line of JSON, and so is each answer.
"""

import json
import sys
import time
from typing import Any

import torch
import transformers

from benchmarks.memory import memory


class Server:
    """What is asked for, by its name."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.kept: dict[str, list[dict]] = {}

    def load(self, **config: int) -> None:
        """Make a masked LM with random weights."""
        torch.manual_seed(1)
        self.model = transformers.BertForMaskedLM(
            transformers.BertConfig(
                vocab_size=config["vocabulary_size"],
                num_hidden_layers=config["num_layers"],
                hidden_size=config["hidden_dim"],
                num_attention_heads=config["num_heads"],
                intermediate_size=4 * config["hidden_dim"],
            )
        ).eval()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-4, weight_decay=0.01, fused=True
        )

    def keep(self, name: str, batches: list[dict]) -> None:
        """Keep batches under a name, as tensors."""
        self.kept[name] = [
            {k: torch.tensor(v) for k, v in batch.items()} for batch in batches
        ]

    @torch.inference_mode()
    def extract(self, name: str, k: int, is_gathered: bool) -> float:
        """Returns the seconds of a top-k over all kept batches."""
        started = time.perf_counter()
        for batch in self.kept[name]:
            logits = self._logits(batch, is_gathered)
            torch.log_softmax(logits, -1).topk(k)
        return time.perf_counter() - started

    def _logits(self, batch: dict, is_gathered: bool) -> torch.Tensor:
        """Returns logits at the masked slots, `[slots of all, V]`."""
        inputs = {
            "input_ids": batch["input_ids"],
            "attention_mask": batch["input_mask"],
            "token_type_ids": batch["segment_ids"],
        }
        slots = batch["slots"]
        if not is_gathered:
            return self.model(**inputs).logits.flatten(0, 1)[slots]
        hidden = self.model.bert(**inputs).last_hidden_state
        return self.model.cls(hidden.flatten(0, 1)[slots])

    def train(self, name: str, k: int) -> float:
        """Returns the seconds of a step on each batch, with top k known."""
        self.model.train()
        started = time.perf_counter()
        for batch in self.kept[name]:
            logits = self._logits(batch, is_gathered=True)
            found = torch.log_softmax(logits, -1).gather(
                1, batch["teacher_ids"].view(-1, k)
            )
            known = batch["teacher_log_probs"].view(-1, k).exp()
            loss = -(known * found).sum() / len(known)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
        loss.item()
        return time.perf_counter() - started

    def memory(self) -> dict[str, int]:
        """Returns what the process has `now`, and its `peak`, in bytes."""
        return memory()


def main() -> None:
    """Answer until the input ends."""
    server = Server()
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        answer = getattr(server, asked.pop("request"))(**asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
