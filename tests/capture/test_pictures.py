"""Foreign pictures: good ones are read, bombs and fragments are refused before they are decoded."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from capture import CaptureError
from capture.options import VideoOptions
from capture.picture_header import PictureHeader, read_header
from capture.pictures import MAX_PICTURE_BYTES, Pictures, decode_picture, read_picture
from tests.capture.pictures_to_try import noise
from tests.chaos.telling import tell


def encoded(suffix: str, seed: int = 0, width: int = 64, height: int = 48) -> bytes:
    done, data = cv2.imencode(suffix, noise(seed, width, height))
    assert done
    return data.tobytes()


def png_claiming(width: int, height: int) -> bytes:
    """A whole PNG, tiny, whose header promises any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def jpeg_claiming(width: int, height: int) -> bytes:
    """A real JPEG whose start-of-frame segment is made to lie."""
    data = bytearray(encoded(".jpg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_is_read_as_opencv_reads_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    path.write_bytes(encoded(suffix))
    pixels = read_picture(path)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (48, 64, 3)
    np.testing.assert_array_equal(pixels, cv2.imread(str(path)))


def test_grey_and_transparent_pictures_come_with_three_channels() -> None:
    for picture in (noise()[:, :, 0], np.dstack([noise(), noise()[:, :, 0]])):
        _, data = cv2.imencode(".png", picture)
        assert decode_picture(data.tobytes()).shape == (180, 320, 3)


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes(encoded(".png"))
    assert read_picture(tmp_path / "picture.jpg").shape == (48, 64, 3)
    (tmp_path / "picture.png").write_bytes(encoded(".bmp"))
    with pytest.raises(CaptureError, match=r"picture.png: neither a JPEG nor a PNG; give a JPEG or PNG"):
        read_picture(tmp_path / "picture.png")


@pytest.mark.parametrize("bomb", [jpeg_claiming(30_000, 30_000), png_claiming(12_000, 12_000)], ids=["JPEG", "PNG"])
def test_an_image_bomb_is_refused_before_it_is_decoded(bomb: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(CaptureError, match=r"upload: \d+x\d+ pixels, more than the 16777216 that are decoded"):
        decode_picture(bomb, what="upload")
    took_s = time.monotonic() - began
    assert took_s < 0.05  # the contract
    tell("G21 picture", refused_ms=round(1000 * took_s, 2))


def test_the_largest_allowed_picture_is_allowed() -> None:
    assert read_header(jpeg_claiming(4096, 4096)).width == 4096
    with pytest.raises(CaptureError, match="more than"):
        decode_picture(jpeg_claiming(4097, 4096))


def test_a_file_too_large_to_be_a_picture_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "endless.jpg"
    with path.open("wb") as file:
        file.write(encoded(".jpg"))
        file.truncate(MAX_PICTURE_BYTES * 8)
    with pytest.raises(CaptureError, match="larger than 128 MiB"):
        read_picture(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_half_written_picture_is_refused_wherever_it_was_cut(suffix: str) -> None:
    data = encoded(suffix)
    for length in range(0, len(data) - 8, 37):
        with pytest.raises(CaptureError):
            decode_picture(data[:length])


def test_damaged_pictures_give_pixels_or_a_capture_error_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    for suffix in (".jpg", ".png"):
        good = np.frombuffer(encoded(suffix), np.uint8)
        for _ in range(300):
            damaged = good.copy()
            damaged[random.integers(2, len(good), 4)] = random.integers(0, 256, 4)
            try:
                pixels = decode_picture(damaged.tobytes())
            except CaptureError:
                continue
            assert pixels.ndim == 3


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "the file is empty"),
        (b"hello", "neither a JPEG nor a PNG"),
        (b"\xff\xd8\xff", "header is broken or cut off"),
        (b"\xff\xd8\xff\xe0\x00\x04ab" + b"\xff\xda\x00\x02", "a JPEG without a size"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG without a header"),
        (png_claiming(0, 100), "a PNG of 0x100 pixels"),
    ],
)
def test_a_broken_header_is_told(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_header(data)


def test_the_header_of_a_progressive_jpeg_with_a_thumbnail_is_found() -> None:
    done, data = cv2.imencode(".jpg", noise(0, 100, 60), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    thumbnail = b"Exif\0\0" + encoded(".jpg", width=16, height=16)
    exif = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = data.tobytes()[:2] + exif + data.tobytes()[2:]
    assert read_header(whole) == PictureHeader("JPEG", 100, 60, complete=True)
    cut = whole[: len(whole) // 2]
    assert not read_header(cut).complete


def test_the_pictures_of_a_folder_come_in_order_of_their_names(tmp_path: Path) -> None:
    for seed, name in enumerate(["b.png", "a.JPG", "c.jpeg"]):
        (tmp_path / name).write_bytes(encoded(Path(name).suffix.lower(), seed, width=40 + seed))
    (tmp_path / "notes.txt").write_text("not a picture")
    with Pictures("album", str(tmp_path), VideoOptions()) as source:
        assert source.description == f"3 pictures in {tmp_path}"
        frames = list(source)
    assert [(frame.seq, frame.pixels.shape[1]) for frame in frames] == [(0, 41), (1, 40), (2, 42)]
    assert {frame.source for frame in frames} == {"album"}


def test_a_pattern_or_a_single_picture_will_do(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b1.png"):
        (tmp_path / name).write_bytes(encoded(".png"))
    for place, count in ((f"{tmp_path}/a*.png", 2), (f"{tmp_path}/b1.png", 1)):
        with Pictures("album", place, VideoOptions()) as source:
            assert len(list(source)) == count


def test_pictures_repeat_when_asked_and_keep_the_pace_asked_for(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(".png"))
    with Pictures("album", str(tmp_path), VideoOptions(loop=True, fps=50)) as source:
        assert source.live
        frames = iter(source)
        stamps = [next(frames).stamp.mono_ns for _ in range(6)]
    assert stamps[-1] - stamps[0] >= 5 * 20_000_000 * 0.9


@pytest.mark.parametrize(
    ("place", "complaint"),
    [("{}", "no .jpg, .jpeg or .png picture in this folder"), ("{}/x*.png", "no such file or folder, and no picture")],
)
def test_a_place_without_pictures_is_told(tmp_path: Path, place: str, complaint: str) -> None:
    with pytest.raises(CaptureError, match=complaint), Pictures("album", place.format(tmp_path), VideoOptions()):
        pass


def test_a_bad_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(encoded(".jpg")[:200])
    with Pictures("album", str(tmp_path), VideoOptions()) as source, pytest.raises(CaptureError, match=r"bad\.jpg: "):
        next(iter(source))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"gone\.jpg: cannot be read: No such file"):
        read_picture(tmp_path / "gone.jpg")
