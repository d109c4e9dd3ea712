"""Permission names, and the small grammar in which a check says what it requires.

    expression = term { "OR" term }
    term       = factor { ("AND" | ",") factor }
    factor     = name | "(" expression ")"

AND binds tighter than OR and a comma is another AND. Operators are upper case and names are
lower case, so that neither can be taken for the other.
"""

import re
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet

from apiauth.core.errors import Invalid
from apiauth.core.short_texts import cached_if_short

PERMISSION_PATTERN = r"[a-z0-9][a-z0-9_.:/-]{0,99}"
PERMISSION_NAME = re.compile(PERMISSION_PATTERN)
MOST_PERMISSIONS = 200
LONGEST_EXPRESSION = 1000
DEEPEST_EXPRESSION = 10

Requirement = Callable[[AbstractSet[str]], bool]

_TOKEN = re.compile(rf"\s*(?:({PERMISSION_PATTERN})(?![A-Za-z0-9_.:/-])|(AND|OR)(?![A-Za-z0-9_.:/-])|([(),]))")


def check_permission(name: object, field: str = "permissions") -> str:
    """Return a permission's name; raise Invalid where it is none."""
    if not isinstance(name, str) or not PERMISSION_NAME.fullmatch(name):
        raise Invalid(
            "A permission is 1 to 100 lower-case letters, digits and `_ . : / -`, first a letter or digit.",
            field=field,
        )
    return name


def check_permissions(names: Iterable[object], field: str = "permissions") -> list[str]:
    """Return permission names sorted and without repeats; raise Invalid at the first that is none."""
    listed = list(names)
    if len(listed) > MOST_PERMISSIONS:
        raise Invalid(f"There can be at most {MOST_PERMISSIONS} permissions.", field=field)
    return sorted({check_permission(name, f"{field}[{index}]") for index, name in enumerate(listed)})


def dropped_permissions(held: Iterable[str], catalogue: Collection[str]) -> list[str]:
    """Return those of a key's permissions that its app no longer names; an app that names none takes any."""
    return [name for name in held if name not in catalogue] if catalogue else []


@cached_if_short(1_024)
def requirement(expression: str) -> Requirement:
    """Return the test that an expression stands for: held permissions in, whether they suffice out.

    Raises Invalid where the expression does not follow the grammar.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise _refusal(f"A permission expression has at most {LONGEST_EXPRESSION} characters.")
    parser = _Parser(_tokens(expression))
    parsed = parser.expression(0)
    if parser.next is not None:
        raise _refusal("A permission expression lacks an operator or has a stray parenthesis.")
    return parsed


def _refusal(message: str) -> Invalid:
    return Invalid(message, field="required_permissions")


def _tokens(expression: str) -> list[str]:
    tokens = []
    position = 0
    text = expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _refusal("A permission expression holds only permissions, AND, OR, commas and parentheses.")
        tokens.append(match[1] or match[2] or match[3])
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens of one expression; `next` is the token not yet read."""

    def __init__(self, tokens: list[str]) -> None:
        self._rest = iter(tokens)
        self.next: str | None = next(self._rest, None)

    def expression(self, depth: int) -> Requirement:
        return _any_of(self._joined({"OR"}, self._term, depth))

    def _term(self, depth: int) -> Requirement:
        return _all_of(self._joined({"AND", ","}, self._factor, depth))

    def _joined(self, operators: set[str], part: Callable[[int], Requirement], depth: int) -> list[Requirement]:
        parts = [part(depth)]
        while self.next in operators:
            self._advance()
            parts.append(part(depth))
        return parts

    def _factor(self, depth: int) -> Requirement:
        word = self._advance()
        if word == "(":
            if depth >= DEEPEST_EXPRESSION:
                raise _refusal(f"A permission expression nests at most {DEEPEST_EXPRESSION} deep.")
            inner = self.expression(depth + 1)
            if self._advance() != ")":
                raise _refusal("A permission expression lacks a closing parenthesis.")
            return inner
        if word is None or word in {"AND", "OR", ",", ")"}:
            raise _refusal("A permission expression lacks a permission where one must stand.")
        return lambda held: word in held

    def _advance(self) -> str | None:
        word, self.next = self.next, next(self._rest, None)
        return word


def _any_of(parts: list[Requirement]) -> Requirement:
    return parts[0] if len(parts) == 1 else lambda held: any(part(held) for part in parts)


def _all_of(parts: list[Requirement]) -> Requirement:
    return parts[0] if len(parts) == 1 else lambda held: all(part(held) for part in parts)
