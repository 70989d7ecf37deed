"""Hostile pickles and torch files. Those that would act, if anybody ran them, would create the file `marker`."""

from __future__ import annotations

import io
import pathlib
import struct
import zipfile
from typing import Any

from tests.io.torch_files import LEGACY_MAGIC, Raw, Writer, write_legacy, write_zip

MARK, STOP = b"(", b"."


def _text(value: str) -> bytes:
    return Writer().part(value)


def pickles(marker: pathlib.Path) -> dict[str, bytes]:
    """Hostile pickles by name."""
    touch = _text(f"touch {marker}")
    code = _text(f"open({str(marker)!r}, 'w')")
    return {**_callers(touch, code), **_structures(), **_sizes(), **_arrays(touch)}


def _callers(touch: bytes, code: bytes) -> dict[str, bytes]:
    """Names that would run something."""

    def call(name: str, *arguments: bytes) -> bytes:
        return f"c{name}\n".encode() + MARK + b"".join(arguments) + b"tR."

    nested = b"\x80\x02" + call("os\nsystem", touch)
    return {
        "reduce_os_system": call("os\nsystem", touch),
        "reduce_posix_system": call("posix\nsystem", touch),
        "reduce_nt_system": call("nt\nsystem", touch),
        "reduce_eval": call("builtins\neval", code),
        "reduce_exec": call("__builtin__\nexec", code),
        "reduce_import": call("builtins\n__import__", _text("antigravity")),
        "reduce_getattr": call("builtins\ngetattr", b"cos\nsystem\n", _text("__call__")),
        "reduce_open": call("io\nopen", touch, _text("w")),
        "reduce_popen": call("subprocess\nPopen", b"](" + touch + b"e"),
        "reduce_pty": call("pty\nspawn", touch),
        "reduce_map": call("builtins\nmap", b"cos\nsystem\n", b"](" + touch + b"e"),
        "reduce_attrgetter": call("operator\nattrgetter", _text("system")),
        "reduce_partial": call("functools\npartial", b"cos\nsystem\n", touch),
        "reduce_runpy": call("runpy\n_run_code", code, b"}"),
        "reduce_importlib": call("importlib\nimport_module", _text("this")),
        "reduce_pickle_loads": call("pickle\nloads", Writer().part(Raw(b"C" + bytes([len(nested)]) + nested))),
        "reduce_torch_load_from_bytes": call("torch.storage\n_load_from_bytes", _text("x")),
        "reduce_torch_hub": call("torch.hub\nload", _text("evil/repo"), _text("model")),
        "reduce_numpy_load": call("numpy\nload", touch),
        "reduce_numpy_runstring": call("numpy.testing._private.utils\nrunstring", code, b"}"),
        "reduce_main": call("__main__\nHostile", touch),
        "reduce_dotted": b"\x80\x04\x8c\x08builtins\x8c\x0feval.__call__.eq\x93" + MARK + code + b"tR.",
        "reduce_a_string": touch + MARK + b"tR.",
        "stack_global_os": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + MARK + touch + b"tR.",
        "stack_global_of_bytes": b"\x80\x04C\x02osC\x06system\x93" + MARK + touch + b"tR.",
        "global_alone": b"cos\nsystem\n.",
        "inst": MARK + touch + b"ios\nsystem\n.",
        "obj": MARK + b"cos\nsystem\n" + touch + b"o.",
        "newobj": b"\x80\x02csubprocess\nPopen\n" + touch + b"\x85\x81.",
        "newobj_ex": b"\x80\x04csubprocess\nPopen\n" + touch + b"\x85}\x92.",
        "ext1": b"\x80\x02\x82\x01)R.",
        "build_on_class": b"cargparse\nNamespace\n}(" + _text("__init__") + touch + b"ub.",
        "build_with_slots": b"cargparse\nNamespace\n)\x81N}(" + _text("__class__") + touch + b"u\x86b.",
        "defaultdict_of_system": call("collections\ndefaultdict", b"cos\nsystem\n"),
        "defaultdict_of_text": call("collections\ndefaultdict", touch),
        "encode_with_zlib": call("_codecs\nencode", touch, _text("zlib")),
        "reconstruct_object": call("copy_reg\n_reconstructor", b"cos\nsystem\n", b"c__builtin__\nobject\n", b"N"),
        "persistent_id": b"P/etc/passwd\n.",
        "persistent_tuple": b"\x80\x02(" + _text("module") + touch + touch + b"tQ.",
        "second_pickle": b"\x80\x02}.\x80\x02" + call("os\nsystem", touch),
    }


