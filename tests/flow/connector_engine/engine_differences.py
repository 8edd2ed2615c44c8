"""Where the engines rightly differ: what the flow tests expect of each, and the page that is generated from it.

A test reads its expectation from an entry (`OWN_IDS.of(engine.kind)`) instead of asking which engine it has. Each entry
names the test that shows the difference. `python tests/flow/connector_engine/engine_differences.py FILE` writes the
page; `make docs` does so for docs/engines-compared.md, and a unit test holds the page against this table.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from connector_engines import Kind

FOLDER = "tests/flow/connector_engine"

Expected = TypeVar("Expected")


@dataclass(frozen=True)
class Difference(Generic[Expected]):
    """One difference: in words for the page, and as values that tests compare with."""

    feature: str
    neonize: str
    whatsmeow: str
    test: str
    """`file::test`, below FOLDER."""
    expected: tuple[Expected, Expected]
    """With neonize, with whatsmeow."""

    def of(self, kind: Kind) -> Expected:
        """What this engine does."""
        return self.expected[list(Kind).index(kind)]


CAPABILITIES = Difference(
    "What the engine says of itself (`hello`)",
    "no ids of one's own, acknowledges before the journal has it, no passkey",
    "ids of one's own, acknowledges when the journal has it, passkeys",
    "test_engine_capabilities_flow.py::test_an_engine_says_what_it_can",
    ((False, False, False), (True, True, True)),
)

PASSKEY = Difference(
    "Pairing an account that asks for a passkey",
    "ends: `PairingEnded` with `passkey`; nothing is linked",
    "WebAuthn's request is told, its answer taken (`answer_passkey`), and a code shown where one must be compared",
    "test_engine_passkey_flow.py::test_an_account_with_a_passkey",
    (False, True),
)

# --- sending ----------------------------------------------------------------------------------------------------------

OWN_IDS = Difference(
    "A message id that the sender has chosen",
    "refused as `Unsupported`; neonize makes its own",
    "the recipient gets it with that id, also when it is sent again after a kill; if the first attempt had arrived, "
    "the recipient's device gets it twice and can tell so by the id",
    "test_engine_capabilities_flow.py::test_a_message_has_the_id_that_it_was_given",
    (False, True),
)
SEND_WITHOUT_ANSWER = Difference(
    "The message behind one that WhatsApp did not answer in time",
    "waits behind it; `NotStarted` when its own time is up",
    "is sent: the first one ends with its time limit",
    "test_engine_messages_flow.py::test_what_comes_behind_a_send_without_answer",
    ("NotStarted", None),
)
QUESTION_WITHOUT_ANSWER = Difference(
    "Questions without an answer in one session",
    "neonize waits on for each; behind five of them the next is `NotStarted`",
    "each ends with its time limit; the next begins",
    "test_engine_calls_flow.py::test_many_questions_without_an_answer",
    (5, 8),
)

# --- receiving --------------------------------------------------------------------------------------------------------

LOST_AROUND_A_KILL = Difference(
    "`kill -9` in a burst of 200 messages",
    "a few may be lost: WhatsApp has their acknowledgement before the journal has them (the test allows 5)",
    "none is lost",
    "test_engine_journal_flow.py::test_a_kill_in_a_burst_costs_next_to_nothing",
    (5, 0),
)
DELIVERED_AGAIN = Difference(
    "A message that WhatsApp delivers again after a kill, although the journal has it",
    "cannot be decrypted twice; kept as `InboundUndecryptable` with `already_decrypted`",
    "known to be done, acknowledged, and no second record",
    "test_engine_journal_flow.py::test_a_message_that_comes_again_after_it_was_decrypted",
    (True, False),
)
PHONE_IS_ASKED = Difference(
    "A message that cannot be decrypted",
    "its sender sends it again; one record",
    "the own phone is asked at the same time; there can be two records with the same WhatsApp id, the phone's "
    "with `resent_by_phone`",
    "test_engine_messages_flow.py::test_a_damaged_message_is_noted_and_comes_again",
    (False, True),
)
PHONE_IS_HEARD = Difference(
    "What is done on the phone: a chat archived, pinned, muted, a contact named",
    "not told; `chat_settings` and `contacts` show it when asked",
    "told as `InboundAppState`, and shown when asked",
    "test_engine_directory_flow.py::test_what_is_done_on_the_phone_is_told",
    (False, True),
)
NESTED_TOO_DEEP = Difference(
    "A message that is nested more than 100 deep",
    "cannot be parsed in Python: `InboundUnreadable` with the bytes as they came",
    "`InboundMessage` with the bytes as they came",
    "test_engine_journal_flow.py::test_a_message_that_is_nested_too_deep_ends_nothing",
    ("InboundUnreadable", "InboundMessage"),
)
UNKNOWN_RECEIPT = Difference(
    "A receipt of a kind that is not known (`server-error`)",
    "ends neonize's event loop: `ConnectFailure`, the session leaves and starts again",
    "concerns no message: nothing happens",
    "test_engine_defects_flow.py::test_a_receipt_of_an_unknown_kind_costs_no_message",
    (True, False),
)
UNKNOWN_CHAT_STATE = Difference(
    "A typing state that is not known",
    "ends neonize's event loop: `ConnectFailure`, the session leaves, its neighbours go on",
    "told as `paused`",
    "test_engine_defects_flow.py::test_an_unknown_chat_state_is_the_affair_of_one_session",
    (True, False),
)

# --- connections and processes ----------------------------------------------------------------------------------------

UNKNOWN_LOGIN_FAILURE = Difference(
    "A login failure that is not known (415, 418)",
    "`ConnectFailure`, and the process ends with `ConnectFailed`",
    "`ConnectFailure`, as for those that are known; the process goes on and stays away from WhatsApp",
    "test_engine_connection_flow.py::test_a_login_failure_of_an_unknown_kind",
    (True, False),
)
LEAVING_WHILE_DIALING = Difference(
    "A session that dials into silence and has to leave, among others",
    "leaves when the dial ends",
    "leaves at once",
    "test_engine_cohort_flow.py::test_one_that_dials_into_silence_keeps_nobody_waiting_and_is_not_the_end_of_all",
    (False, True),
)
ABORT = Difference(
    "Exit code after a panic",
    "SIGABRT (-6); both are told as `Panic`",
    "2",
    "test_engine_life_flow.py::test_a_death_is_told_apart_from_a_kill",
    (-6, 2),
)

# --- calls ------------------------------------------------------------------------------------------------------------

_REFUSED = "refused as `Unsupported`"

APP_STATE = Difference(
    "`archive`, `pin`, `mute`, `mark_unread`, `delete_chat`",
    _REFUSED,
    "the phone shows it",
    "test_engine_go_calls_flow.py::test_what_is_done_to_a_chat_reaches_the_phone",
    (False, True),
)
PICTURES_GO_AWAY = Difference(
    "Removing the own picture or a group's",
    f"{_REFUSED} (REST: 501)",
    "removed",
    "test_engine_go_calls_flow.py::test_pictures_go_away",
    (False, True),
)
JOIN_REQUESTS = Difference(
    "Answering requests to join a group (`change_join_requests`)",
    _REFUSED,
    "approved or rejected, with an outcome for each person",
    "test_engine_go_calls_flow.py::test_join_requests_are_answered",
    (False, True),
)
NEWSLETTER_POSTS = Difference(
    "Posts of a newsletter (`newsletter_messages`)",
    _REFUSED,
    "told, newest first or before a given one",
    "test_engine_go_calls_flow.py::test_the_posts_of_a_newsletter",
    (False, True),
)
HISTORY_ON_DEMAND = Difference(
    "Older history on demand (`request_history`)",
    _REFUSED,
    "the own phone is asked; it comes as `InboundHistory`",
    "test_engine_go_calls_flow.py::test_older_history_is_asked_for",
    (False, True),
)

DIFFERENCES: tuple[Difference[object], ...] = tuple(
    entry for entry in list(globals().values()) if isinstance(entry, Difference)
)
"""All of them, in the order of this file."""

_HEAD = """# The engines compared

One suite of tests runs with both engines: `tests/flow/connector_engine/`, real engines against the simulator. What this
page does not name is the same with both. Each row was seen in its test.

This page is generated from the table that the tests read (`tests/flow/connector_engine/engine_differences.py`):
`make docs`.

| | neonize | whatsmeow | seen in |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page as Markdown."""
    rows = [
        f"| {entry.feature} | {entry.neonize} | {entry.whatsmeow} | `{entry.test.replace('::', '` `')}` |"
        for entry in DIFFERENCES
    ]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
