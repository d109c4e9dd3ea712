"""What time it is by the database, without asking it each time."""


class DatabaseClock:
    """The database's clock, reckoned by this host's monotonic one.

    Hosts' own clocks may be set or wrong; keys end and windows begin by the one clock that all share.
    """

    def __init__(self) -> None:
        self.offset_ns: int | None = None
        """What to add to the monotonic clock."""

    def hear(self, told_ns: int, asked_ns: int, answered_ns: int) -> None:
        """Take in what the database told between two moments; what these two cannot disprove stays as it was."""
        least, most = told_ns - answered_ns, told_ns - asked_ns
        self.offset_ns = least if self.offset_ns is None else min(max(self.offset_ns, least), most)
