"""Services that are called at the same moment, each over a connection of its own."""

import threading
from collections.abc import Callable, Sequence

from django.db import connections


def at_once(acts: Sequence[Callable[[], object]], *, refusals: tuple[type[Exception], ...]) -> list[BaseException]:
    """Do everything at the same time; return what went wrong but for plain refusals."""
    barrier = threading.Barrier(len(acts))
    surprises: list[BaseException] = []

    def run(act: Callable[[], object]) -> None:
        barrier.wait(10)
        try:
            act()
        except refusals:
            pass
        except BaseException as surprise:
            surprises.append(surprise)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return surprises