def _structures() -> dict[str, bytes]:
    """Values that explode, contain themselves, or are slow to use."""

    def laughs(opening: bytes, closing: bytes, count: int = 60, width: int = 10) -> bytes:
        body = b"\x80\x02" + opening + b"K\x01" + closing + b"q\x00"
        for level in range(1, count):
            inner = b"".join(
                (b"K" + bytes([i]) if opening == b"}(" else b"") + b"h" + bytes([level - 1]) for i in range(width)
            )
            body += opening + inner + closing + b"q" + bytes([level])
        return body + STOP

    tuple_hash = b"\x80\x02K\x01\x85q\x00" + b"".join(
        b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(60)
    )
    modulus = 2**61 - 1
    collisions = b"".join(b"\x8a\x0c" + (modulus * i).to_bytes(12, "little") + b"N" for i in range(1, 60_000))
    return {
        "laughing_lists": laughs(b"](", b"e"),
        "laughing_tuples": laughs(b"(", b"t"),
        "laughing_dicts": laughs(b"}(", b"u").replace(b"}(K\x01u", b"}(K\x01K\x01u"),
        "hash_of_shared_tuples": tuple_hash + b"}h<Ns.",
        "colliding_keys": b"\x80\x02}(" + collisions + b"u.",
        "list_in_itself": b"\x80\x02]q\x00h\x00a.",
        "dict_in_itself": b"\x80\x02}q\x00K\x01h\x00s.",
        "unhashable_key": b"\x80\x02}]Ns.",
        "key_of_floats": b"\x80\x02}G?\xf0\x00\x00\x00\x00\x00\x00Ns.",
        "nested_marks": b"\x80\x02" + MARK * 1_000_000 + STOP,
        "nested_lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + STOP,
        "nested_tuples": b"\x80\x02)" + b"\x85" * 1_000_000 + STOP,
        "million_sets": b"\x80\x04(" + b"\x8f" * 1_900_000 + b"l.",
        "many_copies": b"\x80\x02" + b"N" + b"2" * 1_000_000 + STOP,
        "encoded_again_and_again": b"\x80\x02X"
        + struct.pack("<I", 1 << 20)
        + b"a" * (1 << 20)
        + b"q\x00c_codecs\nencode\n"
        b"q\x01X\x06\x00\x00\x00latin1q\x02(" + b"h\x01h\x00h\x02\x86R" * 2000 + b"l.",
        "sets_again_and_again": b"\x80\x02](" + b"".join(_text(str(i)) for i in range(20_000)) + b"eq\x00"
        b"c__builtin__\nset\nq\x01(" + b"h\x01h\x00\x85R" * 2000 + b"l.",
        "wrong_appends": b"\x80\x02}Na.",
        "wrong_items": b"\x80\x02]NNs.",
        "empty_stack": b"\x80\x02R.",
        "stop_at_once": STOP,
        "unknown_memo": b"\x80\x02h\x05.",
        "unknown_opcode": b"\x80\x02\xff.",
        "protocol_9": b"\x80\x09N.",
        "cut_short": b"\x80\x02}(X\x05\x00\x00\x00mod",
        "empty": b"",
        "noise": bytes(range(256)) * 20,
    }


