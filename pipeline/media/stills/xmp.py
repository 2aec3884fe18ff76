"""XMP: declare that the colour is not the photograph's own, and leave everything else in the packet unchanged.

Terms: IPTC Photo Metadata Standard 2025.1, and the IPTC controlled vocabulary of digital source types.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from pipeline.results import Note, NoteKind

OWN_SYSTEM = "Autochrome"  # name of the AI system in results
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_SYSTEM = "AISystemUsed"
_GOOGLE = "http://ns.google.com/photos/1.0/"
_PHOTOSHOP, _TIFF = "http://ns.adobe.com/photoshop/1.0/", "http://ns.adobe.com/tiff/1.0/"
_RGB_MODE = "3"
# Photometric interpretations of grey and palettes.
_GREY = ("0", "1", "3")
# Properties, by namespace, about things that a coloured picture no longer has: the film of a motion photograph, a gain
# map, a thumbnail. None stands for a whole namespace.
_GONE: tuple[tuple[str, tuple[str, ...] | None], ...] = (
    (
        f"{_GOOGLE}camera/",
        (
            *("MotionPhoto", "MotionPhotoVersion", "MotionPhotoPresentationTimestampUs"),
            *("MicroVideo", "MicroVideoVersion", "MicroVideoOffset", "MicroVideoPresentationTimestampUs"),
        ),
    ),
    (f"{_GOOGLE}container/", ("Directory",)),
    ("http://ns.adobe.com/hdr-gain-map/1.0/", None),
    ("http://ns.apple.com/HDRGainMap/1.0/", None),
    ("http://ns.adobe.com/xap/1.0/", ("Thumbnails",)),
)
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"

_EMPTY = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
)
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="w"?>'


class _DamagedXmpError(ValueError):
    pass


@dataclass(frozen=True, kw_only=True)
class AiColour:
    """The declaration in the result's XMP of where its colour comes from.

    ``system`` and ``version`` become the AI system and AI system version of the IPTC Photo Metadata Standard 2025.1.
    """

    system: str
    version: str


def declare_ai_colour(
    packet: bytes | None, declared: AiColour, *, has_new_profile: bool = False
) -> tuple[bytes, tuple[Note, ...]]:
    """Add the digital source type, AI system and its version to ``packet``, for a picture that gained colour.

    Properties that are no longer true are removed, with a note: those of films, gain maps and thumbnails that are left
    behind, grey modes, and the name of a profile if it ``has_new_profile``. All others are unchanged. A packet that is
    not well-formed XMP cannot be extended: it is replaced by a new one, with a note.
    """
    notes: tuple[Note, ...] = ()
    try:
        rdf = _rdf_of(packet.strip(b"\0")) if packet else _rdf_of(_EMPTY.encode())
        notes = _corrected(rdf, has_new_profile=has_new_profile)
        former = _declare(rdf, declared)
        text = _serialise(rdf)
    except (_DamagedXmpError, RecursionError) as error:
        notes = (Note(NoteKind.DROPPED, f"XMP is damaged ({error}); it remains in the original only"),)
        rdf = _rdf_of(_EMPTY.encode())
        former = _declare(rdf, declared)
        text = _serialise(rdf)
    if former and former != SOURCE_TYPE:
        notes = (*notes, Note(NoteKind.CONVERTED, f"XMP digital source type was {former}"))
    return (_BEGIN + text + _END).encode(), notes


def declares_ai_colour(packet: bytes | None, system: str) -> bool:
    """Return whether ``packet`` declares that the picture's colour is from the AI system ``system``."""
    if packet is None or system.encode() not in packet:
        return False
    try:
        described = _elements(_rdf_of(packet.strip(b"\0")))
    except (_DamagedXmpError, RecursionError):
        return False
    found = {(name, _value(node, IPTC_EXT, name)) for node in described for name in ("DigitalSourceType", _SYSTEM)}
    return {("DigitalSourceType", SOURCE_TYPE), (_SYSTEM, system)} <= found


def _rdf_of(packet: bytes) -> minidom.Element:
    # Checked before parsing too: a document type can define entities that grow without bound.
    if b"<!DOCTYPE" in packet:
        raise _DamagedXmpError("it has a document type, which XMP does not allow")
    try:
        document = minidom.parseString(packet)
    except (ExpatError, ValueError, LookupError) as error:
        raise _DamagedXmpError(str(error)) from error
    if document.doctype is not None:
        raise _DamagedXmpError("it has a document type, which XMP does not allow")
    found = document.getElementsByTagNameNS(_RDF, "RDF")
    if len(found) != 1:
        raise _DamagedXmpError(f"{len(found)} rdf:RDF elements")
    return found[0]


