"""A picture as PNG: the same bytes each time, and what the SVG shows stands where it shows it."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from matplotlib import image
from test_figures import logs, saga

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import EventLog
from flowlab.figures import space_time, theme
from flowlab.figures.raster import to_png
from flowlab.figures.space_time import Figure

HEAD = b"\x89PNG\r\n\x1a\n"


def pixels(png: bytes) -> np.ndarray:
    """Return the image as whole numbers: rows, columns, red, green, blue, alpha."""
    shown: np.ndarray = np.rint(image.imread(io.BytesIO(png), format="png") * 255).astype(int)
    return shown


def drawn(inner: str, *, scale: float = 1.0) -> np.ndarray:
    ground = '<rect x="0" y="0" width="40" height="40" fill="#ffffff"/>'
    return pixels(to_png(f'<svg width="40" height="40">{ground}{inner}</svg>', scale=scale))


def colour(name: str) -> list[int]:
    return [int(name[place : place + 2], 16) for place in (1, 3, 5)]


@pytest.mark.parametrize(
    ("shape", "inside", "outside"),
    [
        ('<rect x="10" y="5" width="20" height="10" fill="#0072b2"/>', (20, 10), (20, 20)),
        ('<rect x="10" y="5" width="20" height="20" rx="9" fill="#0072b2"/>', (20, 15), (11, 6)),
        ('<circle cx="20" cy="30" r="8" fill="#0072b2"/>', (20, 30), (13, 23)),
        ('<path d="M5 5L35 5L5 35Z" fill="#0072b2"/>', (10, 10), (30, 30)),
        ('<path d="M5 5C5 35 35 35 35 5Z" fill="#0072b2"/>', (20, 15), (7, 30)),
        ('<path d="M5 5Q20 40 35 5Z" fill="#0072b2"/>', (20, 15), (7, 30)),
        ('<path d="M30 20A10 10 0 1 1 20 10Z" fill="#0072b2"/>', (20, 28), (29, 11)),
        ('<path d="M10 30v-10a10 10 0 0 1 20 0v10Z" fill="#0072b2"/>', (20, 12), (11, 11)),
        ('<line x1="0" y1="20" x2="40" y2="20" stroke="#0072b2" stroke-width="6"/>', (9, 20),
         (9, 26)),
    ],
)  # fmt: skip
def test_every_shape_stands_where_the_svg_says(
    shape: str, inside: tuple[int, int], outside: tuple[int, int]
) -> None:
    shown = drawn(shape)
    assert shown[inside[1], inside[0], :3].tolist() == colour("#0072b2")
    assert shown[outside[1], outside[0], :3].tolist() == [255, 255, 255]


def test_what_is_half_seen_through_is_half_of_its_colour() -> None:
    shown = drawn('<rect x="0" y="0" width="40" height="40" fill="#000000" fill-opacity="0.5"/>')
    assert abs(int(shown[20, 20, 0]) - 128) <= 1


def test_dashes_leave_gaps() -> None:
    line = '<line x1="0" y1="20" x2="40" y2="20" stroke="#000000" stroke-width="4" {}/>'
    whole = drawn(line.format(""))[20, :, 0]
    dashed = drawn(line.format('stroke-dasharray="5 5"'))[20, :, 0]
    assert (whole < 128).sum() == 40
    assert (dashed < 128).sum() == 20


def test_text_ends_where_it_is_anchored_and_what_the_font_lacks_is_a_square() -> None:
    words = '<text x="20" y="25" font-size="12" text-anchor="middle" fill="#000000">{}</text>'
    columns = np.flatnonzero((drawn(words.format("mm"), scale=2)[:, :, 0] < 128).any(axis=0))
    assert abs((columns[0] + columns[-1]) / 2 - 40) < 3
    assert (drawn(words.format("\u6f22")) == drawn(words.format("\u25a1"))).all()


def test_a_picture_is_the_same_bytes_each_time_and_as_large_as_it_is_asked_to_be() -> None:
    figure = space_time(saga())
    once = figure.to_png()
    assert once.startswith(HEAD)
    assert figure.to_png() == once
    small, large = pixels(figure.to_png(scale=1)), pixels(once)
    assert large.shape[:2] == (2 * small.shape[0], 2 * small.shape[1])
    assert small.shape[1] == 1200


def test_a_style_of_the_user_does_not_leak_in() -> None:
    from matplotlib import pyplot as plt

    plain = space_time(saga()).to_png(scale=1)
    with plt.style.context(["dark_background", {"text.hinting": "none", "font.size": 30}]):
        assert space_time(saga()).to_png(scale=1) == plain


@settings(max_examples=10)
@given(logs())
def test_any_log_gives_a_png(log: EventLog) -> None:
    assert space_time(log).to_png(scale=0.5).startswith(HEAD)


@pytest.mark.parametrize("scale", [0, -1, 9, float("nan")])
def test_a_scale_that_makes_no_image_is_refused(scale: float) -> None:
    with pytest.raises(InvalidArgumentError, match="above 0"):
        space_time(saga()).to_png(scale=scale)


def test_an_image_of_too_many_pixels_is_refused_by_its_limit() -> None:
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        to_png('<svg width="20000" height="20000"></svg>', scale=1)


def test_a_picture_is_saved_as_the_ending_says(tmp_path: Path) -> None:
    figure = space_time(saga())
    assert figure.save(tmp_path / "a.svg").read_text(encoding="utf-8") == figure.svg
    assert figure.save(tmp_path / "a.PNG").read_bytes() == figure.to_png()
    assert figure.save(tmp_path / "a.txt").read_text(encoding="utf-8") == figure.text + "\n"
    with pytest.raises(InvalidArgumentError, match=r"\.svg, \.png or \.txt"):
        figure.save(tmp_path / "a.pdf")


def test_a_dark_picture_has_every_mark_of_the_light_one_on_dark_ground() -> None:
    figure = space_time(saga())
    dark = figure.dark()
    assert theme.PANEL not in dark.svg
    assert dark.svg.count("<") == figure.svg.count("<")
    assert pixels(dark.to_png(scale=1))[60, 600, :3].tolist() == colour("#161b22")
    assert zlib.crc32(dark.dark().svg.encode()) == zlib.crc32(dark.svg.encode())


def test_a_notebook_in_a_dark_theme_shows_a_dark_picture() -> None:
    html = Figure('<svg><rect fill="#ffffff"/></svg>', "", "one")._repr_html_()
    assert '[data-jp-theme-light="false"]' in html
    assert '[fill="#ffffff"]{fill:#161b22}' in html
