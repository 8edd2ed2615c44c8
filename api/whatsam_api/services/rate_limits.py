"""Which calls count against which limit of the settings."""

from whatsam_api.models.limits import Allowance
from whatsam_api.policies.tiers import Tier, message_limit
from whatsam_api.services.identity import Principal
from whatsam_api.settings import ApiSettings
from whatsam_api.storage.limits import LimitStore


class RateLimits:
    """Counts calls. Every method counts one and says what is left."""

    def __init__(self, settings: ApiSettings, store: LimitStore) -> None:
        self._settings = settings
        self._store = store

    async def anonymous(self, address: str) -> Allowance:
        """A call without credentials, per address."""
        return await self._store.hit(self._settings.anonymous_limit, ("anonymous", address))

    async def login(self, email: str, address: str) -> Allowance:
        """A login, per account and address: nobody can lock others out of an account from elsewhere."""
        return await self._store.hit(self._settings.login_limit, ("login", email.lower(), address))

    async def call(self, caller: Principal) -> Allowance:
        """A call with credentials, per user or key."""
        return await self._store.hit(self._settings.user_limit, ("user", caller.identity))

    async def session_operation(self, caller: Principal) -> Allowance:
        """Creating, connecting, disconnecting and deleting: per user, his keys included."""
        return await self._store.hit(self._settings.session_operation_limit, ("operations", str(caller.user.id)))

    async def number_checks(self, caller: Principal, count: int) -> Allowance:
        """Look-ups of phone numbers, per tenant; each number counts. None of them counts when they are too many."""
        return await self._store.hit(self._settings.number_check_limit, ("checks", caller.tenant), count)

    async def messages(self, caller: Principal) -> Allowance | None:
        """A message that goes out, per user, his keys included. None: nothing limits him."""
        limit = message_limit(caller.user.tier, caller.user.role)
        if limit is None:
            return None
        rates = {
            Tier.BASIC: self._settings.message_limit_basic,
            Tier.PRO: self._settings.message_limit_pro,
            Tier.MAX: self._settings.message_limit_max,
        }
        return await self._store.hit(rates[limit], ("messages", str(caller.user.id)), sliding=True)
