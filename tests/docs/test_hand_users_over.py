"""docs/how-to/hand-users-over.md, run as it stands."""

import json

from tests.support.snippets import Page, run_shell


def test_the_page_works_as_written(variables: dict[str, str]) -> None:
    page = Page("docs/how-to/hand-users-over.md")
    app = json.loads(run_shell(page.take("sh"), variables))
    assert app["app_slug"] == "aa_acme"
    page.finish()
