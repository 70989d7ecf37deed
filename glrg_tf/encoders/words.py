"""The words of the long-range encoder, chosen from training captions (GL-RG section 3.1).

The paper takes nouns, verbs and adjectives of all ground-truth sentences by frequency and leaves out "is", "be", "do".
A tagger would be a large dependency for that one list, so we take every word by the number of videos that someone
described with it, and leave out closed classes by name (articles, pronouns, prepositions, conjunctions, auxiliaries,
numerals, common adverbs; English has few of them and they do not change) and what ends in -ly, which is nearly always
an adverb. Adverbs outside the list stay in; on MSR-VTT's most frequent 300 there is none. Other languages: pass words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from glrg_tf.text.tokenizer import get_tokenizer

_ARTICLES_AND_QUANTIFIERS = (
    "a an the this that these those some any each every either neither no none all both half many much more most few "
    "fewer little less least several other others another such same own enough various different certain whole lot "
    "lots bunch couple pair kind type sort number group set piece"
)
_PRONOUNS = (
    "i me my mine myself you your yours yourself he him his himself she her hers herself it its itself we us our ours "
    "they them their theirs themselves who whom whose which what where when why how someone somebody something anyone "
    "anybody anything everyone everybody everything nobody nothing one ones here there"
)
_PREPOSITIONS = (
    "of in on at to from with without by for into onto out off over under up down about above across after against "
    "along alongside amid among amongst around as atop away before behind below beneath beside besides between beyond "
    "close despite during except inside like near nearby next opposite outside past per since through throughout till "
    "toward towards underneath until upon via within front back top"
)
_CONJUNCTIONS = "and or but nor so yet if then than because while whilst although though unless whereas whether not"
_AUXILIARIES = (
    "is are was were be been being am isnt arent do does did doing done dont doesnt have has had having can cant could "
    "will would shall should may might must get gets getting got go goes going gone went come comes coming"
)
_ADVERBS = (
    "very too also just only even still again once twice now soon later always never often sometimes ever already "
    "almost quite rather really well together apart ahead forward forwards backward backwards first second finally "
    "instead perhaps maybe else away somewhere everywhere"
)
_NUMERALS = "zero two three four five six seven eight nine ten eleven twelve hundred thousand million dozen"
_ABOUT_THE_VIDEO = "video videos clip clips footage scene scenes show shows showing shown etc"
FUNCTION_WORDS = frozenset(
    " ".join(
        (
            *(_ARTICLES_AND_QUANTIFIERS, _PRONOUNS, _PREPOSITIONS, _CONJUNCTIONS, _AUXILIARIES, _ADVERBS, _NUMERALS),
            _ABOUT_THE_VIDEO,
        )
    ).split()
)
# Nouns, verbs and adjectives that end like adverbs.
_LY_WORDS = (
    "fly family belly butterfly dragonfly jelly lily bully ugly silly elderly friendly lovely lonely curly hilly holy "
    "rally reply apply supply assembly monopoly multiply ally daily jolly bubbly grizzly wrinkly"
)
_NOT_ADVERBS = frozenset(_LY_WORDS.split())


def choose_words(
    captions: Iterable[Sequence[str]],
    count: int,
    *,
    tokenizer: str = "release",
    min_videos: int = 2,
    excluded: Iterable[str] = FUNCTION_WORDS,
) -> tuple[str, ...]:
    """The words of a long-range encoder.

    Args:
        captions: raw captions of each training video.
        count: most words wanted (K); fewer where the captions have fewer.
        tokenizer: name of the tokenizer of the data set.
        min_videos: leaves out words that fewer videos were described with.
        excluded: words that are never taken.

    Returns:
        Words by falling number of videos, then by falling number of captions, then by the alphabet.
    """
    split, barred = get_tokenizer(tokenizer), frozenset(excluded)
    videos: Counter[str] = Counter()
    uses: Counter[str] = Counter()
    for texts in captions:
        sets = [set(split(text)) for text in texts]
        for words in sets:
            uses.update(words)
        videos.update(set().union(*sets))
    kept = [word for word, number in videos.items() if number >= min_videos and _is_content(word, barred)]
    return tuple(sorted(kept, key=lambda word: (-videos[word], -uses[word], word))[:count])


def word_shares(texts: Sequence[str], words: Sequence[str], tokenizer: str = "release") -> list[float]:
    """For each of `words`, the share of the captions that use it (0..1)."""
    split = get_tokenizer(tokenizer)
    sets = [set(split(text)) for text in texts]
    return [sum(word in found for found in sets) / max(len(sets), 1) for word in words]


def _is_content(word: str, barred: frozenset[str]) -> bool:
    if word in barred or len(word) < 2 or not word.isalpha():
        return False
    return not (word.endswith("ly") and len(word) > 4 and word not in _NOT_ADVERBS)
