"""Laws of the pure rules: recipients, tiers, what a tenant sees of a session."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_api.errors import InvalidField
from whatsam_api.policies.recipients import recipient
from whatsam_api.policies.session_view import STATUS_WORDS, explanation, is_running, shown_pairing, status_word, view
from whatsam_api.policies.tiers import Role, Tier, may_run_another, session_limit
from whatsam_core.resources import DesiredState, Phase, WhatsAppSession

CONTRACT_WORDS = {"init", "qr_required", "connected", "reconnecting", "disconnected", "error"}
NUMBERS = st.from_regex(r"49151[0-9]{7,8}", fullmatch=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def session(spec: dict[str, object] | None = None, **status: object) -> WhatsAppSession:
    return WhatsAppSession.from_wire(
        {
            "metadata": {"name": "shop", "namespace": "test", "uid": "u"},
            "spec": {"tenant": "t-1", **(spec or {})},
            "status": status,
        }
    )


@given(NUMBERS, st.lists(st.tuples(st.integers(1, 12), st.sampled_from(" -.()")), max_size=6), st.booleans())
def test_however_a_number_is_written_it_is_one_address(
    number: str, ornaments: list[tuple[int, str]], plus: bool
) -> None:
    written = number
    for place, ornament in ornaments:
        written = written[:place] + ornament + written[place:]
    assert recipient(("+" if plus else "") + written) == f"{number}@s.whatsapp.net"


@given(st.from_regex(r"[0-9]{5,20}@(s\.whatsapp\.net|lid|g\.us)", fullmatch=True))
def test_an_address_stays_as_it_is_and_an_answer_is_an_address(address: str) -> None:
    assert recipient(address) == address
    assert recipient(recipient(address)) == address


@given(st.text(max_size=70))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = recipient(text)
    except InvalidField:
        return  # any other error would be a crash
    user, _, server = found.partition("@")
    assert server in {"s.whatsapp.net", "lid", "g.us"}
    assert user.replace("-", "").isascii()
    assert user.replace("-", "").isdigit()


@pytest.mark.parametrize(
    "wrong",
    ["", "12", "0151 1000001", "491511000001@example.org", "4915-1100000@s.whatsapp.net", "anna@s.whatsapp.net",
     "٤٩١٥١١٠٠٠٠٠١", "4" * 30, "49151 1000001 ext 5", "123456@g.us\n@g.us"],
)  # fmt: skip
def test_what_is_neither_number_nor_address_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidField) as refused:
        recipient(wrong)
    assert refused.value.details[0]["field"] == "to"


def test_a_group_of_the_old_form_is_an_address() -> None:
    assert recipient(" 491511000001-1600000000@g.us ") == "491511000001-1600000000@g.us"


@given(st.sampled_from(Tier), st.sampled_from(Role), st.integers(0, 100))
def test_only_administrators_run_without_end(tier: Tier, role: Role, running: int) -> None:
    limit = session_limit(tier, role)
    assert (limit is None) == (role is Role.ADMIN)
    assert may_run_another(running, limit) == (role is Role.ADMIN or running < {"BASIC": 1, "PRO": 5, "MAX": 20}[tier])


@given(st.sampled_from(Phase) | st.none())
def test_every_phase_has_a_word_of_the_contract(phase: Phase | None) -> None:
    shown = session(phase=phase.value) if phase else session()
    assert status_word(shown) in CONTRACT_WORDS
    assert view(shown).status == status_word(shown)


def test_every_phase_is_in_the_table() -> None:
    assert set(STATUS_WORDS) == set(Phase)


@given(
    st.sampled_from(DesiredState),
    st.booleans(),
    st.sampled_from(Phase),
)
def test_only_what_is_deleted_or_stopped_makes_room(wish: DesiredState, deleting: bool, phase: Phase) -> None:
    shown = session({"desiredState": wish.value}, phase=phase.value)
    if deleting:
        gone = shown.metadata.model_copy(update={"deletion_timestamp": NOW})
        shown = shown.model_copy(update={"metadata": gone})
    assert is_running(shown) == (wish is DesiredState.RUNNING and not deleting)
    assert view(shown).deleting == deleting


@given(st.none() | st.integers(-100, 100))
def test_a_code_is_shown_until_its_end_and_no_longer(seconds: int | None) -> None:
    ends = None if seconds is None else NOW + timedelta(seconds=seconds)
    shown = shown_pairing(session(pairing={"code": "2@x", "expiresAt": ends and ends.isoformat()}), NOW)
    assert (shown is not None) == (ends is None or ends > NOW)
    assert shown_pairing(session(), NOW) is None


def _condition(kind: str, status: str, reason: str) -> dict[str, str]:
    said = f"about {reason}"
    return {"type": kind, "status": status, "reason": reason, "message": said, "lastTransitionTime": NOW.isoformat()}


def test_what_only_a_person_can_solve_explains_first() -> None:
    ready = _condition("Ready", "False", "Waiting")
    unscheduled = _condition("Scheduled", "False", "NoCapacity")
    stalled = _condition("Stalled", "True", "LoggedOut")
    fine = _condition("Stalled", "False", "Fine")
    assert explanation(session()) == (None, None)
    assert explanation(session(conditions=[ready])) == ("Waiting", "about Waiting")
    assert explanation(session(conditions=[ready, unscheduled, fine])) == ("NoCapacity", "about NoCapacity")
    assert explanation(session(conditions=[ready, unscheduled, stalled])) == ("LoggedOut", "about LoggedOut")


def test_a_tenant_sees_no_epoch_endpoint_or_uid() -> None:
    holder = {
        "worker": "w-1",
        "podUID": "p",
        "bootId": "b",
        "endpoint": "http://10.0.0.1:8080",
        "since": NOW.isoformat(),
    }
    shown = view(session({"displayName": "Shop"}, assignment=holder, epoch=7, phase="Connected"))
    assert (shown.name, shown.worker_id, shown.session_id) == ("Shop", "w-1", "shop")
    assert "10.0.0.1" not in shown.model_dump_json()
