"""A tiny student of ten words with labelled sentences in GLUE's form, and a space that measures its accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WORDS = ("[PAD]", "[UNK]", "good", "bad", "film", "a", "very", "not", "plot", "music")
INHIBITOR = "inhibitor:per_head=true,normalise=sqrt"
SPACE = """
objectives = ["energy_uj", "latency_ms", "accuracy"]
constraints = ["area_mm2 <= 3"]

[knobs]
model = "{root}/dot"
attention = ["dot", "{inhibitor}"]
seq = [4, 8, 12, 16, 20]
widths = ["w8a8", "w4a8"]
target = "edge-asic"
array = ["4x4", "8x8", "16x16", "32x32", "64x64"]
lanes = [16, 64]

[accuracy]
task = "sst2"
limit = 40
data_dir = "{root}"
checkpoints = {{dot = "{root}/dot", "{inhibitor}" = "{root}/inhibitor"}}
"""


def make_students(root: Path) -> Path:
    """Two checkpoints, 60 labelled sentences, and `space.toml`: 200 points, 4 accuracies. Returns the space."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    from models.attention.cores import install
    from models.attention.mechanisms import parse_mechanism
    from models.zoo.checkpoint import save_checkpoint

    config = {
        "vocab_size": len(WORDS),
        "max_position_embeddings": 24,
        "n_layers": 1,
        "n_heads": 2,
        "num_labels": 2,
    }
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    for name, attention in (("dot", "dot"), ("inhibitor", INHIBITOR)):
        torch.manual_seed(3)
        model = DistilBertForSequenceClassification(DistilBertConfig(dim=16, hidden_dim=24, **config))
        model = install(model, parse_mechanism(attention))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    torch.nn.init.normal_(weight, std=0.4)
        save_checkpoint(model.eval(), root / name)
        tokenizer.save(str(root / name / "tokenizer.json"))
    rng = np.random.default_rng(0)
    rows = [(" ".join(rng.choice(WORDS[2:], rng.integers(1, 12))), rng.integers(0, 2)) for _ in range(60)]
    (root / "SST-2").mkdir()
    lines = "".join(f"{sentence}\t{label}\n" for sentence, label in rows)
    (root / "SST-2" / "dev.tsv").write_text("sentence\tlabel\n" + lines)
    space = root / "space.toml"
    space.write_text(SPACE.format(root=root, inhibitor=INHIBITOR))
    return space
