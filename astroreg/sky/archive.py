"""Keep the WCS that a correction replaces, and put it back to the byte.

Two things are written into a corrected header. The nominal WCS is copied under a spare letter,
which every FITS reader understands. A record, ``ASTREGnn`` with ``ARnnUmmm``, tells which cards
differ from the original; what the letter cannot hold (CROTAi, cards removed) it holds verbatim.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from astropy.io import fits
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.sky.header_cards import LETTERED, letter_of, quiet_astropy, wcs_keywords

__all__ = ["CorrectionRecord", "archive_wcs", "free_letter", "rebuild", "records", "revert", "write_record"]

# O is the original of the Space Telescope's headers, P the physical coordinates of X-ray images.
LETTERS = "ZYXWVUTSRQNMLKJIHGFEDCBA"

RECORD = re.compile(r"ASTREG(\d\d)")


@dataclass(frozen=True)
class CorrectionRecord:
    """What a corrected header says about one correction."""

    number: int
    identity: str
    key: str
    letter: str


def records(header: fits.Header) -> list[CorrectionRecord]:
    """The corrections recorded in a header, the oldest first."""
    found = []
    for name in header:
        if match := RECORD.fullmatch(name):
            fields = dict(part.split(":", 1) for part in str(header[name]).split())
            found.append(
                CorrectionRecord(
                    int(match.group(1)), fields["id"], fields["key"].strip("-"), fields["old"].strip("-")
                )
            )
    return sorted(found, key=lambda record: record.number)


# -- the letter ---------------------------------------------------------------------------------


def free_letter(header: fits.Header, key: str, archive: str | None) -> str:
    """The letter to archive under: the one wanted, the last free one for "auto", or nothing."""
    if archive is None:
        return ""
    used = {match.group(1) for name in header if (match := re.fullmatch(LETTERED + "([A-Z])", name))}
    used.add(letter_of(key))
    if isinstance(archive, str) and archive == "auto":
        return next((letter for letter in LETTERS if letter not in used), "")
    if not (isinstance(archive, str) and re.fullmatch("[A-Z]", archive)):
        raise ValueError(f"`archive` must be 'auto', one letter from A to Z, or None, got {archive!r}")
    if archive in used:
        raise ValueError(f"`archive`={archive!r} is in use in `header`; choose another letter or 'auto'")
    return archive


def archive_wcs(header: fits.Header, original: fits.Header, wcs: WCS, key: str, letter: str) -> None:
    """Append the WCS of the original header to ``header`` under a letter, cards verbatim."""
    for name in wcs_keywords(original, key):
        header.append(_renamed(original.cards[name], _stem(name, key) + letter), end=True)
    for name, value in _translated(original, wcs, key).items():
        if name + letter not in header:
            header.append(fits.Card(name + letter, value, "archived by astroreg"), end=True)


def _stem(name, key):
    return name.removesuffix(letter_of(key)) if letter_of(key) else name


def _renamed(card, keyword):
    """The same card, to the byte, under another keyword."""
    return fits.Card.fromstring(keyword.ljust(8) + card.image[8:])


def _translated(original, wcs, key):
    """Cards of the archive for keywords of the original that have no form with a letter."""
    cards = {"WCSNAME": "NOMINAL"}
    if letter_of(key):
        return cards
    for old, new in (("EPOCH", "EQUINOX"), ("RADECSYS", "RADESYS"), ("RESTFREQ", "RESTFRQ")):
        if old in original:
            cards[new] = original[old]
    axes = range(1, wcs.naxis + 1)
    has_matrix = any(re.fullmatch(r"(?:CD|PC)\d+_\d+", name) for name in original)
    if not has_matrix and any(re.fullmatch(r"CROTA\d+|PC\d{6}", name) for name in original):
        matrix = wcs.wcs.get_pc()
        cards |= {f"PC{i}_{j}": float(matrix[i - 1, j - 1]) for i in axes for j in axes}
    return cards


# -- the record ---------------------------------------------------------------------------------


def write_record(header: fits.Header, original: fits.Header, identity: str, key: str, letter: str) -> None:
    """Append the record of all that differs between a corrected header and its original."""
    lines = _differences(header, original, key, letter)
    number = max((record.number for record in records(header)), default=0) + 1
    if number > 99:
        raise CorrectionError("`header` has been corrected 99 times; restore it first")
    summary = f"id:{identity} key:{letter_of(key) or '-'} old:{letter or '-'}"
    header.append((f"ASTREG{number:02d}", summary, "astroreg correction"), end=True)
    for index, line in enumerate(lines, start=1):
        header.append((f"AR{number:02d}U{index:03d}", line), end=True)


def _differences(header, original, key, letter):
    before, after = _images(original), _images(header)
    of_archive = set(wcs_keywords(header, letter)) if letter else set()
    changed = [name for name in before if name in after and before[name] != after[name]]
    kept = [name for name in changed if _is_archived(name, before, after, key, letter)]
    added = [name for name in after if name not in before and name not in of_archive]
    lines = [f"@{' '.join(kept)}"] if kept else []
    lines += [f"-{' '.join(added)}"] if added else []
    lines += [f"={before[name]}" for name in changed if name not in kept]
    names = list(before)
    for position, name in enumerate(names):
        if name not in after:
            lines.append(f"+{names[position - 1] if position else ''}|{before[name]}")
    return lines


def _images(header):
    """Images, without trailing blanks, of the cards that hold a value, by keyword."""
    commentary = ("HISTORY", "COMMENT", "")
    with quiet_astropy():  # on cards of old plates that it repairs
        return {card.keyword: card.image.rstrip() for card in header.cards if card.keyword not in commentary}


def _is_archived(name, before, after, key, letter):
    if not letter or not re.fullmatch(LETTERED + letter_of(key), name):
        return False
    return after.get(_stem(name, key) + letter, "")[8:] == before[name][8:]


def revert(header: fits.Header, record: CorrectionRecord) -> fits.Header:
    """A copy of a header with one correction, the last, taken back and its record removed."""
    result = header.copy()
    own = re.compile(rf"AR{record.number:02d}U\d\d\d")
    names = sorted(name for name in header if own.fullmatch(name))
    if not names and not record.letter:
        raise CorrectionError(
            "`header` only tells of a correction of a WCS that stood beside it; it holds no WCS to restore"
        )
    for line in (header[name] for name in names):
        _revert_line(result, line, record)
    for name in [*names, f"ASTREG{record.number:02d}", *_archive_names(header, record)]:
        result.remove(name)
    return result


def _archive_names(header, record):
    return wcs_keywords(header, record.letter) if record.letter else []


def _revert_line(header, line, record):
    operation, rest = line[0], line[1:]
    if operation == "@":
        for name in rest.split():
            source = _stem(name, record.key) + record.letter
            if source not in header:
                raise CorrectionError(f"{source}, the archive of {name}, is missing from `header`")
            _put(header, _renamed(header.cards[source], name))
    elif operation == "-":
        for name in rest.split():
            header.remove(name, ignore_missing=True)
    elif operation == "=":
        _put(header, _card(rest))
    elif operation == "+":
        previous, image = rest.split("|", 1)
        _put(header, _card(image), after=previous)


def _card(image):
    return fits.Card.fromstring(image.ljust(-(-len(image) // 80) * 80))


def _put(header, card, after=None):
    """Put a card, image and all, in the place of the one with its keyword, or behind another."""
    if card.keyword in header:
        position = header.index(card.keyword)
        header.remove(card.keyword)
        header.insert(position, card)
    elif after and after in header:
        header.insert(after, card, after=True)
    else:
        header.append(card)


def rebuild(header: fits.Header, restored: fits.Header, record: CorrectionRecord) -> fits.Header:
    """The restored header with its WCS replaced, as a whole, by the one archived in ``header``."""
    result = restored.copy()
    key = letter_of(record.key)
    stale = wcs_keywords(result, key)
    if not key:
        stale += [name for name in dict.fromkeys(result) if re.fullmatch(r"CROTA\d+|PC\d{6}", name)]
    for name in stale:
        result.remove(name, remove_all=True)
    for name in _archive_names(header, record):
        result.append(_renamed(header.cards[name], name.removesuffix(record.letter) + key), end=True)
    return result
