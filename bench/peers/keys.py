"""Makes the tables and the keys of a peer: python -m bench.peers.keys PEER COUNT FILE."""

import importlib
import os
import sys
from pathlib import Path

REQUEST = "GET /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {}\r\n\r\n\0"


def main(peer: str, count: int, file: Path) -> None:
    """Write one request for each key."""
    import django
    from django.core.management import call_command
    from django.db import connection

    os.environ["DJANGO_SETTINGS_MODULE"] = f"bench.peers.{peer}.settings"
    django.setup()
    call_command("migrate", verbosity=0)
    fields = importlib.import_module(f"bench.peers.{peer}.keys").make(count)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    file.write_text("".join(map(REQUEST.format, fields)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
