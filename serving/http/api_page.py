"""The API page, its OpenAPI document and `/status`.

BentoML's own page loads a tag manager and badges from the network; this one is the same Swagger UI from the installed package
without external resources.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

OPENAPI_PATHS = ("/openapi.json", "/docs.json")
"""Paths of the OpenAPI document: the usual one, and BentoML's."""

PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <style>
      /* Swagger UI lays tables out side by side, which a phone has no room for. */
      .swagger-ui :is(table, pre, .parameters-col_description) { max-width: 100%; overflow-wrap: anywhere; }
      @media (max-width: 40rem) {
        .swagger-ui :is(.opblock-summary-description, .authorization__btn, .response-col_links, .responses-header) { display: none; }
        .swagger-ui .responses-table :is(tbody, tr, td) { display: block; width: 100%; padding-top: .2rem; }
        .swagger-ui :is(.wrapper, .opblock-body .opblock-section-header, .responses-inner) { padding: 0 .6rem; }
      }
    </style>
    <title>Segue recommender</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js" charset="UTF-8"></script>
    <script>
      SwaggerUIBundle({
        url: "./openapi.json", dom_id: "#swagger-ui", presets: [SwaggerUIBundle.presets.apis],
        docExpansion: "list", defaultModelsExpandDepth: -1, defaultModelExpandDepth: 4, displayRequestDuration: true
      });
    </script>
  </body>
</html>
"""


def api_page_routes(description: Callable[[], dict[str, Any]], status: Callable[[], dict[str, Any]]) -> list[Route]:
    """Routes of the page and the documents.

    Args:
        description: Returns the OpenAPI document; called for its first request only, because it takes tens of milliseconds.
        status: Returns the content of `/status`.
    """
    encode_description = functools.cache(lambda: json.dumps(description()))
    documents = [
        Route(path, lambda _: Response(encode_description(), media_type="application/json")) for path in OPENAPI_PATHS
    ]
    return [
        Route("/docs", lambda _: HTMLResponse(PAGE)),
        Route("/status", lambda _: JSONResponse(status())),
        *documents,
    ]
