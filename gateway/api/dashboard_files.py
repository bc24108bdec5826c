"""What the dashboard's page is made of: files of gateway/dashboard, served as they are, to anyone."""

PAGE = "index.html"

_SCRIPT = "text/javascript; charset=utf-8"

_MODULES = """
    api app audit bars chart dialog dom format keys limits overview problem range sessions sign_in table transcript
    turns usage users
"""

FILES = {
    PAGE: "text/html; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **{f"{name}.js": _SCRIPT for name in _MODULES.split()},
}
"""Media types by name."""

DASHBOARD_PATHS = frozenset({"/dashboard", "/dashboard/session", *(f"/dashboard/{name}" for name in FILES)})
