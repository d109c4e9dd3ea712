"""An example request written in curl, JavaScript and Python: code that runs as it stands."""

import json
from typing import Any

from apiauth.http.openapi.requests import ExampleRequest, FromEnvironment, Value

JAVASCRIPT_WORDS = {True: "true", False: "false", None: "null"}
PYTHON_WORDS = {True: "True", False: "False", None: "None"}
_SHOWN_BY_JAVASCRIPT = {
    "json": "await response.json()",
    "file": "await response.text()",
    "nothing": "response.status",
}
_SHOWN_BY_PYTHON = {
    "json": "json.load(response)",
    "file": "response.read().decode()",
    "nothing": "response.status",
}
_SENT_BY_BROWSERS = ("Cookie", "Origin", "Accept")


def curl(request: ExampleRequest) -> str:
    """Return the request as a shell command."""
    parts = [f"curl {_quoted(request.url)}"]
    has_data = request.json is not None or request.form is not None
    if request.method != ("POST" if has_data else "GET"):
        parts.append(f"-X {request.method}")
    parts += [f"-H {_shell_header(name, value)}" for name, value in request.headers.items()]
    if request.json is not None:
        parts.append(f"-d {_quoted(_dump(request.json, '  '))}")
    parts += [f"--data-urlencode {_quoted(f'{name}={value}')}" for name, value in (request.form or {}).items()]
    return " \\\n  ".join(parts)


def javascript(request: ExampleRequest) -> str:
    """Return the request as JavaScript: of Node, or of a page where a browser would send it."""
    lines = [f"const response = await fetch({json.dumps(request.url)}, {{"]
    if request.method != "GET":
        lines.append(f"  method: {json.dumps(request.method)},")
    headers = dict(request.headers)
    if request.is_of_a_page:
        lines.append('  credentials: "include",')
        headers = {name: value for name, value in headers.items() if name not in _SENT_BY_BROWSERS}
    if headers:
        lines.append("  headers: {")
        lines += [f"    {json.dumps(name)}: {_template(value)}," for name, value in headers.items()]
        lines.append("  },")
    if request.json is not None:
        lines.append(f"  body: JSON.stringify({literal(request.json, JAVASCRIPT_WORDS, '  ')}),")
    if request.form is not None:
        lines.append(f"  body: new URLSearchParams({literal(request.form, JAVASCRIPT_WORDS, '  ')}),")
    lines.append("});")
    lines.append(f"console.log({_SHOWN_BY_JAVASCRIPT[_kind(request)]});")
    return "\n".join(lines)


def python(request: ExampleRequest) -> str:
    """Return the request as Python, with nothing but the standard library."""
    lines = ["import json, os, urllib.parse, urllib.request" if request.form else "import json, os, urllib.request", ""]
    lines += ["request = urllib.request.Request(", f"    {json.dumps(request.url)},"]
    if request.method != "GET":
        lines.append(f"    method={json.dumps(request.method)},")
    if request.headers:
        lines.append("    headers={")
        lines += [f"        {json.dumps(name)}: {_format_string(value)}," for name, value in request.headers.items()]
        lines.append("    },")
    if request.json is not None:
        lines.append(f"    data=json.dumps({literal(request.json, PYTHON_WORDS, '    ')}).encode(),")
    if request.form is not None:
        lines.append(f"    data=urllib.parse.urlencode({literal(request.form, PYTHON_WORDS, '    ')}).encode(),")
    lines += [")", "with urllib.request.urlopen(request, timeout=5) as response:"]
    lines.append(f"    print({_SHOWN_BY_PYTHON[_kind(request)]})")
    return "\n".join(lines)


def _kind(request: ExampleRequest) -> str:
    if request.is_answered_by_file:
        return "file"
    return "json" if request.has_answer else "nothing"


LANGUAGES = {"curl": curl, "JavaScript": javascript, "Python": python}


def literal(value: Any, words: dict[Any, str], indent: str) -> str:
    """Return a JSON value as a literal of a language that writes true, false and null as `words` say."""
    inner = f"{indent}  " if words is JAVASCRIPT_WORDS else f"{indent}    "
    if isinstance(value, dict) and value:
        entries = [f"{inner}{_text(name)}: {literal(entry, words, inner)}," for name, entry in value.items()]
        return "\n".join(["{", *entries, f"{indent}}}"])
    if isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        return "\n".join(["[", *(f"{inner}{literal(entry, words, inner)}," for entry in value), f"{indent}]"])
    if isinstance(value, list):
        return f"[{', '.join(literal(entry, words, inner) for entry in value)}]"
    return words[value] if value is None or isinstance(value, bool) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _dump(value: Any, indent: str) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2).replace("\n", f"\n{indent}")


def _quoted(text: str) -> str:
    """Return a text that the shell takes as it is."""
    is_plain = text.replace("-", "").replace("/", "").replace(":", "").replace(".", "").replace("_", "").isalnum()
    return text if is_plain and text.isascii() else "'" + text.replace("'", "'\\''") + "'"


def _shell_header(name: str, value: Value) -> str:
    if isinstance(value, FromEnvironment):
        return f'"{name}: {value.before}${value.variable}{value.after}"'
    return _quoted(f"{name}: {value}")


def _template(value: Value) -> str:
    if isinstance(value, FromEnvironment):
        return f"`{value.before}${{process.env.{value.variable}}}{value.after}`"
    return json.dumps(value)


def _format_string(value: Value) -> str:
    if isinstance(value, FromEnvironment):
        return f"f\"{value.before}{{os.environ['{value.variable}']}}{value.after}\""
    return json.dumps(value)
