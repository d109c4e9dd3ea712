"""How an answer's fields lead on to other operations (OpenAPI's links)."""

from typing import Any


def _leads_to(operation_id: str, **parameters: str) -> dict[str, Any]:
    return {"operationId": operation_id, "parameters": parameters}


_APP = {"app_slug": "$response.body#/app_slug"}
_SCHEME = {"slug": "$response.body#/slug"}
_KEY = {"app_slug": "$response.body#/app_slug", "key_id": "$response.body#/id"}

APP_LINKS = {
    name: _leads_to(name, **_APP) for name in ("getApp", "updateApp", "deleteApp", "listKeys", "createKey", "getLogs")
}
SCHEME_LINKS = {name: _leads_to(name, **_SCHEME) for name in ("getScheme", "updateScheme", "deleteScheme")}
KEY_LINKS = {name: _leads_to(name, **_KEY) for name in ("rotateKey", "revokeKey")}
