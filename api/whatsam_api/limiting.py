"""Dependencies that count calls against the limits of the settings and write the RateLimit headers."""

import time
from typing import Annotated

from fastapi import Depends, Request, Response

from whatsam_api.dependencies import Caller, Context, address_of, apply_allowance


async def limit_anonymous(request: Request, response: Response, context: Context) -> None:
    """Calls without credentials, per address."""
    apply_allowance(response, await context.limits.anonymous(address_of(request)), time.time())


async def limit_caller(caller: Caller, response: Response, context: Context) -> None:
    """Calls with credentials, per user or key."""
    apply_allowance(response, await context.limits.call(caller), time.time())


async def limit_session_operations(caller: Caller, response: Response, context: Context) -> None:
    """Creating, connecting, disconnecting and deleting, per user."""
    apply_allowance(response, await context.limits.session_operation(caller), time.time())


AnonymousLimit = Annotated[None, Depends(limit_anonymous)]
CallerLimit = Annotated[None, Depends(limit_caller)]
SessionOperationLimit = Annotated[None, Depends(limit_session_operations)]
