"""Proxies of sessions: read from their Secrets, and tried before an engine is given to them."""

import base64
import binascii
import os

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy

from whatsam_connector.errors import ProxyUnusable
from whatsam_connector.proxies import checked
from whatsam_core.resources.session import SecretKeyRef
from whatsam_core.storage import cluster as core

_READ_SECONDS = 5.0
_TRY_SECONDS = 10.0
"""For the proxy to take us and to open a connection to WhatsApp."""
WHATSAPP = ("web.whatsapp.com", 443)


class SecretProxies:
    """The proxies that Secrets of one namespace hold."""

    def __init__(self, cluster: core.Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def usable(self, reference: SecretKeyRef) -> str:
        """URL of the proxy, after it has opened a way to WhatsApp. Raises `ProxyUnusable`."""
        url = checked(await self._read(reference))
        await _try(url)
        return url

    async def _read(self, reference: SecretKeyRef) -> str:
        try:
            secret = await self._cluster.get(core.SECRETS, self._namespace, reference.name, timeout=_READ_SECONDS)
        except core.NotFound:
            raise ProxyUnusable("ProxyMissing", f"there is no Secret {reference.name} with the proxy") from None
        except core.Forbidden:
            raise ProxyUnusable(
                "ProxyForbidden",
                f"workers may not read the Secret {reference.name}: put the proxy into the Secret whatsam-proxies, "
                "or let the service account whatsam-connector get this one",
            ) from None
        except core.ClusterError as error:
            raise ProxyUnusable("ProxyUnknown", f"the Secret {reference.name} cannot be read: {error}") from error
        encoded = secret.get("data", {}).get(reference.key)
        if encoded is None:
            raise ProxyUnusable("ProxyMissing", f"the Secret {reference.name} has no key {reference.key}")
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ProxyUnusable("ProxyInvalid", f"the Secret {reference.name} does not hold a text") from None


async def _try(url: str) -> None:
    """Let the proxy open a connection to WhatsApp, and close it again."""
    try:
        connection = await Proxy.from_url(url).connect(*WHATSAPP, timeout=_TRY_SECONDS)
    except ProxyTimeoutError:
        raise ProxyUnusable("ProxyUnreachable", f"the proxy did not answer within {_TRY_SECONDS:g} s") from None
    except (ProxyConnectionError, OSError) as error:
        why = f" ({os.strerror(error.errno)})" if error.errno else ""
        raise ProxyUnusable("ProxyUnreachable", f"the proxy cannot be reached{why}") from None
    except ProxyError as error:
        code = f" (code {error.error_code})" if error.error_code else ""
        raise ProxyUnusable("ProxyRefused", f"the proxy opens no connection to WhatsApp{code}") from None
    connection.close()
