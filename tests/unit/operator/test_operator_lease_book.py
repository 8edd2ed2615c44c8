"""The age of a Lease is never more than the time for which it stood still, and outages do not count."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from operator_kit import NAMESPACE, record

from whatsam_core.lease import LeaseState
from whatsam_operator.planning.lease_book import LeaseBook, ReadLease

KEY = (NAMESPACE, "b")


def read(book, at, version="7", *, found=True, took=0.0, **changes):
    leases = [ReadLease(record("b", resource_version=version, **changes))] if found else []
    return book.observe(leases, named=[KEY], sent_at=at, answered_at=at + took, longest_gap=2.5)


def test_a_lease_ages_with_reads_that_show_it_unchanged():
    book = read(LeaseBook.empty(), 0.0)
    for second in range(1, 16):
        book = read(book, float(second))
    assert book.leases[KEY].unchanged == 15.0


def test_a_renewal_starts_again():
    book = read(read(LeaseBook.empty(), 0.0), 2.0)
    assert read(book, 3.0, version="8").leases[KEY].unchanged == 0.0


def test_an_outage_of_the_api_server_ages_nobody():
    book = read(read(LeaseBook.empty(), 0.0), 1.0)
    assert read(book, 61.0).leases[KEY].unchanged == 1.0 + 2.5


def test_the_time_of_the_first_answer_does_not_count():
    book = read(LeaseBook.empty(), 0.0, took=2.0)
    assert read(book, 2.5).leases[KEY].unchanged == 0.5


def test_a_missing_lease_ages_only_while_somebody_names_its_boot():
    book = read(read(LeaseBook.empty(), 0.0, found=False), 2.0, found=False)
    assert book.missing[KEY] == 2.0
    back = read(book, 3.0)
    assert KEY not in back.missing
    assert read(back, 4.0, found=False).missing[KEY] == 0.0


def test_a_renewal_alone_is_no_reason_to_plan():
    book = read(LeaseBook.empty(), 0.0)
    assert not read(book, 1.0, version="8").differs(book, quiet_for=3.0)
    assert read(book, 1.0, version="8", state=LeaseState.DRAINING).differs(book, quiet_for=3.0)
    assert read(book, 1.0, found=False).differs(book, quiet_for=3.0)
    quiet = replace(book, leases={KEY: replace(book.leases[KEY], unchanged=4.0)})
    assert quiet.differs(book, quiet_for=3.0)
    assert book.differs(quiet, quiet_for=3.0)


@given(
    st.lists(
        st.tuples(
            st.floats(min_value=0.01, max_value=40), st.booleans(), st.floats(min_value=0, max_value=3), st.booleans()
        ),
        min_size=1,
        max_size=40,
    )
)
def test_the_age_never_exceeds_the_time_since_the_last_renewal(steps):
    """Reads that fail, answers that take long, renewals at any moment: the book may count less, never more."""
    book, now, version, renewed_at = LeaseBook.empty(), 0.0, 0, 0.0
    for gap, renewed, took, succeeded in steps:
        now += gap
        if renewed:
            version, renewed_at = version + 1, now
        sent = now
        now += took
        if succeeded:
            book = read(book, sent, version=str(version), took=took)
            assert book.leases[KEY].unchanged <= max(0.0, sent - renewed_at) + 1e-9
