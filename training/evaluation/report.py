"""Placeholder until the page is written."""
def page(content: dict) -> str:
    return "<html></html>"
