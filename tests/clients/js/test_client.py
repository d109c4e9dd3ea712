"""The client alone in Node, before a Keystead that answers when it is told to: what it asks, and what it tells."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import node

pytestmark = pytest.mark.contract

Play = Callable[[str], Any]
# `await asked("GET")` is the next request that was sent, `waiting` holds those that nobody took, and `settled()`
# passes once everything has happened that needs no answer. Pauses take no time; time limits never end.
STAGE = """
import { KeysteadClient } from "@keystead/client";
const later = globalThis.setTimeout;
globalThis.setTimeout = (go, ms) => (ms < 10_000 ? later(go, 0) : undefined);
const waiting = [];
const fetch = (url, { method, headers }) => new Promise((resolve) => {
  const answer = (status, body) => resolve(Response.json(body, { status }));
  waiting.push({ method, headers, path: new URL(url).pathname, answer, tell: (data) => answer(200, { data }) });
});
const settled = async () => { for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate); };
const asked = async (method) => {
  for (let turn = 0; turn < 1000 && !waiting.length; turn++) await new Promise(setImmediate);
  if (waiting[0]?.method !== method) throw new Error(`${method} was not asked, but ${waiting[0]?.method}`);
  return waiting.shift();
};
const REFUSED = { code: "not_authenticated", message: "There is no session." };
const client = new KeysteadClient({ baseUrl: "http://keystead.test", fetch });
const shown = ({ data, error }) => ({ data, code: error?.code ?? null });
"""


@pytest.fixture
def play(installed: Path) -> Play:
    """Play a scene, whose `told` is returned as JSON."""

    def run(scene: str) -> Any:
        script = f"{STAGE}\nconst told = await (async () => {{{scene}}})();\nconsole.log(JSON.stringify(told));"
        return json.loads(node.run(installed, "node", "--input-type=module", "-e", script))

    return run


def test_an_answer_of_the_session_before_is_asked_for_again(play: Play) -> None:
    told = play("""
      const reading = client.listKeys();
      const inSessionA = await asked("GET");
      const entering = client.exchangeTicket("kst_b");
      (await asked("POST")).tell({});
      await entering;
      inSessionA.tell(["a key of A"]);
      (await asked("GET")).tell(["a key of B"]);
      return [shown(await reading), waiting.length];
    """)
    assert told == [{"data": ["a key of B"], "code": None}, 0]


def test_a_refusal_of_the_session_before_ends_nothing_and_is_asked_for_again(play: Play) -> None:
    told = play("""
      const heard = [];
      client.subscribe(({ type }) => heard.push(type));
      const reading = client.getSession();
      const beforeIt = await asked("GET");
      const entering = client.exchangeTicket("kst_b");
      (await asked("POST")).tell({});
      await entering;
      beforeIt.answer(401, REFUSED);
      (await asked("GET")).tell("B");
      return [shown(await reading), heard];
    """)
    assert told == [{"data": "B", "code": None}, ["session_opened"]]


def test_an_answer_that_signing_out_overtook_is_that_of_an_ended_session(play: Play) -> None:
    told = play("""
      const heard = [];
      client.subscribe(({ type, error }) => heard.push([type, error?.code ?? null]));
      const reading = client.listKeys();
      const slow = await asked("GET");
      const leaving = client.signOut();
      (await asked("DELETE")).tell({ success: true });
      await leaving;
      slow.tell(["a key"]);
      return [shown(await reading), heard, waiting.length];
    """)
    assert told == [{"data": None, "code": "not_authenticated"}, [["session_ended", "not_authenticated"]], 0]


def test_a_listener_that_throws_takes_no_answer_and_no_event_from_anybody(play: Play) -> None:
    told = play("""
      const complained = [], heard = [];
      console.error = (problem) => complained.push(problem.message);
      client.subscribe(() => { throw new Error("of the listener"); });
      client.subscribe(({ type }) => heard.push(type));
      const entering = client.exchangeTicket("kst_a");
      (await asked("POST")).tell("entered");
      const making = client.createKey({ name: "ci" });
      (await asked("POST")).tell("made");
      const answers = [shown(await entering), shown(await making)];
      const leaving = client.signOut();
      (await asked("DELETE")).tell("left");
      return [...answers, shown(await leaving)].map(({ data }) => data).concat([heard, complained]);
    """)
    events = ["session_opened", "keys_changed", "session_ended"]
    assert told == ["entered", "made", "left", events, ["of the listener"] * 3]


def test_the_answer_to_a_change_that_is_still_being_carried_out_is_waited_for(play: Play) -> None:
    told = play("""
      const heard = [];
      client.subscribe(({ type }) => heard.push(type));
      const making = client.createKey({ name: "ci" });
      const names = new Set();
      for (let time = 0; time < 3; time++) {
        const request = await asked("POST");
        names.add(request.headers["Idempotency-Key"]);
        request.answer(409, { code: "in_flight", message: "Under way." });
      }
      const last = await asked("POST");
      names.add(last.headers["Idempotency-Key"]);
      last.tell({ secret: "a secret" });
      return [shown(await making), names.size, waiting.length, heard];
    """)
    assert told == [{"data": {"secret": "a secret"}, "code": None}, 1, 0, ["keys_changed"]]


def test_a_change_that_never_comes_to_an_end_is_not_asked_for_without_an_end(play: Play) -> None:
    told = play("""
      const making = client.rotateKey({ key_id: "7" });
      let times = 0;
      const watched = making.then((answer) => { times = -times; return answer; });
      while (times >= 0 && times < 50) {
        times++;
        await settled();
        waiting.shift()?.answer(409, { code: "in_flight", message: "Under way." });
        await settled();
      }
      return [shown(await watched), times < 0];
    """)
    assert told == [{"data": None, "code": "in_flight"}, True]


def test_a_conflict_of_another_kind_is_told_at_once(play: Play) -> None:
    told = play("""
      const making = client.createKey({ name: "ci" });
      (await asked("POST")).answer(409, { code: "conflict", message: "No." });
      return [shown(await making), waiting.length];
    """)
    assert told == [{"data": None, "code": "conflict"}, 0]


@pytest.mark.parametrize("answer", ["tell({})", 'answer(401, { code: "ticket_refused", message: "Used." })'])
def test_a_read_waits_for_the_second_of_two_exchanges_after_the_first_one_ended(play: Play, answer: str) -> None:
    told = play(f"""
      const first = client.exchangeTicket("kst_a"), second = client.exchangeTicket("kst_b");
      const [toFirst, toSecond] = [await asked("POST"), await asked("POST")];
      toFirst.{answer};
      await first;
      const reading = client.listKeys();
      await settled();
      const early = waiting.length;
      toSecond.tell({{}});
      (await asked("GET")).tell("of B");
      return [shown(await reading), early];
    """)
    assert told == [{"data": "of B", "code": None}, 0]
