"""Public datasets from where they are published, checked, and never a half file taken for a whole one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from bench.data.files import sha256
from bench.ground.home import atomic, home
from models.errors import UserError

RETRIES = 2
TIMEOUT_S = 60
CHUNK_BYTES = 1 << 16
GROUPLENS = "https://files.grouplens.org/datasets/movielens"
AMAZON = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"


@dataclass(frozen=True)
class Remote:
    """A dataset that can be downloaded.

    Attributes:
        about: What it is, in one line.
        urls: Its files.
        known: Checksums by file name, as ``algorithm:digest``, where the publisher or the field knows one.

    """

    about: str
    urls: tuple[str, ...]
    known: dict[str, str]


def _amazon(category: str) -> Remote:
    about = f"Amazon reviews 2014, {category.replace('_', ' ')}, 5-core, with title, categories and brand"
    return Remote(about, (f"{AMAZON}/reviews_{category}_5.json.gz", f"{AMAZON}/meta_{category}.json.gz"), {})


REMOTES = {
    "ml-1m": Remote(
        "MovieLens 1M ratings of movies, with title and genres",
        (f"{GROUPLENS}/ml-1m.zip",),
        {"ml-1m.zip": "md5:c4d9eecfca2ab87c1945afe126590906"},
    ),
    "beauty": _amazon("Beauty"),
    "sports": _amazon("Sports_and_Outdoors"),
    "toys": _amazon("Toys_and_Games"),
}


def download(name: str, remote: Remote) -> Path:
    """Return the folder with a dataset's files, fetched if need be.

    A file is downloaded under a temporary name and moved into place when it is whole, so that an
    interrupted download starts over at the next run. The SHA-256 of a file without a known
    checksum is recorded beside it when it first arrives, and holds from then on.

    Raises:
        UserError: The network fails, or what arrives has another checksum.

    """
    folder = home("data", "downloads", name)
    for url in remote.urls:
        _fetch(folder, url, remote.known.get(url.rpartition("/")[2]), name)
    return folder


def _fetch(folder: Path, url: str, checksum: str | None, name: str) -> None:
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    file = folder / url.rpartition("/")[2]
    record = file.with_name(f"{file.name}.sha256")
    if checksum is None and record.is_file():
        checksum = f"sha256:{record.read_text().strip()}"
    fetcher = pooch.create(
        path=folder, base_url="", registry={file.name: checksum}, urls={file.name: url}, retry_if_failed=RETRIES
    )
    try:
        fetcher.fetch(
            file.name,
            downloader=pooch.HTTPDownloader(progressbar=True, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S),
        )
    except ValueError as error:  # pooch's word for a checksum that differs
        remedy = (
            f"if its publisher changed it, delete {record} and run again" if record.is_file() else "run again later"
        )
        raise UserError(f"{url}: what arrived is not {file.name} as it is known ({checksum}); {remedy}") from error
    except OSError as error:  # requests' errors are OSErrors
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{url}: the download failed ({reason}); run again to start over, or put the files into DIR/{name}/ "
            "and give --data-dir DIR or set BENCH_DATA=DIR"
        ) from error
    if not record.is_file():
        with atomic(record) as path:
            path.write_text(f"{sha256(file)}\n")
