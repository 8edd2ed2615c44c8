"""The table `messages` as the connector reads and writes it. The API's migrations make it; nobody else has SQL here."""

from whatsam_connector.storage.database import Database
from whatsam_connector.storage.incoming import IncomingMessages
from whatsam_connector.storage.outgoing import OutgoingMessages


class MessageTable(OutgoingMessages, IncomingMessages):
    """Both sides of the table, for the mailroom."""

    def __init__(self, database: Database) -> None:
        OutgoingMessages.__init__(self, database)
        IncomingMessages.__init__(self, database)
