"""Which pod has which address, and where to go on; the cursor outlives the process. Used by `pod.py`."""

from pathlib import Path

from whatsam_local.node.addresses import next_address


class AddressBook:
    """The pods' addresses of one node."""

    def __init__(self, pod_network: str, cursor_file: Path, known: dict[str, str]) -> None:
        """`known`: addresses by pod uid that the runtime's sandboxes have already."""
        self._pod_network = pod_network
        self._file = cursor_file
        self._by_uid = dict(known)
        try:
            self._cursor = int(cursor_file.read_text())
        except (OSError, ValueError):
            self._cursor = 0

    def known(self, uid: str) -> str | None:
        """The address a pod has already."""
        return self._by_uid.get(uid)

    def take(self, uid: str) -> str:
        """The pod's address; a new one where it has none. Raises `ConfigError` when all are taken."""
        if uid not in self._by_uid:
            allocation = next_address(self._pod_network, self._cursor, self._by_uid.values())
            self._cursor = allocation.cursor
            self._by_uid[uid] = allocation.address
            self._file.write_text(str(self._cursor))
        return self._by_uid[uid]

    def release(self, uid: str) -> None:
        """The pod is gone."""
        self._by_uid.pop(uid, None)
