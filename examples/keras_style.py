"""A captioner in Python, in the manner of KerasHub: load, look inside, caption, fine-tune, save.

    python examples/keras_style.py clip.mp4 [DATASET]

DATASET, a folder of `glrg data import` with features of the captioner's streams, is trained on for two epochs.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile

from glrg_tf.captioner.captioner import VideoCaptioner
from training.curriculum import make_plan, train
from training.recipes import get_recipe

video, dataset = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None

# === Load: a preset, a run, or a captioner folder ===
captioner = VideoCaptioner.from_preset("world-nano")

# === Look inside: functional Keras models ===
captioner.model.encoder.summary()  # features (B, D) -> video embedding
print("weights:", {name: tuple(value.shape) for name, value in captioner.model.variables_by_name().items()})

# === Caption: videos, or features float32 (N, D) ===
for caption in captioner.generate([video], num_captions=3)[0]:
    print(f"{caption.score:6.2f}  {caption.text}")
features = captioner.encode_videos([video])  # float32 (1, D), once
greedy = captioner.generate(features, beam_size=1)[0][0]
print("greedy:", greedy.text, [round(value, 2) for value in greedy.token_log_probs])

with tempfile.TemporaryDirectory() as work:
    # === Fine-tune: same words, weights as a start ===
    if dataset is not None:
        config = get_recipe("world").config
        slow = dataclasses.replace(config.dxe, epochs=2, learning_rate=1e-4)
        config = dataclasses.replace(config, dxe=slow)
        plan = make_plan(dataset, f"{work}/run", config, ("dxe",), start="world-nano")
        plan = dataclasses.replace(plan, encoder=captioner.encoders)  # the result reads videos, too
        best = train(plan)["dxe"]
        captioner = VideoCaptioner.from_preset(best)
        print("fine-tuned:", captioner.generate([video])[0][0].text)

    # === Save ===
    captioner.save_to_preset(f"{work}/mine", card="# My captioner\n")
    print("saved and loaded:", VideoCaptioner.from_preset(f"{work}/mine").generate(features)[0][0].text)