def _sizes() -> dict[str, bytes]:
    """Lengths and numbers far beyond the file."""
    huge = struct.pack("<Q", 1 << 60)
    return {
        "huge_binbytes8": b"\x80\x04\x8e" + huge + b"x.",
        "huge_bytearray8": b"\x80\x05\x96" + huge + b"x.",
        "huge_binunicode8": b"\x80\x04\x8d" + huge + b"x.",
        "huge_binunicode": b"\x80\x02X\xff\xff\xff\xffx.",
        "huge_binbytes": b"\x80\x03B\xff\xff\xff\xffx.",
        "negative_binstring": b"\x80\x02T\xff\xff\xff\xffx.",
        "huge_frame": b"\x80\x04\x95" + huge + b"N.",
        "huge_long4": b"\x80\x02\x8b\xff\xff\xff\x7fx.",
        "negative_long4": b"\x80\x02\x8b\xff\xff\xff\xffx.",
        "long_of_255_bytes": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + STOP,
        "long_of_a_million_digits": b"L" + b"9" * 1_000_000 + b"L\n.",
        "int_of_a_million_digits": b"I" + b"9" * 1_000_000 + b"\n.",
        "float_of_a_million_digits": b"F" + b"9" * 1_000_000 + b"\n.",
        "memo_at_4_billion": b"\x80\x02Nr\xff\xff\xff\xff.",
        "memo_at_a_googol": b"Np1" + b"0" * 100 + b"\n.",
        "endless_name": b"c" + b"o" * 1_000_000 + b"\nsystem\n.",
    }


def _arrays(touch: bytes) -> dict[str, bytes]:
    """NumPy arrays that lie about their size or hold objects."""
    writer = Writer()

    def dtype(
        code: str, state: bytes = b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    ) -> bytes:
        return b"cnumpy\ndtype\n" + _text(code) + b"\x89\x88\x87R" + state

    def array(shape: tuple[int, ...], kind: bytes, data: bytes) -> bytes:
        blank = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        return b"\x80\x02" + blank + b"(K\x01" + writer.part(shape) + kind + b"\x89" + data + b"tb."

    fields = b"(K\x03X\x01\x00\x00\x00|N](" + touch + b"e}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    scalar = b"\x80\x02cnumpy.core.multiarray\nscalar\n"
    return {
        "array_of_terabytes": array((1 << 20, 1 << 20), dtype("f8"), b"U\x08" + b"a" * 8),
        "array_of_nothing_times_huge": array((0, 1 << 62), dtype("f8"), b"U\x00"),
        "array_of_negative_size": array((-1, -8), dtype("u1"), b"U\x08" + b"a" * 8),
        "array_of_objects": array((1,), dtype("O8"), b"](" + touch + b"e"),
        "array_with_fields": array((1,), dtype("V8", fields), b"U\x08" + b"a" * 8),
        "array_of_wide_text": array((1,), dtype("U99999999"), b"U\x08" + b"a" * 8),
        "array_of_datetimes": array((1,), dtype("M8"), b"U\x08" + b"a" * 8),
        "array_class_is_system": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncos\nsystem\nK\x00\x85U\x01b\x87R.",
        "array_never_filled": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R.",
        "scalar_object": scalar + dtype("O8") + touch + b"\x86R.",
        "scalar_too_short": scalar + dtype("f8") + b"U\x01a\x86R.",
        "dtype_from_text": b"\x80\x02cnumpy\ndtype\n" + _text("f8,(99999999,)O") + b"\x89\x88\x87R.",
    }


def in_legacy_file(pickle: bytes) -> bytes:
    """A torch file of the format before 1.6 around a pickle."""
    writer = Writer()
    heads = (LEGACY_MAGIC, 1001, {"little_endian": True})
    return b"".join(map(writer.pickle, heads)) + pickle + writer.pickle([])


