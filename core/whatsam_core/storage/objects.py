"""The object store as Whatsam uses it: keys and bytes in one bucket of any S3-compatible server.

Operator (tombstones, deletion), connector (auth state, media) and API (media) share it. The client is synchronous
`minio` in threads of its own: a store that hangs must not block the event loop nor the loop's default executor.
Media go through files, in pieces: no call holds more than a few MiB of one in memory.
"""

import asyncio
import io
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, TypeVar, cast
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.sse import SseS3
from urllib3.response import BaseHTTPResponse

from whatsam_core.errors import WhatsamError

_THREADS: Final = 16
"""Calls at one time. Each may hang for its timeout when the store does."""
_CONNECT_TIMEOUT: Final = 3.0
_TRY_AGAIN: Final = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Throttling"}
)
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchObject", "NotFound"})
_PART_BYTES: Final = 5 * 1024 * 1024
"""Size of the pieces of an upload, the least that S3 allows: also what one upload holds in memory."""
_CHUNK_BYTES: Final = 256 * 1024
_STREAM_TIMEOUT: Final = 300.0
"""Seconds for one file up or down, however large the limit on its size lets it be."""

_ANSWER_TIMEOUT: Final = 3.0
"""Seconds to tell whether the store is there."""

T = TypeVar("T")


class ObjectStoreError(WhatsamError):
    """A call to the object store failed for a reason that trying again does not cure (rights, wrong bucket)."""


class ObjectMissing(ObjectStoreError):
    """There is no object under this key. The store did answer: this is knowledge, not an outage."""


class ObjectStoreUnreachable(ObjectStoreError):
    """No answer, or one that says "not now". A write may or may not have happened."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One entry of a listing. `size` in bytes; `modified` by the store's clock."""

    key: str
    size: int
    modified: datetime


