"""HTTP layer: access, limits, OpenAPI, static pages."""
