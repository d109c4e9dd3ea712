"""FastAPI: a dependency that lets an endpoint run only on a clear yes."""

from fastapi import HTTPException, Request, Response
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from keystead_client.client import AsyncKeystead
from keystead_client.decisions import Decision
from keystead_client.starlette import ClientIp, admit, peer_ip


class KeyRequired(SecurityBase):
    """`Depends(KeyRequired("routes:read"))` gives the endpoint its Decision, or refuses the call.

    Uses the given client, or the application's `app.state.keystead`. The rate-limit fields go on the
    answer; an endpoint that returns a Response of its own adds `decision.rate_limit_fields` itself.
    """

    def __init__(self, *permissions: str, keystead: AsyncKeystead | None = None, client_ip: ClientIp = peer_ip) -> None:
        self.model = HTTPBearer()  # how the API description shows it
        self.scheme_name = "Keystead"
        self._permissions = permissions
        self._keystead = keystead
        self._client_ip = client_ip

    async def __call__(self, request: Request, response: Response) -> Decision:
        """Check the request. Raises HTTPException with the refusal as its detail."""
        admission = await admit(request, *self._permissions, keystead=self._keystead, client_ip=self._client_ip)
        if admission.refusal is not None:
            refusal = admission.refusal
            raise HTTPException(refusal.status, detail=refusal.body, headers=refusal.headers)
        assert admission.decision is not None
        response.headers.update(admission.headers)
        return admission.decision
