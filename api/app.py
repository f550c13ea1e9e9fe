"""How does the API come together? `create_app(parts)` gives a FastAPI app; nothing is wired at import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import (
    analytics_attribution,
    analytics_cancellations,
    analytics_channels,
    analytics_customers,
    analytics_feedback,
    analytics_metrics,
    analytics_pipeline,
    analytics_products,
    analytics_sales,
    analytics_service,
    configuration,
    customers,
    dead_letters,
    deals,
    erasures,
    events,
    export,
    health,
    identity,
    keys,
    leads,
    live,
    notes,
    organisations,
    problems,
    proposals,
    rawlog,
    replay,
    search,
    segment_reading,
    segments,
    shapes,
    status,
    tasks,
    tickets,
    timelines,
    types,
    users,
    webhooks,
)
from api.middleware import Around
from api.parts import ApiParts
from api.services import Services

__all__ = ["create_app"]

_ROUTERS: Final = (
    timelines.customers,
    customers.router,
    identity.router,
    proposals.router,
    erasures.router,
    export.router,
    events.router,
    live.router,
    timelines.router,
    organisations.router,
    search.router,
    deals.router,
    tickets.router,
    tasks.router,
    leads.router,
    notes.router,
    users.router,
    analytics_service.router,
    analytics_feedback.router,
    analytics_products.router,
    analytics_customers.router,
    analytics_cancellations.router,
    analytics_pipeline.router,
    analytics_attribution.router,
    segment_reading.router,
    segments.router,
    analytics_sales.router,
    analytics_channels.router,
    analytics_metrics.router,
    configuration.router,
    types.router,
    replay.router,
    rawlog.router,
    dead_letters.router,
    webhooks.router,
    keys.router,
    health.router,
    status.router,
)
_ABOUT: Final = """The whole story of every customer: channels publish touchpoints, people read timelines.

Every route but `/livez`, `/readyz` and these pages asks for an API key: `Authorization: Bearer sl_…`. Errors are
problem details (RFC 9457)."""


def create_app(parts: ApiParts) -> FastAPI:
    """The app of these parts. Serve it by `api.server.server_of`, which keeps the limits of the connections."""
    held = Services(parts)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await held.open()
        try:
            yield
        finally:
            await held.close()

    app = FastAPI(
        title="Storyline",
        version=parts.version,
        description=_ABOUT,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = held
    app.add_middleware(Around, metrics=held.metrics)
    problems.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the shapes of bodies and answers, which the routes name only."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema.setdefault("components", {}).setdefault("schemas", {}).update(shapes.components())
        app.openapi_schema = schema
    return app.openapi_schema
