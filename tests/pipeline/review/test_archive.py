"""The review of an archive, from the page in a real browser to the bytes of the next run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.archive.catalogue import ArchiveCatalogue
from pipeline.archive.ledger import open_ledger, read_ledger
from pipeline.archive.output_folder import locked
from pipeline.archive.run import colorize_archive
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.color.hints import ab_of_hex
from pipeline.color.spaces import ab_of_rgb
from pipeline.corrections import Correction, CorrectionFile, corrections_beside, read_correction
from pipeline.errors import InputError
from pipeline.film.frame_at import frame_at
from pipeline.media.probe import probe
from pipeline.options import Options
from pipeline.originals import NO_ORIGINALS
from pipeline.review.catalogue import FILM, FileCatalogue
from pipeline.review.studio import Studio
from tests.browser import BROWSERS, CHROMIUM, Page, browsing
from tests.engines.two import write_two_model
from tests.films import frame_times, make_film
from tests.photos import rgb_of, save, scene, sepia, tinted
from tests.pipeline.review.serving import served
from tests.pipeline.review.test_page import READY
from tests.pipeline.review.test_server import entered

needs_browser = pytest.mark.skipif(CHROMIUM not in BROWSERS, reason="needs Chromium, see tests/browser.py")
MARKUP = "<img src=x onerror=alert(1)> & two.png"


@pytest.fixture
def archive(tmp_path: Path, two: Path, opened: Colorizer) -> Path:
    """Three results; the one that deserves a look, for it has hardly any colour, is the last by name."""
    scans = tmp_path / "scans"
    for name in ("album/one.png", MARKUP, "zinnia.png"):
        (scans / name).parent.mkdir(parents=True, exist_ok=True)
        save(scans / name, scene())
    calm = CorrectionFile(correction=Correction(saturation=0.05))
    corrections_beside(tmp_path / "out", originals=NO_ORIGINALS).write(PurePosixPath("zinnia.png"), calm)
    colorize_archive(scans, tmp_path / "out", Options(engine="onnxruntime", model=str(two)), colorizer=opened)
    return tmp_path / "out"


def again(archive: Path, two: Path, opened: Colorizer) -> int:
    """Run the archive once more; return how many photographs were coloured."""
    options = Options(engine="onnxruntime", model=str(two))
    return colorize_archive(archive.parent / "scans", archive, options, colorizer=opened).photos


@contextmanager
def looked_at(model: Path, archive: Path, *, width: int = 1280, height: int = 800) -> Iterator[tuple[Page, str]]:
    with served(str(model), archive) as address, browsing() as page:
        show(page, address, width=width, height=height)
        yield page, address


def show(page: Page, address: str, *, width: int = 1280, height: int = 800) -> None:
    page.size(width, height)
    page.go(address)
    page.wait(READY)


def go_to(page: Page, title: str) -> None:
    page.run(f"[...document.querySelectorAll('#list button')].find((one) => one.innerText.includes({title!r})).click()")
    page.wait(f"document.querySelector('#name').innerText === {title!r} && {READY}")


def correction_of(archive: Path, name: str) -> Correction:
    return read_correction(archive / ".autochrome" / "corrections" / f"{name}.correction.json").correction


def colour_at(path: Path, x: float, y: float) -> np.ndarray:
    ab = ab_of_rgb(np.asarray(Image.open(path).convert("RGB"), np.float32) / np.float32(255))
    row, column = int(y * ab.shape[1]), int(x * ab.shape[2])
    return np.asarray(ab[:, row - 2 : row + 3, column - 2 : column + 3].mean(axis=(1, 2)))


@needs_browser
@pytest.mark.slow
def test_click_choose_save_and_the_next_run_makes_it_so(archive: Path, two: Path, opened: Colorizer) -> None:
    others = {path: path.read_bytes() for path in archive.rglob("*.png")}
    with looked_at(two, archive) as (page, _):
        go_to(page, MARKUP)
        page.click("#picture", 0.25, 0.75)
        page.wait("document.querySelector('#chooser').open")
        page.click('[data-color="#2F4C9B"]')
        page.wait(f"document.querySelectorAll('.mark').length === 1 && {READY}")
        page.click("#save")
        page.wait("document.querySelector('#save').disabled")
        assert page.run("document.querySelectorAll('#list li > button img').length") == 3
        assert page.run("document.querySelector('[aria-current=true] small').innerText").startswith("corrected")
        assert not page.complaints
    changed = archive / MARKUP
    assert changed.read_bytes() == others[changed]
    assert again(archive, two, opened) == 1
    wanted = np.array(ab_of_hex("#2F4C9B"))
    assert np.hypot(*(colour_at(changed, 0.25, 0.75) - wanted)) < 12
    assert {path for path, content in others.items() if path.read_bytes() != content} == {changed}
    assert again(archive, two, opened) == 0


@pytest.mark.nightly
@needs_browser
def test_the_result_can_be_made_now_and_the_ledger_knows_of_it(archive: Path, two: Path, opened: Colorizer) -> None:
    result = archive / "album" / "one.png"
    before = result.read_bytes()
    with looked_at(two, archive) as (page, _):
        go_to(page, "album/one.png")
        page.run(
            "(() => { const it = document.querySelector('#saturation'); it.value = 0; "
            "it.dispatchEvent(new Event('change')); })()"
        )
        page.wait(f"!document.querySelector('#undo').disabled && {READY}")
        page.click("#render")
        page.wait("document.querySelector('#message').innerText.startsWith('Coloured:')")
        assert not page.complaints
    assert result.read_bytes() != before
    assert np.ptp(np.asarray(Image.open(result).convert("RGB"), int), axis=2).max() <= 1
    assert again(archive, two, opened) == 0


@pytest.mark.nightly
@needs_browser
def test_two_browsers_do_not_undo_each_other(archive: Path, two: Path) -> None:
    with looked_at(two, archive) as (page, address), browsing() as other:
        show(other, address)
        for one in (page, other):
            go_to(one, "album/one.png")
        page.press("a")
        page.wait("document.querySelector('#progress').innerText.includes('1 accepted')")
        # In one go, as a person does: the page draws itself once more when the picture of before comes.
        other.run(
            "(() => { const it = document.querySelector('#treatAs'); it.value = 'colour'; "
            "it.dispatchEvent(new Event('change')); })()"
        )
        other.wait(f"!document.querySelector('#save').disabled && {READY}")
        other.click("#save")
        other.wait("document.querySelector('#message').innerText.includes('somebody else has changed it')")
        assert correction_of(archive, "album/one.png") == Correction(accepted=True)
        # Without it, the page would ask whether to leave.
        other.click("#undo")
        other.wait("document.querySelector('#save').disabled")
        show(other, address)
        go_to(other, "album/one.png")
        assert other.run("document.querySelector('#accept').getAttribute('aria-pressed')") == "true"


@pytest.mark.nightly
@needs_browser
def test_a_reference_is_given_on_the_page(archive: Path, two: Path, opened: Colorizer, tmp_path: Path) -> None:
    grey = scene()
    reference = save(tmp_path / "coloured.png", rgb_of(grey, *tinted(grey)))
    plain = (archive / "album" / "one.png").read_bytes()
    with looked_at(two, archive) as (page, _):
        go_to(page, "album/one.png")
        first = page.run("document.querySelector('#picture').src")
        page.give("#file", reference)
        page.wait(f"document.querySelectorAll('#references li').length === 1 && {READY}")
        page.wait(f"document.querySelector('#picture').src !== {first!r}")
        page.click("#picture", 0.5, 0.5)
        page.wait("document.querySelector('#borrow img')?.naturalWidth > 0")
        page.click("#borrow img", 0.1, 0.9)
        page.wait(f"document.querySelectorAll('.mark').length === 1 && {READY}")
        page.click("#save")
        page.wait("document.querySelector('#save').disabled")
        page.give("#file", save(tmp_path / "grey.png", grey))
        page.wait("document.querySelector('#message').innerText.includes('cannot be a reference')")
    correction = correction_of(archive, "album/one.png")
    (name,), (hint,) = correction.references, correction.hints
    seen = np.asarray(Image.open(reference).convert("RGB"), int)
    told = np.array(list(bytes.fromhex(hint.color[1:])))
    assert np.abs(seen[int(0.9 * seen.shape[0]), int(0.1 * seen.shape[1])] - told).max() < 40
    kept = archive / ".autochrome" / "corrections" / "album" / name
    assert kept.read_bytes() == reference.read_bytes()
    reference.unlink()
    assert again(archive, two, opened) == 1
    assert (archive / "album" / "one.png").read_bytes() != plain


@pytest.mark.nightly
@needs_browser
def test_without_the_token_a_browser_sees_what_to_do(archive: Path, two: Path) -> None:
    with looked_at(two, archive) as (_, address), browsing() as stranger:
        stranger.go(f"http://{urlsplit(address).netloc}/")
        stranger.wait("document.body?.innerText.includes('its token')")
        assert "album" not in stranger.run("document.body.innerText")


@needs_browser
@pytest.mark.nightly
def test_fifty_thousand_items_come_a_page_at_a_time(archive: Path, two: Path) -> None:
    with open_ledger(archive) as ledger:
        record = ledger.get("album/one.png")
        assert record is not None
        assert record.result is not None
        calm = json.dumps({**record.result, "doubts": [], "measures": {**record.result["measures"], "doubt": 0.0}})
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(items)")]
        values = ", ".join("?" if name in ("path", "result") else name for name in columns)
        select = f"INSERT INTO items SELECT {values} FROM items WHERE path = 'album/one.png'"
        names = ((f"bulk/{number:05}.png", calm) for number in range(49_997))
        order = [name for name in columns if name in ("path", "result")]
        assert order == ["path", "result"]
        connection.executemany(select, names)
    with open_ledger(archive) as ledger:
        ledger.publish_snapshot()
    with looked_at(two, archive) as (page, _):
        assert page.run("document.querySelector('#progress').innerText").startswith("50,000 photographs")
        assert page.run("document.querySelectorAll('#list li').length") == 60
        page.run("document.querySelector('#more').scrollIntoView()")
        page.wait("document.querySelectorAll('#list li').length === 120")
        page.run("document.querySelector('#more').click()")
        page.wait("document.querySelectorAll('#list li').length >= 180")
        assert not page.complaints


def new_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def coloured(folder: Path, model: Path, opened: Colorizer) -> Path:
    """Colour ``scans`` in ``folder`` into ``out`` beside it, and return that."""
    output = folder / "out"
    colorize_archive(folder / "scans", output, Options(engine="onnxruntime", model=str(model)), colorizer=opened)
    return output


def test_the_doubtful_come_first_and_what_was_accepted_no_longer(archive: Path) -> None:
    found = ArchiveCatalogue(archive)
    assert found.count() == 3
    first = found.page(0, 3)[0]
    assert (first.name, "hardly any colour" in first.attention) == ("zinnia.png", True)
    found.correct(first.name, found.correction(first.name).revised(Correction(accepted=True)))
    assert first.name not in [item.name for item in ArchiveCatalogue(archive).page(0, 3) if item.attention]


@pytest.mark.slow
def test_films_are_listed_with_their_shots_and_names_that_are_no_text_have_a_key(
    tmp_path: Path, two: Path, opened: Colorizer
) -> None:
    scans = new_folder(tmp_path / "scans")
    make_film(scans / "film.mp4", codec="libx264", times=range(6))
    odd = scans / "odd\udcff.png"
    save(scans / "odd.png", scene()).rename(odd)
    found = ArchiveCatalogue(coloured(tmp_path, two, opened))
    items = {item.kind: item for item in found.page(0, 10)}
    assert items["film"].labels
    assert found.thumbnail("film.mp4", 0)
    assert found.thumbnail("film.mp4", 99) is None
    json.dumps([items["photo"].name, items["photo"].title], ensure_ascii=False).encode()
    assert found.find(items["photo"].name).source == odd
    with pytest.raises(KeyError):
        found.find("../film.mp4")


def test_shots_are_told_by_where_they_begin_and_end(tmp_path: Path, two: Path, opened: Colorizer) -> None:
    def two_scenes(number: int) -> np.ndarray:
        return scene(width=96, height=64) if number < 20 else 255 - scene(width=96, height=64)[::-1]

    make_film(new_folder(tmp_path / "scans") / "film.mp4", codec="libx264", times=range(50), luma=two_scenes)
    found = ArchiveCatalogue(coloured(tmp_path, two, opened)).shots("film.mp4")
    assert found.frame == pytest.approx(0.04)
    bounds = [(shot.start, shot.end) for shot in found.shots]
    assert bounds == [pytest.approx((0, 0.8), abs=0.001), pytest.approx((0.8, 2.0), abs=0.001)]
    assert [shot.label for shot in found.shots] == ["0:00:00.4", "0:00:01.2"]


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["film.m2v", "film.m1v"], ids=["no duration", "a wrong one"])
def test_the_last_shot_ends_with_the_film_whatever_that_says_of_its_length(
    tmp_path: Path, two: Path, opened: Colorizer, name: str
) -> None:
    codec = {"film.m2v": "mpeg2video", "film.m1v": "mpeg1video"}[name]
    film = make_film(new_folder(tmp_path / "scans") / name, codec=codec, times=range(10))
    (shot,) = ArchiveCatalogue(coloured(tmp_path, two, opened)).shots(name).shots
    assert shot.end - shot.start == pytest.approx(0.4, abs=0.001)
    named = FileCatalogue([(FILM, film, tmp_path / "made.mkv")], Options())
    shots = named.shots(name).shots
    assert [shot.label for shot in shots] == list(named.find(name).labels)
    assert (len(shots), shots[0].start, shots[-1].end) == (24, 0, pytest.approx(0.4))


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_even_parts_lie_where_the_film_does(tmp_path: Path, name: str) -> None:
    film = make_film(tmp_path / name, codec="libx264", times=range(50, 98))
    shots = FileCatalogue([(FILM, film, tmp_path / "made.mkv")], Options()).shots(name).shots
    assert (shots[0].start, shots[-1].end) == (2, pytest.approx(3.92))


@pytest.mark.slow
def test_a_correction_of_a_film_that_is_away_is_saved_again_and_again(
    tmp_path: Path, two: Path, opened: Colorizer
) -> None:
    scans = new_folder(tmp_path / "scans")
    make_film(scans / "film.mp4", codec="libx264", times=range(6))
    coloured(tmp_path, two, opened)
    with served(str(two), tmp_path / "out") as address:
        client = entered(address)
        version = json.loads(client.ask("/api/item?name=film.mp4")[1])["version"]
        scans.rename(tmp_path / "away")
        for saturation in (0.5, 0.7):
            path = f"/api/correction?name=film.mp4&version={version}"
            status, content = client.ask(path, {"saturation": saturation}, method="PUT")
            assert status == 200, content
            version = json.loads(content)["version"]
        status, content = client.ask(f"/api/undo?name=film.mp4&version={version}", method="POST")
        assert (status, json.loads(content)["correction"]["saturation"]) == (200, 0.5)
        status, content = client.ask("/api/before?name=film.mp4&time=0")
        assert (status, "film.mp4" in json.loads(content)["error"]) == (409, True)
    assert correction_of(tmp_path / "out", "film.mp4").saturation == 0.5


@pytest.mark.slow
def test_what_is_no_archive_and_lost_originals_are_clear_errors(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no archive"):
        ArchiveCatalogue(tmp_path / "none")
    (tmp_path / "scans").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="originals are not there"):
        ArchiveCatalogue(archive)
    moved = ArchiveCatalogue(archive, source=tmp_path / "moved")
    assert moved.find("album/one.png").source.is_file()
    ledger = read_ledger(archive)
    assert ledger is not None
    with ledger:
        assert ledger.runs()[-1].options["source"] == str(tmp_path / "scans")


@pytest.mark.nightly
@needs_browser
def test_a_film_s_shots_are_a_strip_and_a_hint_holds_its_time(tmp_path: Path, two: Path, opened: Colorizer) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    make_film(scans / "film.mp4", codec="libx264", times=range(60), options={"g": "10"})
    archive = tmp_path / "out"
    colorize_archive(scans, archive, Options(engine="onnxruntime", model=str(two)), colorizer=opened)
    shots = len(ArchiveCatalogue(archive).find("film.mp4").labels)
    with looked_at(two, archive) as (page, _):
        assert page.run("document.querySelectorAll('#shots li').length") == shots
        page.run("document.querySelector('#shots li:last-child button').click()")
        page.wait(
            f"document.querySelector('#shots li:last-child button').getAttribute('aria-pressed') === 'true' && {READY}"
        )
        first = page.run("document.querySelector('#picture').src")
        page.click("#picture")
        page.wait("document.querySelector('#chooser').open")
        page.click('[data-color="#B3272D"]')
        page.wait(
            f"document.querySelectorAll('.mark').length === 1 && document.querySelector('#picture').src !== {first!r}"
        )
        page.click("#save")
        page.wait("document.querySelector('#save').disabled")
        (made,) = archive.glob("film.*p4")
        before = made.read_bytes()
        page.click("#render")
        page.wait("document.querySelector('#rendering span').textContent.startsWith('Coloured: ')")
        assert page.run("document.querySelector('#stop').hidden")
        assert made.read_bytes() != before
        assert not page.complaints
    (hint,) = correction_of(archive, "film.mp4").hints
    assert hint.time is not None
    assert 0 <= hint.time < 60 / 25


@pytest.mark.slow
def test_a_picture_that_is_kept_for_a_film_lends_its_colours_to_the_result(tmp_path: Path) -> None:
    model = write_two_model(tmp_path, temperature=0.5)
    film = make_film(tmp_path / "film.mkv", codec="ffv1", width=224, height=160, times=range(4))
    catalogue = FileCatalogue([(FILM, film, tmp_path / "made.mkv")], Options(overwrite=True))
    with open_colorizer(Options(engine="onnxruntime", model=str(model))) as colorizer:
        plain = catalogue.render("film.mkv", colorizer).read_bytes()
        content = save(tmp_path / "coloured.png", sepia(scene())).read_bytes()
        name = Studio(colorizer, catalogue).keep_reference(catalogue.find("film.mkv"), content)
        catalogue.correct("film.mkv", CorrectionFile(correction=Correction(references=(name,))))
        assert catalogue.render("film.mkv", colorizer).read_bytes() != plain
        catalogue.correct("film.mkv", CorrectionFile())
        assert catalogue.render("film.mkv", colorizer).read_bytes() == plain


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("film.mkv", "ffv1", {}), ("film.ts", "mpeg2video", {"g": "12"}), ("film.ts", "libx264", {"g": "25"})],
)
def test_a_frame_of_a_film_is_the_one_that_is_shown_then(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    film = make_film(tmp_path / name, times=range(30), codec=codec, options=options)
    info, times = probe(film), frame_times(film)
    with av.open(str(film)) as container:
        truth = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for number in (0, 7, 29):
        assert np.array_equal(frame_at(info, float(times[number]) + 0.01), truth[number])
    assert np.array_equal(frame_at(info, 99), truth[29])


@pytest.mark.slow
def test_while_a_run_is_at_work_the_page_says_so(archive: Path, two: Path) -> None:
    with locked(archive), served(str(two), archive) as address:
        client = entered(address)
        assert client.ask("/api/correction?name=album/one.png", {"saturation": 0.5}, method="PUT")[0] == 200
        status, told = client.ask("/api/render?name=album/one.png", method="POST")
        assert status == 409
        assert "run" in json.loads(told)["error"]
    assert correction_of(archive, "album/one.png").saturation == 0.5
