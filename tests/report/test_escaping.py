"""Hostile text in headers and names: it is shown, and it does nothing."""

from __future__ import annotations

import html
import re

import pytest
from astropy.io import fits

from astroreg.report import write_report
from astroreg.report.markup import Markup, printable, section, table, tag

HOSTILE = "<script>document.title='RAN'</script>"
SHORT = "<svg onload=document.title='RAN'>"
NAME = "x<img src=x onerror=document.title='RAN'>.fits"


def hostile_page(made, path):
    """A page with active text in every place that comes from outside."""
    reference, image = made.scene(
        OBJECT=HOSTILE, TELESCOP="'\"><script>document.title='RAN'</script>", INSTRUME="--><b>", FILTER=SHORT
    )
    image.meta.add_history("</pre></details>" + SHORT)
    image.meta.add_history("javascript:document.title='RAN'")
    reference.meta = fits.Header([("OBJECT", "</title></style></script>" + SHORT)])
    found = made.result(
        reference_label=f"/nowhere/{NAME}", image_label=NAME, method=f"m{HOSTILE}", uncertainty=SHORT
    )
    return write_report(found, path, reference=reference, image=image, call=f"astroreg align '{HOSTILE}'")


def test_no_element_comes_from_text(made, read, tmp_path):
    plain = read(write_report(made.result(), tmp_path / "plain.html"))
    seen = read(hostile_page(made, tmp_path / "page.html"))
    assert len(seen.of("script")) == len(plain.of("script")) == 1
    assert len(seen.of("style")) == 1
    assert {tag for tag, _ in seen.elements} & {"svg", "b"} == set()
    assert all(attributes["src"].startswith("data:image/png") for attributes in seen.of("img"))
    assert not any(name.startswith("on") for _, attributes in seen.elements for name in attributes)
    # shown as the text that it is
    assert seen.text.count(HOSTILE) >= 3
    assert SHORT in seen.text
    assert NAME in seen.text
    assert html.escape(HOSTILE, quote=True) in seen.source


def test_hostile_names_of_files(made, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = NAME.replace("/", "")
    _, image = made.scene(OBJECT=HOSTILE)
    image.write(name)
    seen = read(made.result(image_label=name).report(tmp_path / "page.html", image=name))
    assert name in seen.text
    assert len(seen.of("img")) == 1
    assert re.search(r"[0-9a-f]{64}", seen.text), "the checksum of the file"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x00b", "a\\x00b"),
        ("right\u202eleft", "right\\u202eleft"),  # turns the direction of what follows
        ("\udcff", "\\udcff"),  # a byte of a file name that is no UTF-8
        ("two\nlines", "two\nlines"),
        ("Ωμέγα", "Ωμέγα"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text, shown):
    assert printable(text) == shown


def test_cards_that_nobody_can_read_are_left_out(made, read, tmp_path):
    reference, image = made.scene(TELESCOP="Mine")
    image.meta.append(fits.Card.fromstring("OBJECT  = 'no end"))
    image.meta.append(fits.Card.fromstring("FILTER  ="))
    seen = read(made.result().report(tmp_path / "page.html", reference=reference, image=image))
    assert "Mine" in seen.text
    assert "filter" not in seen.text


def test_a_byte_that_is_no_text_can_be_written(made, read, tmp_path):
    seen = read(made.result(image_label="a\udcffb.fits").report(tmp_path / "page.html"))
    assert "a\\udcffb.fits" in seen.text


def test_very_long_text_is_cut():
    assert len(printable("x" * 10**6)) < 30_000
    assert "1000000 characters" in printable("x" * 10**6)


def test_only_markup_is_not_escaped():
    assert tag("p", "<b>", tag("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"
    assert tag("a", "x", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;">x</a>'
    assert tag("img", src=Markup("data:,"), alt="'") == '<img src="data:," alt="&#x27;">'
    assert "<i>" not in table([("<i>", "<i>")], heads=("<i>", "<i>"), caption="<i>")
    assert "<i>" not in section("<i>", "<i>", name="x")
    # joining gives plain text, which is escaped when it is used
    assert tag("p", tag("b", "x") + " ") == "<p>&lt;b&gt;x&lt;/b&gt; </p>"
