"""Files that are not what their names say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.media.probe import probe
from tests.films import frame_times, make_film
from tests.pipeline.media.rewriting import rewrite

SECRET = "secret.ts"
PLAYLISTS = {
    "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{SECRET}\n#EXT-X-ENDLIST\n",
    "concat": f"ffconcat version 1.0\nfile {SECRET}\n",
    "dash": (
        '<?xml version="1.0"?>'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
        f'<Period><AdaptationSet><Representation id="1"><BaseURL>{SECRET}</BaseURL></Representation></AdaptationSet>'
        "</Period></MPD>"
    ),
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "smooth": '<SmoothStreamingMedia MajorVersion="2" MinorVersion="0" Duration="10000000"></SmoothStreamingMedia>',
}


@pytest.mark.few(5)
@pytest.mark.parametrize("kind", list(PLAYLISTS))
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_playlist_named_like_a_film_opens_no_other_file(tmp_path: Path, kind: str, suffix: str) -> None:
    make_film(tmp_path / SECRET, codec="mpeg2video")
    disguised = tmp_path / f"film.{suffix}"
    disguised.write_text(PLAYLISTS[kind])
    with pytest.raises(InputError, match=rf"film\.{suffix}: is not a film"):
        probe(disguised)


@pytest.mark.parametrize(
    ("true", "codec", "name"), [("film.mkv", "ffv1", "film.mp4"), ("film.mp4", "libx264", "film.avi")]
)
def test_a_film_under_the_name_of_another_container_is_read_as_what_it_is(
    tmp_path: Path, true: str, codec: str, name: str
) -> None:
    film = make_film(tmp_path / true, codec=codec)
    renamed = tmp_path / "renamed" / name
    renamed.parent.mkdir()
    shutil.copy(film, renamed)
    result = rewrite(renamed)
    assert result.output.suffix == film.suffix
    assert frame_times(result.output) == frame_times(film)


def test_a_film_of_nothing_is_refused(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    with pytest.raises(InputError, match=r"film\.mp4: is empty"):
        probe(film)
