"""An encoder trained by replicas equals the one trained on one device; the workers are in `make test-distribution`."""

from __future__ import annotations

import pytest

from glrg_tf.encoders.presets import nano_spec
from glrg_tf.encoders.stream import StreamEncoder
from glrg_tf.errors import ConfigError
from tests.training import distributed_encoders
from training.encoder_config import EncoderTraining
from training.encoder_step import EncoderStep


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path):
    """Batch normalisation, dropout, augmentation, batches of 5 (places for 2 and 3), and the two are stopped once."""
    table = distributed_encoders.write_videos(tmp_path)
    jobs = [(table, tmp_path / way, way, "long_range", 2) for way in ("one", "mirrored")]
    ((one, mirrored),) = distributed_encoders.run_jobs(jobs)
    found = distributed_encoders.difference(one, mirrored)
    assert len(one["losses"]) == 6 and one["losses"][-1] < one["losses"][0]
    assert found["loss"] < 1e-5 and found["val"] < 1e-5 and found["probabilities"] < 1e-5, found


def test_more_replicas_than_positions_are_refused():
    class Strategy:
        num_replicas_in_sync = 9

    stream = StreamEncoder.build(nano_spec("keyframe", ("a", "b")), 1)
    with pytest.raises(ConfigError, match="8 positions cannot be shared by 9"):
        EncoderStep(stream, EncoderTraining(batch_size=8), 1, Strategy())
