"""A format of one's own is known to `import_dataset` and to the command line."""

from __future__ import annotations

import pytest

from glrg_cli.main import main
from glrg_tf.data import importers
from glrg_tf.data.dataset import CaptionDataset
from glrg_tf.data.record import VideoRecord
from glrg_tf.errors import ConfigError


def read(sources, options):
    records = [VideoRecord(name, "", (f"a {name} moves",)) for name in sources[0].read_text().split()]
    return importers.Annotations("names", records, [str(sources[0])])


def test_a_registered_format(tmp_path, monkeypatch):
    monkeypatch.setattr(importers, "FORMATS", dict(importers.FORMATS))
    monkeypatch.setattr(importers, "_OWN", {})
    monkeypatch.setattr("glrg_cli.data.FORMATS", importers.FORMATS)
    importers.register_importer("names", "a file of names", read)
    (tmp_path / "names.txt").write_text("ball star moon heart")
    assert main(["data", "import", "names", str(tmp_path / "names.txt"), "--out", str(tmp_path / "data")]) == 0
    records = CaptionDataset.load(tmp_path / "data").records()
    assert [record.id for record in records] == ["ball", "star", "moon", "heart"] and all(r.split for r in records)
    with pytest.raises(ConfigError, match="built-in"):
        importers.register_importer("table", "mine", read)
