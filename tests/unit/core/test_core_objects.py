"""The object store's client against a small S3 server that misbehaves."""

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from whatsam_core.storage.objects import ObjectMissing, ObjectStore, ObjectStoreError, ObjectStoreUnreachable


class FakeS3(BaseHTTPRequestHandler):
    """Objects of one bucket in memory. `broken` names the answer that every call gets instead."""

    objects: dict[str, bytes]
    made: bool
    broken: tuple[int, str] | None
    stuck: threading.Event
    refuse_deletion: bool
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "application/xml", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str) -> None:
        self.reply(status, f"<Error><Code>{code}</Code><Message>no</Message><Resource>/</Resource></Error>".encode())

    def handle_call(self) -> None:
        cls = type(self)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if cls.broken is not None:
            if cls.broken[1] == "hang":
                cls.stuck.wait(10)
                return
            self.error(*cls.broken)
            return
        url = urlsplit(self.path)
        key, query = url.path.partition("/bucket/")[2], parse_qs(url.query, keep_blank_values=True)
        if not key:
            self.bucket(body, query)
        elif self.command == "PUT":
            cls.objects[key] = body
            self.reply(200, ETag='"x"')
        elif self.command == "DELETE":
            cls.objects.pop(key, None)
            self.reply(204)
        elif key in cls.objects and self.headers.get("Range", "").startswith("bytes="):
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            self.reply(206, cls.objects[key][int(first) : int(last) + 1], ETag='"x"')
        elif key in cls.objects:
            self.reply(200, cls.objects[key], **{"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT", "ETag": '"x"'})
        else:
            self.error(404, "NoSuchKey")

    def bucket(self, body: bytes, query: dict[str, list[str]]) -> None:
        cls = type(self)
        if self.command == "PUT":
            cls.made = True
            self.reply(200)
        elif self.command == "HEAD":
            self.reply(200 if cls.made else 404)
        elif "delete" in query:
            keys = [part.split("</Key>")[0] for part in body.decode().split("<Key>")[1:]]
            if cls.refuse_deletion:
                lines = "".join(f"<Error><Key>{key}</Key><Code>AccessDenied</Code></Error>" for key in keys)
                self.reply(200, f"<DeleteResult>{lines}</DeleteResult>".encode())
                return
            for key in keys:
                cls.objects.pop(key, None)
            self.reply(200, b"<DeleteResult></DeleteResult>")
        else:
            prefix = query.get("prefix", [""])[0]
            entries = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size>"
                "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
                for key, data in sorted(cls.objects.items())
                if key.startswith(prefix)
            )
            self.reply(
                200,
                f"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode(),
            )

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = handle_call  # noqa: N815 - http.server's names


@pytest.fixture
def s3() -> Iterator[type[FakeS3]]:
    class Handler(FakeS3):
        pass

    Handler.objects, Handler.made, Handler.broken = {}, False, None
    Handler.stuck, Handler.refuse_deletion = threading.Event(), False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.port = server.server_address[1]  # type: ignore[attr-defined]  # carried along for the next fixture
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield Handler
    Handler.stuck.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
async def store(s3: type[FakeS3]) -> AsyncIterator[ObjectStore]:
    made = ObjectStore(f"http://127.0.0.1:{s3.port}", "key", "secret", "bucket", "us-east-1", timeout=5.0)  # type: ignore[attr-defined]  # see above
    yield made
    await made.close()


async def test_put_get_list_delete(store: ObjectStore) -> None:
    await store.put("a/1", b"one")
    await store.put("a/2", b"")
    await store.put("b/1", b"other")
    assert await store.get("a/1") == b"one"
    assert await store.get("a/2") == b""
    assert [(found.key, found.size) for found in await store.list("a/")] == [("a/1", 3), ("a/2", 0)]
    assert await store.list("c/") == []
    await store.delete("a/1")
    await store.delete("a/1")
    with pytest.raises(ObjectMissing):
        await store.get("a/1")


async def test_the_bucket_is_made_once(s3: type[FakeS3], store: ObjectStore) -> None:
    await store.ensure_bucket()
    assert s3.made
    s3.broken = None
    await store.ensure_bucket()


async def test_delete_prefix_takes_everything_below_and_nothing_else(s3: type[FakeS3], store: ObjectStore) -> None:
    for key in ("a/1", "a/2", "ab/1"):
        await store.put(key, b"x")
    assert await store.delete_prefix("a/") == 2
    assert set(s3.objects) == {"ab/1"}
    assert await store.delete_prefix("a/") == 0


async def test_delete_prefix_tells_when_something_is_left(s3: type[FakeS3], store: ObjectStore) -> None:
    await store.put("a/1", b"x")
    s3.refuse_deletion = True
    with pytest.raises(ObjectStoreError, match="1 of 1 objects are still there"):
        await store.delete_prefix("a/")


