"""A small honest mail server on 127.0.0.1: takes mails, and can be told to refuse some or to break off."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks as much of RFC 5321 as a client without extensions needs."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses_with = 0  # what RCPT is answered with, 0 for taking it
        self.refuses_text_to = ""  # to whom it takes no mail, and says so only once it has the text
        self.refuses_text_with = 554  # what it says then
        self.breaks_off = False  # right after the mail's text, without an answer
        self.arrived = threading.Condition()
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def url(self) -> str:
        """Return the address as `KEYSTEAD_EMAIL_URL` has it."""
        return f"smtp://127.0.0.1:{self.server_address[1]}"

    def wait_for(self, number: int, seconds: float) -> list[EmailMessage]:
        """Return the mails once there are so many; fail where they do not come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.mails) >= number, seconds), len(self.mails)
            return list(self.mails)


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 mail.test ready")
        for line in self.rfile:
            verb = line.decode().upper()
            if verb.startswith("QUIT"):
                return self._say("221 bye")
            if verb.startswith("RCPT") and self.server.refuses_with:
                self._say(f"{self.server.refuses_with} no such person")
            elif verb.startswith("DATA"):
                self._say("354 go on")
                is_taken = self._take()
                if self.server.breaks_off:
                    return None
                self._say("250 taken" if is_taken else f"{self.server.refuses_text_with} not with this text")
            else:
                self._say("250 yes")
        return None

    def _take(self) -> bool:
        """Read a mail and tell whether it is taken."""
        lines = list(iter(self.rfile.readline, b".\r\n"))
        text = b"".join(line[1:] if line.startswith(b".") else line for line in lines)
        mail = message_from_bytes(text, policy=policy.default)
        is_taken = not self.server.breaks_off and mail["To"] != self.server.refuses_text_to
        with self.server.arrived:
            if is_taken:
                self.server.mails.append(mail)  # type: ignore[arg-type]  # that policy makes EmailMessages
            self.server.arrived.notify_all()
        return is_taken

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Run a mail server."""
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
