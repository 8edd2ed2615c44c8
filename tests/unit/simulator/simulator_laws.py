"""Settings of this part's property tests: no time limits, since the machine may be busy."""

from hypothesis import HealthCheck, settings

law = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
