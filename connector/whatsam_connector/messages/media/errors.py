"""How fetching a file fails."""

from whatsam_connector.errors import ConnectorError
from whatsam_connector.messages.media.outcomes import Outcome


class FetchFailed(ConnectorError):
    """The file is not there whole; `outcome` says why."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(detail or outcome.value)
        self.outcome = outcome
