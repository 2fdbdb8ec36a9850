"""A part of a page that is drawn again by itself: what Streamlit drops of it leaves no hole."""

from streamlit.testing.v1 import AppTest

from tests.waiting import SECONDS


def page() -> None:
    import streamlit as st

    from ui.live import live

    st.write("before")
    live(lambda: st.write("within"), state=lambda: 1)
    st.write("after")


def test_what_is_drawn_again_by_itself_is_the_last_of_its_container() -> None:
    """The others of the page have their places whether or not it is there."""
    seen = AppTest.from_function(page, default_timeout=SECONDS).run()
    assert not seen.exception
    before, kept, after = seen.main.children.values()
    assert (before.value, after.value) == ("before", "after")
    part, watching = kept.children.values()
    assert part.children[0].value == "within"
    assert not watching.children
