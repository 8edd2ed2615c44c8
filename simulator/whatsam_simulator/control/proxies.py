"""Routes about proxies that clients dial through."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.control.dependencies import Service
from whatsam_simulator.control.models import Count, ProxyRequest, ProxyView

router = APIRouter(prefix="/proxies", tags=["proxies"])


@router.get("")
async def list_proxies(service: Service) -> list[ProxyView]:
    """All proxies, and who came."""
    return service.proxies()


@router.post("", status_code=201)
async def add(body: ProxyRequest, service: Service) -> ProxyView:
    """A new proxy that leads to the simulator only."""
    return await service.add_proxy(body)


@router.get("/{port}")
async def get(port: int, service: Service) -> ProxyView:
    """One proxy, and who came."""
    return service.proxy(port)


@router.post("/{port}/cut")
async def cut(port: int, service: Service) -> Count:
    """Ends all connections through it."""
    return Count(count=service.cut_proxy(port))


@router.delete("/{port}", status_code=204)
async def remove(port: int, service: Service) -> None:
    """The proxy is gone: connections are cut and refused."""
    await service.remove_proxy(port)