class ObjectStore:
    """One bucket. `timeout` bounds every call, in seconds, unless the call says otherwise.

    `public_url` is the address under which people outside the cluster reach the same store: presigned links name it.
    """

    def __init__(
        self,
        url: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        region: str = "us-east-1",
        *,
        timeout: float = 10.0,
        public_url: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="object-store")
        # No retries below us: callers know what may be repeated and until when.
        self._pool = urllib3.PoolManager(
            maxsize=_THREADS,
            timeout=urllib3.Timeout(connect=min(_CONNECT_TIMEOUT, timeout), read=timeout),
            retries=urllib3.Retry(total=0),
        )

        def client(address: str) -> Minio:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
                raise ValueError(
                    "the object store's URL must look like http://host:port or https://host, without a path"
                )
            return Minio(
                endpoint=parts.netloc,
                access_key=access_key,
                secret_key=secret_key,
                secure=parts.scheme == "https",
                region=region,  # given, so that the client does not ask for the bucket's location first
                http_client=self._pool,
            )

        self._client = client(url)
        self._presigner = client(public_url or url)

    async def close(self) -> None:
        """Drop the connections and the threads; calls under way end with their own timeouts, unheard."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.clear()

    async def ensure_bucket(self) -> None:
        """Make the bucket when it is not there. Safe to call from many processes at once."""

        def work() -> None:
            if self._client.bucket_exists(bucket_name=self._bucket):
                return
            try:
                self._client.make_bucket(bucket_name=self._bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

        await self._run(f"make bucket {self._bucket}", work)

    async def answers(self) -> bool:
        """Whether the store answers now, whatever it holds."""
        try:
            await self.stat("is-anybody-there", timeout=_ANSWER_TIMEOUT)
        except ObjectStoreError:
            return False
        return True

    async def put(self, key: str, data: bytes, *, timeout: float | None = None) -> None:
        """Store the object, all of it or nothing. After `ObjectStoreUnreachable` it may still appear later."""

        def work() -> None:
            self._client.put_object(bucket_name=self._bucket, object_name=key, data=io.BytesIO(data), length=len(data))

        await self._run(f"put {key}", work, timeout)

    async def get(self, key: str, *, timeout: float | None = None) -> bytes:
        """The object's bytes. Raises `ObjectMissing`."""

        def work() -> bytes:
            return _all_of(self._client.get_object(bucket_name=self._bucket, object_name=key))

        return await self._run(f"get {key}", work, timeout)

    async def stat(self, key: str, *, timeout: float | None = None) -> ObjectInfo | None:
        """What is stored under the key; None when nothing is."""

        def work() -> ObjectInfo:
            found = self._client.stat_object(bucket_name=self._bucket, object_name=key)
            return ObjectInfo(key, found.size or 0, cast("datetime", found.last_modified))

        try:
            return await self._run(f"stat {key}", work, timeout)
        except ObjectMissing:
            return None

    async def put_file(
        self,
        key: str,
        path: Path,
        *,
        content_type: str = "application/octet-stream",
        encrypt: bool = False,
        timeout: float = _STREAM_TIMEOUT,
    ) -> None:
        """Store a local file, all of it or nothing, in pieces. `encrypt` asks the store for SSE-S3.

        Raises `ObjectStoreError` as `put` does.
        """
        given_up = threading.Event()

        def work() -> None:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._client.put_object(
                    bucket_name=self._bucket,
                    object_name=key,
                    data=cast("BinaryIO", _Abandonable(file, given_up)),
                    length=size,
                    content_type=content_type,
                    sse=SseS3() if encrypt else None,
                    part_size=_PART_BYTES,
                    num_parallel_uploads=1,
                )

        try:
            await self._run(f"put {key}", work, timeout)
        finally:
            given_up.set()  # a thread that was left behind must not go on reading a file that its owner deletes

    async def get_file(self, key: str, path: Path, *, timeout: float = _STREAM_TIMEOUT) -> int:
        """Write the object to a local file and return its size in bytes. Raises `ObjectMissing`.

        The file is complete when this returns; after an error it may hold a part and is the caller's to delete.
        """
        given_up = threading.Event()

        def work() -> int:
            response = self._client.get_object(bucket_name=self._bucket, object_name=key)
            written = 0
            with closing(response), path.open("wb") as file:
                for chunk in response.stream(_CHUNK_BYTES):
                    if given_up.is_set():
                        raise _Abandoned("nobody waits for this file any more")
                    file.write(chunk)
                    written += len(chunk)
            _end(response, written)
            return written

        try:
            return await self._run(f"get {key}", work, timeout)
        finally:
            given_up.set()

    async def get_part(self, key: str, offset: int, length: int, *, timeout: float | None = None) -> bytes:
        """`length` bytes from `offset` on, fewer at the end of the object. Raises `ObjectMissing`."""

        def work() -> bytes:
            return _all_of(
                self._client.get_object(bucket_name=self._bucket, object_name=key, offset=offset, length=length)
            )

        return await self._run(f"get part of {key}", work, timeout)

    def presign(
        self, key: str, seconds: int, *, content_type: str | None = None, disposition: str | None = None
    ) -> str:
        """A link that lets its bearer read the object for so many seconds. Made here, the store is not asked.

        `content_type` and `disposition` are what the store says when the link is used; both are signed.
        """
        headers: dict[str, str | list[str] | tuple[str]] = {}
        if content_type is not None:
            headers["response-content-type"] = content_type
        if disposition is not None:
            headers["response-content-disposition"] = disposition
        return self._presigner.presigned_get_object(
            bucket_name=self._bucket,
            object_name=key,
            expires=timedelta(seconds=seconds),
            response_headers=headers or None,
        )

    async def list(self, prefix: str, *, timeout: float | None = None) -> list[ObjectInfo]:
        """Every object whose key starts with the prefix, in the order of the keys. Nothing there: an empty list."""

        def work() -> list[ObjectInfo]:
            found = self._client.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True)
            return [
                ObjectInfo(cast("str", item.object_name), item.size or 0, cast("datetime", item.last_modified))
                for item in found
            ]

        return await self._run(f"list {prefix}", work, timeout)

    async def delete(self, key: str, *, timeout: float | None = None) -> None:
        """Remove the object; no error when it is not there."""

        def work() -> None:
            self._client.remove_object(bucket_name=self._bucket, object_name=key)

        await self._run(f"delete {key}", work, timeout)

    async def delete_prefix(self, prefix: str, *, timeout: float | None = None) -> int:
        """Remove every object under the prefix and return how many there were.

        Raises when one of them is still there; call it again then, a repetition does no harm. An empty prefix is
        refused: it would empty the bucket.
        """
        if not prefix.strip("/"):
            raise ValueError("delete_prefix needs a prefix")
        keys = [found.key for found in await self.list(prefix, timeout=timeout)]
        await self.delete_all(keys, timeout=timeout)
        return len(keys)

    async def delete_all(self, keys: Sequence[str], *, timeout: float | None = None) -> None:
        """Remove these objects in as few calls as the store allows; no error for those that are not there.

        Raises when one of them is still there; call it again then, a repetition does no harm.
        """
        if not keys:
            return
        what = f"delete {keys[0]} and {len(keys) - 1} others"

        def work() -> None:
            wanted: Iterable[DeleteObject] = (DeleteObject(key) for key in keys)
            # The client deletes lazily: reading the errors is what sends the requests.
            failed = list(self._client.remove_objects(bucket_name=self._bucket, delete_object_list=wanted))
            if failed:
                raise ObjectStoreError(f"{what}: {len(failed)} of {len(keys)} objects are still there")

        await self._run(what, work, timeout)

    async def _run(self, what: str, work: Callable[[], T], timeout: float | None = None) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout or self._timeout):
                return await loop.run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise ObjectStoreUnreachable(f"{what}: no answer in time") from error
        except S3Error as error:
            raise _named(what, error) from error
        except (ServerError, InvalidResponseError, urllib3.exceptions.HTTPError, OSError) as error:
            # The texts of these name host and path only; the signature travels in a header.
            raise ObjectStoreUnreachable(f"{what}: {type(error).__name__}: {error}") from error
        except ParseError as error:  # half an answer of a server that is going down, or a proxy's page
            raise ObjectStoreUnreachable(f"{what}: the answer is not understood: {error}") from error
        except (MinioException, ValueError) as error:
            raise ObjectStoreError(f"{what}: {error}") from error


