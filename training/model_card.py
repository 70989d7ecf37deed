"""The model card of a checkpoint: what a person who is handed the folder wants to know, in one page."""

from __future__ import annotations

from glrg_tf.captioner.captioner import VideoCaptioner
from training.config import PhaseConfig

_OBJECTIVES = {
    "xe": "cross-entropy (XE)",
    "dxe": "cross-entropy weighted by each caption's consensus score (DXE)",
    "dr": "discrepant reward (DR): CIDEr-D of sampled captions minus a baseline of the video",
}


def model_card(
    captioner: VideoCaptioner, phase: str, config: PhaseConfig, data: str, metrics: dict[str, float], seed: int
) -> str:
    """Markdown text.

    Args:
        captioner: what the card describes.
        phase: xe, dxe or dr.
        config: settings of that phase.
        data: one line on the training data and its licence.
        metrics: the epoch's metrics; empty before the first one ended.
        seed: of the run.
    """
    sizes = captioner.config
    parameters = sum(int(variable.value.shape.num_elements() or 0) for variable in captioner.model.trainable_variables)
    streams = ", ".join(f"{name} ({width})" for name, width in sizes.streams)
    reward = f", baseline {config.baseline}" if phase == "dr" else ""
    lines = [
        "# GL-RG video captioner",
        "",
        f"- **Reads** one vector of {sizes.feature_size} numbers a video: {streams}.",
        f"- **Says** sentences of {sizes.vocabulary_size:,} words, at most {captioner.decoding.max_words} words long.",
        f"- **Network**: {sizes.feature_pool} feature pool, one LSTM layer of {sizes.hidden_size};"
        f" {parameters:,} parameters, {4 * parameters / 2**20:.1f} MiB.",
        f"- **Trained** by {_OBJECTIVES[phase]}{reward}; learning rate {config.learning_rate:g}, seed {seed}.",
        f"- **Data**: {data}",
    ]
    if "epoch" in metrics:
        lines.append(f"- **State**: epoch {metrics['epoch']:.0f}, step {metrics['step']:.0f}.")
    if "val_cider" in metrics:
        beam = captioner.decoding.beam_size
        lines.append(
            f"- **Validation CIDEr** {100 * metrics['val_cider']:.1f} (our tokens, beam {beam});"
            " `glrg evaluate` gives coco-caption's scores on any split."
        )
    lines += ["", "Captions describe what such data describes; people, places and acts outside of it are guessed at."]
    return "\n".join(lines) + "\n"
