"""The review answers to its own page alone, and writes nothing but corrections."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.corrections import read_correction
from tests.films import make_film
from tests.photos import rgb_of, save, scene, tinted
from tests.pipeline.review.serving import served


class Client:
    """A browser's way of asking: cookies are kept, the origin is told."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def ask(self, path: str, body: Any = None, *, method: str | None = None, **headers: str) -> tuple[int, bytes]:
        told = {"Origin": self.origin, **headers} if method or body is not None else headers
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.origin}{path}", data, told, method=method)
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def cut(number: int) -> np.ndarray:
    """Luma of a film of shots of 20 frames."""
    blocks = np.random.default_rng(number // 20).integers(40, 200, (6, 8))
    return np.asarray(np.kron(blocks, np.ones((32, 32))), np.uint8)[:160, :224]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def address(folder: Path, tiny: Path) -> Iterator[str]:
    """Give the address of a review of what lies in `folder`: an item for each test that changes one."""
    grey = scene()
    items = [save(folder / "one.png", grey), save(folder / "<b>two & three.png", scene(width=90))]
    items += [save(folder / name, scene(width=200, height=100)) for name in ("shares.png", "outside.png")]
    items += [save(folder / "twice.png", grey), save(folder / "coloured.png", rgb_of(grey, *tinted(grey)))]
    pages = [Image.fromarray(page) for page in (grey, scene(width=90))]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    items += [
        folder / "pages.tif",
        make_film(folder / "film.mp4", codec="libx264", times=range(48), options={"g": "8"}),
        make_film(folder / "shots.mp4", codec="libx264", width=224, height=160, times=range(50), luma=cut),
    ]
    with served(str(tiny), *items) as address:
        yield address


@pytest.fixture
def client(address: str) -> Client:
    return entered(address)


def entered(address: str) -> Client:
    """Return a client that has opened the whole address, token included."""
    client = Client(address)
    assert client.ask(urlsplit(address).path + "?" + urlsplit(address).query)[0] == 200
    return client


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"), int)


def test_without_the_token_nothing_is_told(address: str) -> None:
    stranger = Client(address)
    for path in ("/", "/review.js", "/api/items", "/?token=guessed", "/api/before?name=one.png"):
        status, content = stranger.ask(path)
        assert status == 403
        assert b"one.png" not in content


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "127.0.0.1:1"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
def test_other_sites_and_names_are_turned_away(client: Client, headers: dict[str, str]) -> None:
    assert client.ask("/api/items", **headers)[0] == 403
    assert client.ask("/api/correction?name=one.png", {"saturation": 0.5}, method="PUT", **headers)[0] == 403


def test_writing_needs_an_origin(client: Client) -> None:
    request = urllib.request.Request(f"{client.origin}/api/undo?name=one.png", b"", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        client._opener.open(request, timeout=30)
    assert caught.value.code == 403


@pytest.mark.parametrize("name", ["../one.png", "/etc/passwd", "three.png", ""])
def test_only_items_of_the_review_have_answers(client: Client, name: str) -> None:
    for path in ("/api/item", "/api/before"):
        assert client.ask(f"{path}?name={quote(name)}")[0] == 404
    assert client.ask("/../../etc/passwd")[0] == 404


def test_items_come_with_their_state_a_page_at_a_time(client: Client) -> None:
    status, content = client.ask("/api/items?offset=1&limit=1")
    assert status == 200
    answer = json.loads(content)
    assert (answer["total"], [item["name"] for item in answer["items"]]) == (9, ["<b>two & three.png"])
    assert client.ask("/api/items?limit=100000")[0] == 400
    assert client.ask("/api/items?limit=many")[0] == 400


def test_a_view_shows_what_a_correction_would_do(client: Client) -> None:
    plain, grey, blue = (
        picture(client.ask("/api/view?name=one.png", body)[1])
        for body in (
            {},
            {"saturation": 0},
            {"hints": [{"x": 0.5, "y": 0.5, "color": "#3A5FCD", "reach": 0.3}]},
        )
    )
    before = picture(client.ask("/api/before?name=one.png")[1])
    assert np.abs(grey - before).mean() < 2
    assert np.abs(plain - before).mean() > 5
    middle = tuple(side // 2 for side in blue.shape[:2])
    assert blue[middle][2] > blue[middle][0] + 30


def test_the_page_is_told_shares_whatever_a_correction_says(client: Client) -> None:
    hint = {"x": 20, "y": 50, "unit": "px", "color": "#3A5FCD", "reach": 0.3}
    assert client.ask("/api/correction?name=shares.png", {"hints": [hint]}, method="PUT")[0] == 200
    (told,) = json.loads(client.ask("/api/item?name=shares.png")[1])["correction"]["hints"]
    assert (told["x"], told["y"], told["unit"]) == (pytest.approx(0.1025), pytest.approx(0.505), "share")
    assert client.ask("/api/view?name=shares.png", {"hints": [hint]})[0] == 200
    assert client.ask("/api/view?name=shares.png", {"hints": [hint | {"x": 200}]})[0] == 409


def test_a_place_outside_of_the_picture_is_not_saved_and_can_be_removed(client: Client, folder: Path) -> None:
    inside, outside = ({"x": x, "y": 50, "unit": "px", "color": "#3A5FCD"} for x in (20, 200))
    kept = folder / ".autochrome" / "corrections" / "outside.png.correction.json"
    path = "/api/correction?name=outside.png"
    status, told = client.ask(path, {"hints": [outside]}, method="PUT")
    assert (status, "outside" in json.loads(told)["error"]) == (409, True)
    assert not kept.exists()
    kept.parent.mkdir(parents=True, exist_ok=True)
    written = {"format": "autochrome-correction-1", "correction": {"hints": [inside, outside]}}
    kept.write_text(json.dumps(written), encoding="utf-8")
    hints = json.loads(client.ask("/api/item?name=outside.png")[1])["correction"]["hints"]
    assert [(hint["unit"], hint["x"]) for hint in hints] == [("share", pytest.approx(0.1025)), ("px", 200)]
    assert client.ask(path, {"hints": hints[:1]}, method="PUT")[0] == 200
    status, told = client.ask("/api/undo?name=outside.png", method="POST")
    assert (status, json.loads(told)["correction"]["hints"]) == (200, hints)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", {"saturation": 99}, {"hints": [{"x": 5, "y": 0, "color": "neutral"}]}, {"tone": "blue"}]
)
def test_a_broken_correction_is_refused_with_a_reason(client: Client, body: Any) -> None:
    status, content = client.ask("/api/correction?name=one.png", body, method="PUT")
    assert status == 400
    assert json.loads(content)["error"]


def test_corrections_are_kept_undone_and_rendered(client: Client, folder: Path) -> None:
    source = folder / "one.png"
    before = source.read_bytes()
    kept = source.parent / ".autochrome" / "corrections" / "one.png.correction.json"
    assert client.ask("/api/correction?name=one.png", {"saturation": 0.0}, method="PUT")[0] == 200
    assert read_correction(kept).correction.saturation == 0
    assert client.ask("/api/render?name=one.png", method="POST")[0] == 200
    result = picture((source.parent / "one.colorized.png").read_bytes())
    assert np.ptp(result, axis=2).max() <= 1
    assert client.ask("/api/undo?name=one.png", method="POST")[0] == 200
    assert read_correction(kept).correction.saturation is None
    assert client.ask("/api/render?name=one.png", method="POST")[0] == 200
    assert np.ptp(picture((source.parent / "one.colorized.png").read_bytes()), axis=2).max() > 20
    assert source.read_bytes() == before
    assert client.ask("/api/undo?name=one.png", method="POST")[0] == 400


def test_a_view_is_made_as_the_result_would_be(client: Client, folder: Path) -> None:
    before = picture(client.ask("/api/before?name=coloured.png")[1])
    assert np.abs(before - np.asarray(Image.open(folder / "coloured.png"), int)).mean() < 4
    kept = picture(client.ask("/api/view?name=coloured.png", {})[1])
    anew = picture(client.ask("/api/view?name=coloured.png", {"treat_as": "monochrome"})[1])
    assert np.abs(kept - before).mean() < 2
    assert np.abs(anew - before).mean() > 10


@pytest.mark.slow
def test_every_page_of_a_file_can_be_looked_at(client: Client) -> None:
    first, second = (picture(client.ask(f"/api/view?name=pages.tif&page={number}", {})[1]) for number in (1, 2))
    assert (first.shape[1], second.shape[1]) == (173, 90)
    hint = {"hints": [{"x": 0.5, "y": 0.5, "color": "#3A5FCD", "reach": 0.3, "page": 2}]}
    one, two = (picture(client.ask(f"/api/view?name=pages.tif&page={number}", hint)[1]) for number in (1, 2))
    assert np.array_equal(one, first)
    assert not np.array_equal(two, second)
    assert client.ask("/api/view?name=pages.tif&page=3", {})[0] == 409


def test_a_film_has_moments_to_look_at_and_hints_keep_to_theirs(client: Client) -> None:
    found = json.loads(client.ask("/api/item?name=film.mp4")[1])
    assert (found["kind"], len(found["labels"]), len(found["shots"])) == ("film", 24, 24)
    assert found["frame"] == pytest.approx(0.04)
    assert [shot["label"] for shot in found["shots"]] == found["labels"]
    assert (found["shots"][0]["start"], found["shots"][23]["end"]) == (0, pytest.approx(1.92))
    assert picture(client.ask("/api/thumbnail?name=film.mp4&number=23")[1]).shape == (64, 96, 3)
    assert client.ask("/api/thumbnail?name=film.mp4&number=24")[0] == 204
    hint = {"hints": [{"x": 0.5, "y": 0.5, "color": "#3A5FCD", "reach": 0.3, "time": 0.1}]}
    for moment, is_there in ((0.1, True), (1.5, False)):
        plain, stated = (picture(client.ask(f"/api/view?name=film.mp4&time={moment}", body)[1]) for body in ({}, hint))
        assert bool(np.abs(plain - stated).max() > 10) is is_there
    assert client.ask("/api/view?name=film.mp4&time=-1", {})[0] == 400


def test_the_shots_of_a_film_reviewed_by_itself_are_found(client: Client) -> None:
    found = json.loads(client.ask("/api/item?name=shots.mp4")[1])
    assert (len(found["shots"]), found["known"]) == (24, False)
    while "search" in (told := json.loads(client.ask("/api/shots?name=shots.mp4")[1])):
        assert not told["search"]["is_over"]
        time.sleep(0.05)
    bounds = [(shot["start"], shot["end"]) for shot in told["shots"]]
    assert bounds == [pytest.approx(one) for one in ((0, 0.8), (0.8, 1.6), (1.6, 2.0))]
    found = json.loads(client.ask("/api/item?name=shots.mp4")[1])
    assert (found["shots"], found["known"]) == (told["shots"], True)
    assert [shot["label"] for shot in found["shots"]] == found["labels"]
    pictures = [picture(client.ask(f"/api/thumbnail?name=shots.mp4&number={n}")[1]) for n in range(3)]
    assert all(np.abs(one - other).mean() > 20 for one, other in pairwise(pictures))
    assert client.ask("/api/thumbnail?name=shots.mp4&number=3")[0] == 204


@pytest.mark.slow
def test_a_shot_is_played_as_the_film_would_be(tmp_path: Path, tiny: Path) -> None:
    make_film(tmp_path / "film.mp4", codec="libx264", times=range(48), options={"g": "24"})
    save(tmp_path / "one.png", scene())
    with served(str(tiny), tmp_path / "film.mp4", tmp_path / "one.png") as address:
        client = entered(address)
        assert client.ask("/api/clip?number=1")[0] == 404
        begun = [
            client.ask("/api/clip?name=film.mp4&start=0.5&seconds=1", correction, method="POST")
            for correction in ({"saturation": 0}, {}, {"saturation": 0.5})
        ]
        assert [status for status, _ in begun] == [202] * 3
        # What two pages ask for at the same time is made one after the other, and each gets its own.
        grey, plain, unwanted = (f"number={json.loads(content)['number']}" for _, content in begun)
        assert client.ask(f"/api/playing?{unwanted}", method="DELETE")[0] == 204
        state = json.loads(client.ask(f"/api/playing?{unwanted}")[1])
        assert (state["is_over"], state["output"]) == (True, "")
        assert client.ask(f"/api/clip?{unwanted}")[0] == 404
        for number, is_grey in ((grey, True), (plain, False)):
            state = ended(client, f"playing?{number}")
            assert (state["error"], state["done"]) == ("", 25)
            status, content = client.ask(f"/api/clip?{number}", Range="bytes=0-")
            assert status == 206
            (tmp_path / "played.mp4").write_bytes(content)
            with av.open(str(tmp_path / "played.mp4")) as made:
                pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in made.decode(video=0)]
            assert len(pictures) == 25
            assert bool(np.ptp(pictures[12], axis=2).mean() < 2) is is_grey
        for wrong in ("film.mp4&start=0&seconds=11", "film.mp4&start=-1&seconds=1", "one.png&start=0&seconds=1"):
            assert client.ask(f"/api/clip?name={wrong}", {}, method="POST")[0] == 400
        assert Path(state["output"]).exists()
    assert not Path(state["output"]).parent.exists()
    assert not list(tmp_path.glob("*.colorized.*"))


def test_who_saves_second_is_told_and_changes_nothing(client: Client) -> None:
    def version() -> str:
        return str(json.loads(client.ask("/api/item?name=twice.png")[1])["version"])

    known, path = version(), "/api/correction?name=twice.png&version="
    assert client.ask(path + known, {"saturation": 0.5}, method="PUT")[0] == 200
    assert client.ask(path + known, {"saturation": 0.9}, method="PUT")[0] == 409
    known = version()
    # Taken back and saved again it has as many revisions as before.
    assert client.ask(f"/api/undo?name=twice.png&version={known}", method="POST")[0] == 200
    assert client.ask(path + version(), {"saturation": 0.7}, method="PUT")[0] == 200
    for wrong, method in ((path, "PUT"), ("/api/undo?name=twice.png&version=", "POST")):
        assert client.ask(wrong + known, {"saturation": 0.9}, method=method)[0] == 409
    assert json.loads(client.ask("/api/item?name=twice.png")[1])["correction"]["saturation"] == 0.7


@pytest.mark.slow
def test_names_that_are_no_text_are_told_with_signs_for_what_has_none(tmp_path: Path, tiny: Path) -> None:
    odd = save(tmp_path / "one.png", scene()).rename(tmp_path / "odd\udcff.png")
    with served(str(tiny), odd) as address:
        client = entered(address)
        (item,) = json.loads(client.ask("/api/items")[1])["items"]
        assert (item["name"], item["title"]) == ("odd?.png", "odd?.png")
        named = f"name={quote(item['name'])}"
        assert client.ask(f"/api/view?{named}", {})[0] == 200
        status, told = client.ask(f"/api/render?{named}", method="POST")
        assert (status, json.loads(told)["output"]) == (200, str(tmp_path / "odd?.colorized.png"))
        odd.unlink()
        for asked, wanted, word in (
            (f"/api/render?{named}", 409, "odd?.png"),
            (f"/api/view?{named}&page=7", 409, "odd?.png"),
            ("/api/undo?name=%ED%B3%BF", 404, "no item"),
        ):
            status, told = client.ask(asked, {} if "view" in asked else None, method="POST")
            assert (status, word in json.loads(told)["error"]) == (wanted, True), asked


def rendered(client: Client) -> dict[str, Any]:
    return ended(client, "rendering")


def ended(client: Client, which: str) -> dict[str, Any]:
    """Wait until what is coloured behind the page is over, and return how it ended."""
    while True:
        state: dict[str, Any] = json.loads(client.ask(f"/api/{which}")[1])
        if state["is_over"]:
            return state
        time.sleep(0.05)


@pytest.mark.nightly
def test_a_film_is_coloured_behind_the_page(tmp_path: Path, tiny: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(24))
    make_film(tmp_path / "long.mp4", codec="libx264", times=range(1500))
    with served(str(tiny), film, tmp_path / "long.mp4") as address:
        client = entered(address)
        assert json.loads(client.ask("/api/rendering")[1]) is None
        assert client.ask("/api/correction?name=film.mp4", {"saturation": 0.0}, method="PUT")[0] == 200
        assert client.ask("/api/render?name=film.mp4", method="POST")[0] == 202
        state = rendered(client)
        assert (state["title"], state["done"], state["total"], state["error"]) == ("film.mp4", 24, 24, "")
        assert Path(state["output"]).stat().st_size > 0
        film.unlink()
        assert client.ask("/api/render?name=film.mp4", method="POST")[0] == 202
        assert "film.mp4" in rendered(client)["error"]
        assert client.ask("/api/render?name=long.mp4", method="POST")[0] == 202
        assert client.ask("/api/render?name=film.mp4", method="POST")[0] == 409
        # The page goes on meanwhile.
        assert client.ask("/api/view?name=long.mp4&time=1", {})[0] == 200
        assert client.ask("/api/rendering", method="DELETE")[0] == 204
        state = rendered(client)
        assert (state["output"], state["error"]) == ("", "")
        assert state["done"] < 1500
        # Ctrl-C ends the page with what is under way: `served` waits for that.
        assert client.ask("/api/render?name=long.mp4", method="POST")[0] == 202
    assert {path.name for path in tmp_path.glob("*.colorized.*")} == {"film.colorized.mp4"}


@pytest.mark.slow
def test_only_an_item_s_own_references_are_shown(client: Client, folder: Path) -> None:
    content = (folder / "coloured.png").read_bytes()
    # The tiny network tells no features, so it takes no references.
    assert client.ask("/api/reference?name=one.png", content, method="PUT")[0] == 409
    for name in ("../../../coloured.png", "one.png.correction.json", "one.png.reference-../x", "two.png.reference-00"):
        assert client.ask(f"/api/reference?name=one.png&reference={quote(name, safe='')}")[0] == 404
    assert client.ask("/api/reference?name=one.png&reference=one.png.reference-00")[0] == 409
