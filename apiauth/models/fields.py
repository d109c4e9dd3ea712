"""Column types and small parts that several aggregates share."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import IntegrityError, models, transaction

from apiauth.core.ids import new_id
from apiauth.core.policy import Policy, read_policy

SLUG = r"^[a-z0-9_-]{1,64}$"
PREFIX = r"^[a-z][a-z0-9_]{0,30}[a-z0-9]$"
BLANK = r"^\s*$"


class Row(models.Model):
    """A row whose id tells its age; see core.ids."""

    id = models.BigIntegerField(primary_key=True, default=new_id, editable=False)

    class Meta:
        abstract = True


class PolicyField(models.JSONField):
    """A column of type jsonb that is read and written as a policy; the empty object is the default one."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        document = super().from_db_value(value, expression, connection)
        return None if document is None else read_policy(document)

    def to_python(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Policy) else read_policy(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        document = value.document() if isinstance(value, Policy) else value
        return super().get_db_prep_value(document, connection, prepared)

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj).document()


RowType = TypeVar("RowType", bound=Row)


def insert(make: Callable[[], RowType]) -> RowType:
    """Insert a row, with a new id where its id is taken: two made in one millisecond may clash."""
    for _ in range(3):
        row = make()
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            if not is_clash_of_ids(error, row):
                raise
        else:
            return row
    raise RuntimeError("three fresh ids in a row were taken")


def is_clash_of_ids(error: IntegrityError, row: models.Model) -> bool:
    """Tell whether an insert failed on the primary key alone."""
    return violated_constraint(error) == f"{row._meta.db_table}_pkey"


def violated_constraint(error: IntegrityError) -> str | None:
    """Return the name of the constraint that a statement ran into."""
    diagnostics: Any = getattr(error.__cause__, "diag", None)
    return diagnostics.constraint_name if diagnostics else None
