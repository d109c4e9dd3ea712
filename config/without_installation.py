"""Settings for commands that read the code alone: secrets to be thrown away, and a database that nobody asks."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from config import first_secrets

NOWHERE = "postgresql://nobody@127.0.0.1:9/none"


@contextmanager
def settings() -> Iterator[None]:
    """Set them for this process; where it names a database, it has settings of its own, and keeps them."""
    if "DATABASE_URL" in os.environ:
        yield
        return
    with TemporaryDirectory() as folder:
        first_secrets.make(Path(folder) / "secrets")
        os.environ |= {"KEYSTEAD_DATA_DIR": folder, "DATABASE_URL": NOWHERE}
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # it would complain of the absent database
        warnings.filterwarnings("ignore", "Got an error checking a consistent migration history", RuntimeWarning)
        yield
