"""Downloads arrive whole and checked, or not at all. A server on this machine plays the publisher."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench import data
from bench.data import download
from bench.ground.home import home
from models.errors import UserError

from .conftest import sequences, write_amazon, write_movielens_zip


@pytest.fixture
def publisher(monkeypatch):
    """Serve `bodies` by file name; a file in `cut` is announced whole and sent by half."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            self.requests.append(name)
            body = self.bodies.get(name)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write((body or b"")[: len(body or b"") // 2 if name in self.cut else None])

        def log_message(self, *args):
            pass

    Handler.bodies, Handler.cut, Handler.requests = {}, set(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "RETRIES", 0)
    yield Handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def movies(publisher, tmp_path, monkeypatch):
    """Publish a small zip as ml-1m, with its checksum known."""
    body = write_movielens_zip(tmp_path / "published.zip").read_bytes()
    publisher.bodies["ml-1m.zip"] = body
    known = {"ml-1m.zip": f"md5:{hashlib.md5(body).hexdigest()}"}
    remote = download.Remote("movies", (f"{publisher.address}/ml-1m.zip",), known)
    monkeypatch.setitem(download.REMOTES, "ml-1m", remote)
    return publisher


@pytest.fixture
def beauty(publisher, tmp_path, monkeypatch):
    """Publish two small files as beauty, with no checksum known."""
    for file in write_amazon(tmp_path / "published").iterdir():
        publisher.bodies[file.name] = file.read_bytes()
    urls = tuple(f"{publisher.address}/{name}" for name in ("reviews_Beauty_5.json.gz", "meta_Beauty.json.gz"))
    monkeypatch.setitem(download.REMOTES, "beauty", download.Remote("beauty", urls, {}))
    return publisher


def test_first_use_downloads_and_the_second_does_not(movies):
    assert sequences(data.load("ml-1m")) == ["abc", "cac"]
    assert sequences(data.load("ml-1m")) == ["abc", "cac"]
    assert movies.requests == ["ml-1m.zip"]


def test_data_folder_comes_before_a_download(movies, tmp_path, monkeypatch):
    write_movielens_zip(tmp_path / "mine" / "ml-1m" / "ml-1m.zip")
    assert data.load("ml-1m", data_dir=tmp_path / "mine").users == 2
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "mine"))
    assert data.load("ml-1m").name == "ml-1m"
    assert movies.requests == []


def test_data_folder_without_the_dataset_leads_to_a_download(movies, tmp_path):
    assert data.load("ml-1m", data_dir=tmp_path).users == 2
    assert movies.requests == ["ml-1m.zip"]


def test_checksum_that_differs_from_the_known_one(movies):
    movies.bodies["ml-1m.zip"] += b"!"
    with pytest.raises(UserError, match=r"what arrived is not ml-1m\.zip as it is known \(md5:\w+\); run again later"):
        data.load("ml-1m")
    assert list(home("data", "downloads", "ml-1m").iterdir()) == []


def test_interrupted_download_leaves_nothing_and_the_next_run_starts_over(movies):
    movies.cut.add("ml-1m.zip")
    with pytest.raises(UserError, match=r"the download failed .* run again .* --data-dir DIR or set BENCH_DATA=DIR"):
        data.load("ml-1m")
    assert list(home("data", "downloads", "ml-1m").iterdir()) == []
    movies.cut.clear()
    assert data.load("ml-1m").users == 2


def test_half_file_in_the_folder_is_not_taken_for_a_whole_one(movies):
    (home("data", "downloads", "ml-1m") / "ml-1m.zip").write_bytes(movies.bodies["ml-1m.zip"][:100])
    assert data.load("ml-1m").users == 2


def test_second_of_two_files_fails_and_the_first_stays(beauty):
    beauty.cut.add("meta_Beauty.json.gz")
    with pytest.raises(UserError, match=r"meta_Beauty\.json\.gz: the download failed"):
        data.load("beauty")
    beauty.cut.clear()
    assert data.load("beauty").users == 2
    assert beauty.requests == ["reviews_Beauty_5.json.gz", "meta_Beauty.json.gz", "meta_Beauty.json.gz"]


def test_unknown_checksum_is_recorded_and_holds(beauty):
    data.load("beauty")
    file = home("data", "downloads", "beauty") / "reviews_Beauty_5.json.gz"
    record = file.with_name(f"{file.name}.sha256")
    assert record.read_text().strip() == hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    beauty.bodies[file.name] += b"!"
    with pytest.raises(UserError, match=r"what arrived is not .* delete .*\.sha256 and run again"):
        data.load("beauty")


def test_file_changed_after_its_checksum_was_recorded_is_fetched_again(beauty):
    data.load("beauty")
    file = home("data", "downloads", "beauty") / "reviews_Beauty_5.json.gz"
    file.write_bytes(file.read_bytes()[:50])
    assert data.load("beauty").users == 2
    assert beauty.requests.count(file.name) == 2


def test_missing_file_at_the_publisher(movies):
    movies.bodies.clear()
    with pytest.raises(UserError, match=r"the download failed \(404 Client Error"):
        data.load("ml-1m")


def test_no_network(movies, monkeypatch):
    remote = download.Remote("movies", ("http://127.0.0.1:9/ml-1m.zip",), {})
    monkeypatch.setitem(download.REMOTES, "ml-1m", remote)
    with pytest.raises(UserError, match=r"the download failed .* put the files into DIR/ml-1m/") as raised:
        data.load("ml-1m")
    assert "\n" not in str(raised.value)


def test_remotes_are_the_published_files():
    """Names and places as the publishers give them."""
    remotes = download.REMOTES
    assert remotes["ml-1m"].urls == ("https://files.grouplens.org/datasets/movielens/ml-1m.zip",)
    assert remotes["ml-1m"].known == {"ml-1m.zip": "md5:c4d9eecfca2ab87c1945afe126590906"}
    names = [url.rpartition("/")[2] for name in ("beauty", "sports", "toys") for url in remotes[name].urls]
    assert names == [
        f"{kind}.json.gz"
        for category in ("Beauty", "Sports_and_Outdoors", "Toys_and_Games")
        for kind in (f"reviews_{category}_5", f"meta_{category}")
    ]