@pytest.mark.parametrize("prefix", ["", "/"])
async def test_the_bucket_cannot_be_emptied_by_accident(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(ValueError, match="needs a prefix"):
        await store.delete_prefix(prefix)


@pytest.mark.parametrize(
    "answer", [(503, "SlowDown"), (500, "InternalError"), (503, "ServiceUnavailable"), (429, "Odd"), (502, "Odd")]
)
async def test_not_now_is_unreachable(s3: type[FakeS3], store: ObjectStore, answer: tuple[int, str]) -> None:
    s3.broken = answer
    with pytest.raises(ObjectStoreUnreachable):
        await store.get("a")
    with pytest.raises(ObjectStoreUnreachable):
        await store.put("a", b"x")


@pytest.mark.parametrize("answer", [(403, "AccessDenied"), (404, "NoSuchBucket"), (403, "SignatureDoesNotMatch")])
async def test_a_wrong_set_up_is_neither_missing_nor_unreachable(
    s3: type[FakeS3], store: ObjectStore, answer: tuple[int, str]
) -> None:
    s3.broken = answer
    with pytest.raises(ObjectStoreError) as caught:
        await store.get("a")
    assert type(caught.value) is ObjectStoreError
    assert "secret" not in str(caught.value)


async def test_a_store_that_hangs_is_unreachable_in_time(s3: type[FakeS3], store: ObjectStore) -> None:
    s3.broken = (0, "hang")
    with pytest.raises(ObjectStoreUnreachable):
        await store.get("a", timeout=0.05)


async def test_nobody_listens() -> None:
    store = ObjectStore("http://127.0.0.1:1", "key", "secret", "bucket")
    with pytest.raises(ObjectStoreUnreachable):
        await store.list("a/")
    await store.close()


async def test_half_an_answer_is_unreachable(
    s3: type[FakeS3], store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "bucket", lambda self, _body, _query: self.reply(200, b"<ListBucketResult><Name>bu"))
    with pytest.raises(ObjectStoreUnreachable):
        await store.list("a/")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8333", "ftp://host", "http://", "http://host/path"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        ObjectStore(url, "key", "secret", "bucket")


async def test_files_go_up_and_come_down_unchanged(store: ObjectStore, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(bytes(range(256)) * 5000)
    await store.put_file("m/1", there, content_type="image/png")
    found = await store.stat("m/1")
    assert found is not None
    assert found.size == 1_280_000
    assert await store.get_file("m/1", back) == 1_280_000
    assert back.read_bytes() == there.read_bytes()
    assert await store.stat("m/2") is None
    with pytest.raises(ObjectMissing):
        await store.get_file("m/2", back)


async def test_encryption_at_rest_is_asked_for(
    store: ObjectStore, s3: type[FakeS3], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    answer = s3.handle_call

    def handle(self: FakeS3) -> None:
        seen.append(self.headers.get("X-Amz-Server-Side-Encryption"))
        answer(self)

    monkeypatch.setattr(s3, "do_PUT", handle)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    await store.put_file("m/1", file, encrypt=True)
    await store.put_file("m/1", file)
    assert seen == ["AES256", None]


async def test_a_hanging_store_does_not_hold_a_file(s3: type[FakeS3], store: ObjectStore, tmp_path: Path) -> None:
    s3.broken = (0, "hang")
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(ObjectStoreUnreachable):
        await store.put_file("m/1", file, timeout=0.05)
    with pytest.raises(ObjectStoreUnreachable):
        await store.get_file("m/1", tmp_path / "back", timeout=0.05)


async def test_links_name_the_public_address_and_what_the_browser_is_told() -> None:
    store = ObjectStore(
        "http://inside:8333", "key", "secret", "bucket", public_url="https://files.example.org", timeout=1.0
    )
    link = urlsplit(store.presign("m/1", 60, content_type="image/png", disposition='inline; filename="a.png"'))
    assert (link.scheme, link.netloc, link.path) == ("https", "files.example.org", "/bucket/m/1")
    query = parse_qs(link.query)
    assert query["X-Amz-Expires"] == ["60"]
    assert query["response-content-type"] == ["image/png"]
    assert query["response-content-disposition"] == ['inline; filename="a.png"']
    await store.close()


async def test_a_part_of_an_object(store: ObjectStore, s3: type[FakeS3]) -> None:
    s3.objects["m/1"] = bytes(range(200))
    assert await store.get_part("m/1", 10, 5) == bytes(range(10, 15))
    assert await store.get_part("m/1", 195, 50) == bytes(range(195, 200))
    with pytest.raises(ObjectMissing):
        await store.get_part("m/2", 0, 1)
