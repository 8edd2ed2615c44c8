"""Dependencies that count calls against the limits of the settings and write the RateLimit headers."""

import time
from typing import Annotated

from fastapi import Depends, Request, Response

from whatsam_api.dependencies import Caller, Context, Person, address_of, apply_allowance


async def limit_anonymous(request: Request, response: Response, context: Context) -> None:
    """Calls without credentials, per address."""
    allowance = await context.limits.hit(context.settings.anonymous_limit, ("anonymous", address_of(request)))
    apply_allowance(response, allowance, time.time())


async def limit_caller(caller: Caller, response: Response, context: Context) -> None:
    """Calls with credentials, per user or key."""
    allowance = await context.limits.hit(context.settings.user_limit, ("user", caller.identity))
    apply_allowance(response, allowance, time.time())


async def limit_session_operations(caller: Person, response: Response, context: Context) -> None:
    """Creating, connecting, disconnecting and deleting, per user."""
    allowance = await context.limits.hit(context.settings.session_operation_limit, ("operations", caller.identity))
    apply_allowance(response, allowance, time.time())


AnonymousLimit = Annotated[None, Depends(limit_anonymous)]
CallerLimit = Annotated[None, Depends(limit_caller)]
SessionOperationLimit = Annotated[None, Depends(limit_session_operations)]
