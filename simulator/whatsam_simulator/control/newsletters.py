"""Routes that play the owners and followers of newsletters."""

from __future__ import annotations

import os

from fastapi import APIRouter

from whatsam_simulator.contacts.outgoing import MessageBody, Number, Request
from whatsam_simulator.control.dependencies import Service
from whatsam_simulator.control.models import MessageId, NewsletterView

router = APIRouter(prefix="/newsletters", tags=["newsletters"])


class NewsletterRequest(Request):
    owner: Number
    name: str
    description: str = ""


class FollowRequest(Request):
    number: Number
    on: bool = True


@router.get("")
async def list_newsletters(service: Service) -> list[NewsletterView]:
    """All newsletters."""
    return service.newsletters()


@router.post("", status_code=201)
async def create(body: NewsletterRequest, service: Service) -> NewsletterView:
    """A contact opens a newsletter."""
    return service.create_newsletter(body.owner, body.name, body.description)


@router.post("/{newsletter_id}/followers")
async def follow(newsletter_id: str, body: FollowRequest, service: Service) -> NewsletterView:
    """Somebody follows it, or no longer."""
    return service.follow_newsletter(newsletter_id, body.number, on=body.on)


@router.post("/{newsletter_id}/messages")
async def post(newsletter_id: str, body: MessageBody, service: Service) -> MessageId:
    """Its owner writes; all followers get it."""
    return MessageId(id=service.post_to_newsletter(newsletter_id, body, os.urandom(10).hex().upper()))
