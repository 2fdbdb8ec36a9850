"""The dashboard: ``streamlit run dashboards/app.py -- --root DIR``. The server: a gate, downloads, and main.py."""

from pathlib import Path
from typing import Final

from starlette.middleware import Middleware
from streamlit.starlette import App

from ui.access import access
from ui.downloads import ROUTES
from ui.gate import AccessGate

MAIN: Final = Path(__file__).with_name("main.py")

app = App(MAIN, middleware=[Middleware(AccessGate, access=access())], routes=ROUTES)
