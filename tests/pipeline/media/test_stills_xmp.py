"""The declaration of AI colour goes into any sound packet, and nothing else in it changes."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pipeline.media.stills import AiColour
from pipeline.media.stills.xmp import IPTC_EXT, SOURCE_TYPE, declare_ai_colour
from pipeline.results import NoteKind
from tests import photos

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
AUTOCHROME = AiColour(system="Autochrome", version='0.1.0 "fast" <tiny>')


def _values(packet: bytes, name: str) -> list[str]:
    root = ElementTree.fromstring(packet)
    found = [node.attrib.get(f"{{{IPTC_EXT}}}{name}") for node in root.iter(f"{RDF}Description")]
    return [value for value in found if value is not None] + [
        node.text or "" for node in root.iter(f"{{{IPTC_EXT}}}{name}")
    ]


def _with(properties: str) -> bytes:
    return photos.XMP.replace(b"<dc:title>", properties.encode() + b"<dc:title>")


@pytest.mark.parametrize("packet", [None, photos.XMP, photos.XMP + b"\0"])
def test_it_is_declared_once(packet: bytes | None) -> None:
    made, notes = declare_ai_colour(packet, AUTOCHROME)
    assert _values(made, "DigitalSourceType") == [SOURCE_TYPE]
    assert _values(made, "AISystemUsed") == ["Autochrome"]
    assert _values(made, "AISystemVersionUsed") == ['0.1.0 "fast" <tiny>']
    assert notes == ()


def test_declaring_twice_changes_nothing() -> None:
    once, _ = declare_ai_colour(photos.XMP, AUTOCHROME)
    twice, notes = declare_ai_colour(once, AUTOCHROME)
    assert twice == once
    assert notes == ()


def test_other_properties_stay() -> None:
    made, _ = declare_ai_colour(photos.XMP, AUTOCHROME)
    before = next(ElementTree.fromstring(photos.XMP).iter(f"{RDF}Description"))
    kept = next(ElementTree.fromstring(made).iter(f"{RDF}Description"))
    assert ElementTree.tostring(kept) == ElementTree.tostring(before)
    assert kept.attrib["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "ScanWorks 3"


@pytest.mark.parametrize(
    "former",
    [
        f'<e:DigitalSourceType xmlns:e="{IPTC_EXT}">http://example.org/digitisedFromPrint</e:DigitalSourceType>',
        f'<e:DigitalSourceType xmlns:e="{IPTC_EXT}" rdf:resource="http://example.org/digitisedFromPrint"/>',
    ],
)
def test_a_former_source_type_is_replaced_and_named(former: str) -> None:
    made, notes = declare_ai_colour(_with(former), AUTOCHROME)
    assert _values(made, "DigitalSourceType") == [SOURCE_TYPE]
    assert [note.kind for note in notes] == [NoteKind.CONVERTED]
    assert "digitisedFromPrint" in notes[0].text


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"<",
        b"\xff\xfe\x00",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "bbb">]>' + photos.XMP[photos.XMP.index(b"<x:") : photos.XMP.index(b"<?xpacket end")],
        b"<a>" * 20_000 + b"</a>" * 20_000,
    ],
)
def test_a_damaged_packet_gives_way_with_a_note(packet: bytes) -> None:
    made, notes = declare_ai_colour(packet or b"\0", AUTOCHROME)
    assert _values(made, "DigitalSourceType") == [SOURCE_TYPE]
    assert [note.kind for note in notes] == [NoteKind.DROPPED]
