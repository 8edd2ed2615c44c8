"""The object store as seen from outside: which objects a session has, and taking them away."""

from collections.abc import Mapping

from minio import Minio
from minio.deleteobjects import DeleteObject


class ObjectBucket:
    """The bucket of the running cluster."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment["WHATSAM_S3_URL"]
        self._bucket = environment["WHATSAM_S3_BUCKET"]
        self._client = Minio(
            address.partition("://")[2],
            access_key=environment["WHATSAM_S3_ACCESS_KEY"],
            secret_key=environment["WHATSAM_S3_SECRET_KEY"],
            secure=address.startswith("https"),
        )

    def keys_of(self, session: str) -> list[str]:
        """Keys of everything that the store has of a session's auth state."""
        found = self._client.list_objects(self._bucket, recursive=True)
        return [item.object_name for item in found if item.object_name and f"/{session}/" in item.object_name]

    def empty(self, session: str) -> None:
        """Delete all of it."""
        doomed = [DeleteObject(key) for key in self.keys_of(session)]
        for error in self._client.remove_objects(self._bucket, doomed):
            raise RuntimeError(f"{error.name}: {error.message}")
