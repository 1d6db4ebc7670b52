"""The browser that other tests rely on: it notices the errors of a page."""

from __future__ import annotations

_HEAD = "<!doctype html><title>t</title><link rel=icon href='data:,'><meta name=viewport content='width=device-width'>"


def _page(tmp_path, body):
    path = tmp_path / "page.html"
    path.write_text(f"{_HEAD}<body>{body}</body>")
    return path.as_uri()


def test_a_quiet_page_has_no_problems_and_can_be_worked(browser, tmp_path):
    body = """<button style="position:fixed;left:0;top:0;width:90px;height:40px"
      onclick="document.title = 'clicked'">b</button><p id=p></p>"""
    page = browser.open(_page(tmp_path, body), width=390, height=600, mobile=True)
    page.click(40, 20)
    page.wait("document.title === 'clicked'")
    assert page.problems == []
    assert page.evaluate("Promise.resolve([1, {a: innerHeight}])") == [1, {"a": 600}]
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_errors_exceptions_and_missing_pictures_are_heard(browser, tmp_path):
    page = browser.open(_page(tmp_path, "<script>console.error('spoken', 7); setTimeout(() => nothing.there)</script>"))
    page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert any("spoken 7" in each for each in page.problems)
    assert any("nothing is not defined" in each for each in page.problems)
    page = browser.open(_page(tmp_path, "<img src='absent.png'>"))
    assert any("ERR_FILE_NOT_FOUND" in each for each in page.problems)
    assert any(each.endswith("absent.png") for each in page.requests)