def _declare(rdf: minidom.Element, declared: AiColour) -> str | None:
    """Replace our three properties under ``rdf``; return the former digital source type, if there was one."""
    values = {
        "DigitalSourceType": SOURCE_TYPE,
        _SYSTEM: declared.system,
        "AISystemVersionUsed": declared.version,
    }
    described = [node for node in rdf.childNodes if isinstance(node, minidom.Element)]
    former = [_take(node, IPTC_EXT, name) for node in described for name in values]
    abouts = [node.getAttributeNS(_RDF, "about") for node in described]
    for node in described:
        if _is_empty(node):
            rdf.removeChild(node)
    document = rdf.ownerDocument
    if document is None:
        raise _DamagedXmpError("no document")
    made = document.createElementNS(_RDF, "rdf:Description")
    made.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
    made.setAttributeNS(_RDF, "rdf:about", next(iter(abouts), ""))
    made.setAttributeNS(_XMLNS, "xmlns:Iptc4xmpExt", IPTC_EXT)
    for name, value in values.items():
        made.setAttributeNS(IPTC_EXT, f"Iptc4xmpExt:{name}", value)
    rdf.appendChild(made)
    return next((value for value in former if value and value.startswith("http")), None)


def _corrected(rdf: minidom.Element, *, has_new_profile: bool) -> tuple[Note, ...]:
    """Remove what is no longer true of a coloured picture; grey modes become that of RGB."""
    removed: list[str] = []
    for node in (node for node in rdf.childNodes if isinstance(node, minidom.Element)):
        for namespace, names in _GONE:
            found = _names(node, namespace) if names is None else names
            removed += [name for name in found if _take(node, namespace, name) is not None]
        mode = _value(node, _PHOTOSHOP, "ColorMode")
        if mode not in (None, _RGB_MODE):
            _take(node, _PHOTOSHOP, "ColorMode")
            removed.append("ColorMode")
        if has_new_profile and _take(node, _PHOTOSHOP, "ICCProfile") is not None:
            removed.append("ICCProfile")
        if _value(node, _TIFF, "SamplesPerPixel") == "1" or _value(node, _TIFF, "PhotometricInterpretation") in _GREY:
            grey = ("SamplesPerPixel", "PhotometricInterpretation", "BitsPerSample")
            removed += [name for name in grey if _take(node, _TIFF, name) is not None]
    if not removed:
        return ()
    text = f"XMP properties that are no longer true are removed: {', '.join(dict.fromkeys(removed))}"
    return (Note(NoteKind.CONVERTED, text),)


def _names(described: minidom.Element, namespace: str) -> tuple[str, ...]:
    """Return the local names of the properties in a namespace."""
    attributes = [part.localName for part in described.attributes.values() if part.namespaceURI == namespace]
    elements = [part.localName for part in _elements(described) if part.namespaceURI == namespace]
    return tuple(dict.fromkeys((*attributes, *elements)))


def _elements(described: minidom.Element) -> list[minidom.Element]:
    return [node for node in described.childNodes if isinstance(node, minidom.Element)]


def _value(described: minidom.Element, namespace: str, name: str) -> str | None:
    """Return the value of a property, written as attribute or as element; None if it is missing."""
    if described.hasAttributeNS(namespace, name):
        return str(described.getAttributeNS(namespace, name))
    for node in _elements(described):
        if node.namespaceURI == namespace and node.localName == name:
            text = "".join(child.data for child in node.childNodes if isinstance(child, minidom.Text))
            return str(node.getAttributeNS(_RDF, "resource")) or text
    return None


def _take(described: minidom.Element, namespace: str, name: str) -> str | None:
    """Remove a property from ``described`` and return its value, None if it is missing."""
    value = _value(described, namespace, name)
    if described.hasAttributeNS(namespace, name):
        described.removeAttributeNS(namespace, name)
    for node in _elements(described):
        if node.namespaceURI == namespace and node.localName == name:
            described.removeChild(node)
    return value


def _is_empty(described: minidom.Element) -> bool:
    """Return whether nothing is left of a description except its subject."""
    names = [attribute.name for attribute in described.attributes.values()]
    return not described.childNodes and all(name == "rdf:about" or name.startswith("xmlns") for name in names)


def _serialise(rdf: minidom.Element) -> str:
    root = rdf
    while isinstance(root.parentNode, minidom.Element):
        root = root.parentNode
    return str(root.toxml())
