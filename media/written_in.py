"""What cameras and programs wrote into a picture or clip about its place, its owner and its people."""

import io
import re
from collections.abc import Mapping

import av
import av.error
from PIL import ExifTags, Image

_EXIF = {
    *("GPSInfo", "Artist", "Copyright", "CameraOwnerName", "BodySerialNumber", "LensSerialNumber", "HostComputer"),
    *(
        "ImageDescription",
        "UserComment",
        "DocumentName",
        "XPAuthor",
        "XPComment",
        "XPKeywords",
        "XPSubject",
        "XPTitle",
    ),
}
"""Entries of EXIF that may name a person or a place, as the standard calls them."""

_OF_CLIPS = re.compile(
    r"major_brand|minor_version|compatible_brands|encoder|creation_time|handler_name|language|duration|vendor_id|"
    r"timecode|variant_bitrate|rotate|software|bps.*|number_of_.*|_statistics.*",
    re.IGNORECASE,
)
"""Entries of a clip that say how it was made."""

_OF_PICTURES = re.compile(r"compression|version|dpi|software|date:.*|(?:png|jpeg|exif):.*", re.IGNORECASE)
"""Texts of a picture that do so."""

_PROGRAM = re.compile(rb"Lavc|CREATOR: gd-jpeg|Intel\(R\)|LEAD Tech")
"""How the comment of a picture begins in which a program names itself."""


def written_in(content: bytes) -> list[str]:
    """Names of a file's entries that may tell who or where; none where it holds none, or cannot be read.

    Of a picture: EXIF's on place, owner, serial number and description, XMP, IPTC, comments, and the texts of a PNG.
    Of a clip: all but those that say how it was made.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _of_picture(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # no picture
    try:
        with av.open(io.BytesIO(content), metadata_errors="replace") as container:
            entries = [container.metadata, *(stream.metadata for stream in container.streams)]
    except (av.error.FFmpegError, ValueError):
        return []
    return sorted({name for of in entries for name, value in of.items() if value and not _OF_CLIPS.fullmatch(name)})


def _of_picture(image: Image.Image) -> list[str]:
    exif = image.getexif()
    found = {ExifTags.TAGS.get(number, "") for number in (*exif, *exif.get_ifd(ExifTags.IFD.Exif))} & _EXIF
    return sorted(found | set(_said(image.info)))


def _said(info: Mapping) -> list[str]:
    """Of what Pillow found beside EXIF."""
    named = {"xmp": "XMP", "photoshop": "IPTC"}
    comment = info.get("comment")
    texts = [str(name) for name, value in info.items() if isinstance(value, str)]
    return [
        *(name for name in texts if not _OF_PICTURES.fullmatch(name)),
        *(said for name, said in named.items() if name in info),
        *(["comment"] if isinstance(comment, bytes) and comment and not _PROGRAM.match(comment) else []),
    ]