def _all_of(response: BaseHTTPResponse) -> bytes:
    with closing(response):
        data = response.read()
    _end(response, len(data))
    return data


def _end(response: BaseHTTPResponse, read: int) -> None:
    """Give the connection back. Raises when the answer ended before its announced length."""
    response.release_conn()
    expected = response.headers.get("Content-Length")
    if expected is not None and int(expected) != read:
        raise urllib3.exceptions.IncompleteRead(read, int(expected) - read)


class _Abandoned(OSError):
    """The caller has given up; the thread that works for it ends."""


class _Abandonable:
    """A file that refuses to be read on once its owner has gone."""

    def __init__(self, file: BinaryIO, given_up: threading.Event) -> None:
        self._file = file
        self._given_up = given_up

    def read(self, size: int = -1) -> bytes:
        """As the file's own."""
        if self._given_up.is_set():
            raise _Abandoned("nobody waits for this file any more")
        return self._file.read(size)


def _named(what: str, error: S3Error) -> ObjectStoreError:
    text = f"{what}: {error.code}: {error.message}"
    if error.code in _MISSING:
        return ObjectMissing(text)
    status = getattr(error.response, "status", 0)
    if error.code in _TRY_AGAIN or status >= 500 or status == 429:
        return ObjectStoreUnreachable(text)
    return ObjectStoreError(text)
