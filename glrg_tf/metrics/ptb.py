r"""The Penn Treebank tokenizer of coco-caption: lower case, punctuation dropped (Stanford CoreNLP 3.4.1).

Equal to pycocoevalcap's `PTBTokenizer` except: (a) every character that Java takes for the end of a line is a
blank (there, only "\n" is, and one "\r" or "\u2028" shifts all later captions by a line); (b) captions go
through a pipe in portions, not through a file in the package's folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from glrg_tf.metrics import java

LINE_ENDS = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# As in pycocoevalcap/tokenizer/ptbtokenizer.py.
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
PORTION = 50_000  # captions a run of Java, some megabytes of text
SECONDS_TO_START = 120.0


def tokenize(captions: Sequence[str]) -> list[str]:
    """Returns each caption as lower-case tokens joined by blanks, without punctuation.

    Raises:
        JavaError: the tokenizer failed or lost a line.
    """
    tokenized: list[str] = []
    for start in range(0, len(captions), PORTION):
        tokenized += _tokenize_portion(captions[start : start + PORTION])
    return tokenized


def one_line(caption: str) -> str:
    """Replaces what Java takes for the end of a line by blanks."""
    return LINE_ENDS.sub(" ", caption)


def _tokenize_portion(captions: Sequence[str]) -> list[str]:
    jar = java.carried_file("pycocoevalcap.tokenizer.ptbtokenizer", "stanford-corenlp-3.4.1.jar")
    program = "edu.stanford.nlp.process.PTBTokenizer"
    text = "".join(one_line(caption) + "\n" for caption in captions)
    arguments = ["-Xmx512m", "-cp", str(jar), program, "-preserveLines", "-lowerCase"]
    printed = java.run_java(arguments, text, SECONDS_TO_START + len(captions) / 100)
    lines = printed.split("\n")[:-1]
    if len(lines) != len(captions):
        raise java.JavaError(f"the PTB tokenizer returned {len(lines)} lines for {len(captions)} captions")
    return [" ".join(word for word in line.rstrip().split(" ") if word not in PUNCTUATION) for line in lines]
