"""schemathesis walks the backend API along the documents' links: what was made is there, what was ended is gone."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings

from apiauth.services.deployments import IssuedBackendKey
from tests.contract.described import load
from tests.contract.spoken_rules import keeping

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(180)]

# Without shrinking: a walk of eight steps is short enough to read, and to find a shorter one takes minutes.
WALKS = settings(
    max_examples=15,
    stateful_step_count=8,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_what_is_made_is_there_and_what_is_ended_is_gone(one_connection: None, backend_key: IssuedBackendKey) -> None:
    bearer = {"Authorization": f"Bearer {backend_key.secret.text}"}

    class Life(load("backend", mode="positive").as_state_machine()):  # type: ignore[misc]  # made at run time
        def setup(self) -> None:
            self.undone = transaction.atomic()
            self.undone.__enter__()
            super().setup()

        def teardown(self) -> None:
            super().teardown()
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": bearer}

        def validate_response(self, response: Any, case: Any, additional_checks: Any = None, **kwargs: Any) -> None:
            case.validate_response(response, headers=bearer, transport_kwargs=kwargs, recorder=self.recorder)

        def before_call(self, case: Any) -> None:
            case.headers.pop("Idempotency-Key", None)  # one that was drawn before with another body is a 422
            if case.query:
                case.query = keeping(case.query)
            if isinstance(case.body, dict):
                case.body = {name: value for name, value in keeping(case.body).items() if name != "permissions"}

    Life.run(settings=WALKS)
