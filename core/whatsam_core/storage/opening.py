"""The object store that a process's settings name. For the factories of operator and connector."""

from whatsam_core.settings import ObjectStoreSettings
from whatsam_core.storage.objects import ObjectStore


def open_object_store(settings: ObjectStoreSettings, *, timeout: float = 10.0) -> ObjectStore:
    """A client of the settings' bucket; the first call connects. `timeout` bounds every call, in seconds."""
    return ObjectStore(
        settings.s3_url,
        settings.s3_access_key.get_secret_value(),
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        settings.s3_region,
        timeout=timeout,
    )
