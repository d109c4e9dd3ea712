"""What the documents say in their own words, above the operations."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Words:
    """A document's title, its introduction, and its headings with a sentence each."""

    title: str
    introduction: str
    headings: dict[str, str]

    def info(self) -> dict[str, Any]:
        """Return the document's `info`."""
        return {
            "title": self.title,
            "version": "1",
            "description": self.introduction,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        }

    def tags(self) -> list[dict[str, str]]:
        """Return the document's headings, in reading order."""
        return [{"name": name, "description": sentence} for name, sentence in self.headings.items()]


BACKEND = Words(
    "Keystead backend API",
    "What your product's backend calls: it hands its users over to the portal, and manages apps, keys and limits.\n\n"
    "JSON over HTTP. Ids are decimal texts; moments are RFC 3339 in UTC. Fields of a body that are not described here "
    "are ignored, a wrong type is refused. In a PATCH, a field that is absent stays as it is.\n\n"
    "Every error is one object with a sentence for people (`message`), a word for programs (`code`), the fields at "
    "fault (`details`) and the request's id.",
    {
        "Tickets": "A ticket lets one of your users into the portal of one app. It works once, for a minute or so.",
        "Apps": "An app is what one customer of yours manages keys for.",
        "Keys": "A key's secret is in the answer that makes it, and nowhere else.",
        "Users": "Your own users: say when one of them is gone.",
        "Rate limits": "A scheme is a set of rules that several apps can share.",
        "Decisions": "What the gateway decided: each check, totals, and counts over time.",
        "Exports": "The same, and the app's activity, as files: CSV, or a line of JSON each. Every export stands in "
        "the activity. A file has 100 000 lines at most; to go on, ask again behind its last line.",
        "Service": "How this process is, and these documents.",
    },
)

SESSION = Words(
    "Keystead browser session API",
    "What a page of your own calls in the browser, with the cookie of a session, to show and manage one app's keys.\n\n"
    "Every answer is wrapped: what was asked for is in `data`. The page's origin has to be on the deployment's list; "
    'send the cookie along with `credentials: "include"`.\n\n'
    "Every error has a sentence for people (`message`), a word for programs (`code`), the fields at fault (`details`) "
    "and the request's id.",
    {
        "Sessions": "A ticket is exchanged for a session, once.",
        "Keys": "The keys of the session's app, within what its ticket allows.",
        "Decisions": "What the gateway decided about the app's keys: each check, totals, and counts over time.",
    },
)