def in_zip_file(pickle: bytes, *, names: tuple[str, ...] = (), compression: int = zipfile.ZIP_STORED) -> bytes:
    """A torch file of the format since 1.6 around a pickle, with further empty members."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle)
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, b"evil")
    return target.getvalue()


def torch_files(folder: pathlib.Path, tensors: Any) -> dict[str, bytes]:
    """Torch files that lie about their members, storages or tensors.

    Args:
        folder: scratch folder.
        tensors: the content of a good checkpoint.
    """
    legacy, zipped = folder / "good_legacy", folder / "good_zip"
    write_legacy(legacy, tensors)
    write_zip(zipped, tensors)
    good, plain = legacy.read_bytes(), zipped.read_bytes()
    return {**_zips(plain), **_storages(good)}


def _zips(plain: bytes) -> dict[str, bytes]:
    empty = b"\x80\x02}."
    end = plain.rfind(b"PK\x05\x06")
    first = plain.find(b"PK\x01\x02")
    second = plain.find(b"PK\x01\x02", first + 4)
    overlap = bytearray(plain)  # the second member claims to begin where the first does
    overlap[second + 42 : second + 46] = overlap[first + 42 : first + 46]
    larger = bytearray(plain)
    larger[first + 20 : first + 28] = struct.pack("<II", 1 << 31, 1 << 31)
    encrypted = bytearray(plain)
    encrypted[first + 8] |= 1
    many = bytearray(plain)
    many[end + 8 : end + 12] = b"\xff\xff\xff\xff"
    broken = bytearray(plain)
    broken[len("archive/data.pkl") + 30 + 20] ^= 0xFF
    return {
        "zip_bomb": in_zip_file(b"\x00" * 200_000_000, compression=zipfile.ZIP_DEFLATED),
        "zip_bomb_lzma": in_zip_file(b"\x00" * 20_000_000, compression=zipfile.ZIP_LZMA),
        "zip_traversal": in_zip_file(empty, names=("archive/../../../evil",)),
        "zip_absolute": in_zip_file(empty, names=("/etc/evil",)),
        "zip_backslash": in_zip_file(empty, names=("archive\\..\\evil",)),
        "zip_drive": in_zip_file(empty, names=("C:/evil",)),
        "zip_two_of_a_name": in_zip_file(empty, names=("archive/data/0", "archive/data/0")),
        "zip_two_pickles": in_zip_file(empty, names=("other/data.pkl",)),
        "zip_torchscript": in_zip_file(empty, names=("archive/constants.pkl", "archive/code/x.py")),
        "zip_without_pickle": in_zip_file(empty).replace(b"data.pkl", b"nope.pkl"),
        "zip_overlapping": bytes(overlap),
        "zip_larger_than_file": bytes(larger),
        "zip_encrypted": bytes(encrypted),
        "zip_65535_members": bytes(many),
        "zip_broken_checksum": bytes(broken),
        "zip_cut_short": plain[: len(plain) // 2],
        "zip_nothing_but_head": b"PK\x03\x04",
        "zip_storage_missing": in_zip_file(b"\x80\x02" + _tensor() + STOP),
    }


def _tensor(
    count: int = 4, size: tuple[int, ...] = (4,), stride: tuple[int, ...] = (1,), offset: int = 0, key: str = "0"
) -> bytes:
    writer = Writer()
    storage = Raw(writer.part(("storage", Raw(b"ctorch\nFloatStorage\n"), key, "cpu", count, None)) + b"Q")
    return b"ctorch._utils\n_rebuild_tensor\n" + writer.part((storage, offset, size, stride)) + b"R"


def _storages(good: bytes) -> dict[str, bytes]:
    def file(tensor: bytes, keys: tuple[str, ...] = ("0",), count: int = 4) -> bytes:
        writer = Writer()
        heads = (LEGACY_MAGIC, 1001, {"little_endian": True}, Raw(tensor), list(keys))
        return b"".join(map(writer.pickle, heads)) + struct.pack("<q", count) + b"\x00" * 16

    return {
        "storage_of_terabytes": file(_tensor(count=1 << 40)),
        "storage_of_negative_size": file(_tensor(count=-4)),
        "storage_disagrees": file(_tensor(), count=1 << 40),
        "storage_not_listed": file(_tensor(), keys=()),
        "storage_listed_twice": file(_tensor(), keys=("0", "0")),
        "tensor_past_storage": file(_tensor(size=(5,))),
        "tensor_before_storage": file(_tensor(offset=-4)),
        "tensor_of_negative_stride": file(_tensor(stride=(-1,))),
        "tensor_repeated_by_stride_0": file(_tensor(size=(1 << 30, 4), stride=(0, 1))),
        "tensor_of_many_axes": file(_tensor(size=(1,) * 40, stride=(1,) * 40)),
        "big_endian": good.replace(b"little_endian\x88", b"little_endian\x89"),
        "cut_in_the_tensors": good[:-100],
        "something_after_the_tensors": good + b"more",
    }
