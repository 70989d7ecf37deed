"""The SavedModel where there is no Python of ours: TensorFlow's C API, its command line, and core operations only."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from export.core_ops import check_operations, operations
from export.runtimes import native
from glrg_tf.errors import ConfigError, ExportError


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    try:
        return native.build(tmp_path_factory.mktemp("native"))
    except ConfigError as error:
        pytest.skip(f"{error.what}: the C program is not tried here")


def test_c_program_captions_as_keras(program, exported, captioner, videos):
    found = native.caption(program, exported / "saved_model" / "1", videos)
    expected = [best[0] for best in captioner.generate(videos)]
    assert [text for _, text in found] == [caption.text for caption in expected]
    np.testing.assert_allclose([score for score, _ in found], [caption.score for caption in expected], atol=1e-5)


def test_c_program_says_what_is_wrong(program, exported, tmp_path, videos):
    with pytest.raises(ExportError, match="cannot load the model"):
        native.caption(program, tmp_path, videos)
    with pytest.raises(ExportError, match="cannot caption"):
        native.caption(program, exported / "saved_model" / "1", videos[:, :5])


def test_saved_model_cli_runs_it(exported, captioner, videos, tmp_path):
    np.save(tmp_path / "features.npy", videos[:3])
    words = ["run", "--dir", exported / "saved_model" / "1", "--tag_set", "serve", "--signature_def", "serving_default"]
    words += ["--inputs", f"features={tmp_path / 'features.npy'}"]
    tool = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    ran = subprocess.run([*tool, *map(str, words)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    printed = " ".join(ran.stdout.split())
    assert all(found[0].text in printed for found in captioner.generate(videos[:3]))


def test_only_core_operations_pass():
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def python_inside(values):
        return tf.numpy_function(lambda x: x, [values], tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def nested(values):
        return tf.while_loop(lambda x: tf.reduce_sum(x) < 10, lambda x: [x + 1], [values])

    check_operations(nested.get_concrete_function().graph.as_graph_def(), where="nested")
    assert "AddV2" in operations(nested.get_concrete_function().graph.as_graph_def())
    with pytest.raises(ExportError, match="PyFunc"):
        check_operations(python_inside.get_concrete_function().graph.as_graph_def(), where="python")


def test_the_onnx_example_captions_without_our_code(exported, captioner, videos, tmp_path, repository):
    np.save(tmp_path / "features.npy", videos)
    example = repository / "examples" / "onnx_python" / "caption.py"
    text = example.read_text("utf-8")
    assert len(text.splitlines()) < 60 and not {"import tensorflow", "import glrg_tf"} & set(text.splitlines())
    ran = subprocess.run([sys.executable, example, exported, tmp_path / "features.npy"], capture_output=True, text=True)
    printed = [line.split("\t") for line in ran.stdout.splitlines()]
    assert [row[2] for row in printed] == [found[0].text for found in captioner.generate(videos)], ran.stderr
