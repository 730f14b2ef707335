#!/usr/bin/python3
"""Deletes, stops, messages, streams and deleted agents against the same few trees, from many clients at once.

A round is a plan drawn from its seed: what each of some clients does one after the other with tasks that all of them know
by name. The model talks at random pace, stalls, breaks. When the plan is through, everything is deleted, and then nothing
may be left: see Round.close and rows.py. What happens when is up to the machine; what is tried is not: the same seed draws
the same plans.

    race.py --build build/gcc-debug --rounds 1000 --seed 1 [--lanes 4] [--session 100] [--count build/race/count]
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from rows import Rows
from wire import Broken, Client, Loop

PATIENCE = 60   # seconds until something that waits counts as lost
SETTINGS = [    # of one session each: rooms so small that their bounds are met, and large ones
    {"RUNS_MAX": 6, "POOL_SLOTS": 64, "TURNS_WAITING_MAX": 2, "STREAM_FLUSH_MS": 0},
    {"ERASE_ROWS_MAX": 100, "STREAM_BUFFER": 4096, "HEARTBEAT_MS": 15},
    {"GROUP_MAX": 1, "TREE_DEPTH_MAX": 3, "SUB_TASKS_MAX": 6},
    {"RUNS_MAX": 1, "PENDING_MAX": 4},
]
ALWAYS = {"MODEL_TRIES": 2, "RETRY_FIRST_MS": 2, "RETRY_WAIT_MS": 5, "REST_WAIT_MS": 60000, "STOP_GRACE_MS": 60}


class Fault(Exception):
    pass


# ---- programs ------------------------------------------------------------------------

class Program:
    def __init__(self, args, log, variables=None):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, **(variables or {})})
        line = self.process.stdout.readline().decode()
        if "listening on http://" not in line:
            raise Fault(f"{args[0]} did not start: {line!r}, see {log}")
        host, port = line.split("http://")[1].split("/")[0].strip().split(":")
        self.address = (host, int(port))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Fault("a program does not end when it is told to")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def resident_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


# ---- what the model is told to do -----------------------------------------------------

def leaf(rng):
    return rng.choices([
        lambda: "[[say ok]]",
        lambda: f"[[pace {rng.randrange(3)}]][[tokens {rng.randrange(1, 30)}]]",
        lambda: f"[[delay {rng.randrange(8)}]][[say late]]",
        lambda: f"[[tokens {rng.randrange(20)}]][[stall]]",
        lambda: "[[hang]]",
        lambda: f"[[long {rng.randrange(1, 4)}]]",
        lambda: "[[flood 300000]]",
        lambda: "[[say a]][[cut]]",
        lambda: "[[empty]]",
        lambda: "[[refuse]]",
        lambda: "[[say a]][[error]]",
        lambda: "[[status 500]]",
        lambda: "[[think deep]][[say thought]]",
    ], [30, 20, 12, 12, 5, 5, 3, 2, 2, 2, 2, 2, 3])[0]()


def script(rng, tag, helpers, depth=3):
    """Some directives; those of who has helpers call them, side by side, and what these do is drawn too."""
    text = f"[[tag {tag}]]"
    if not helpers or depth == 0 or rng.random() < .4:
        return text + leaf(rng)
    for _ in range(rng.choices([1, 2, 3], [6, 3, 1])[0]):
        helper = rng.choice(helpers)
        below = [h for h in helpers if h > helper]
        query = json.dumps({"query": script(rng, tag, below, depth - 1)})
        text += f"[[call {helper} {query}]]"
    return text + "[[then]]" + leaf(rng)


# ---- one round ----------------------------------------------------------------------------

class Invoke:
    def __init__(self, tag, task):
        self.tag, self.task = tag, task
        self.heard = None      # at which tick the client knew that it was accepted
        self.ended = None      # the model's counters for it when it had to be at rest


class Round:
    def __init__(self, lane, number, seed):
        self.lane, self.number = lane, number
        self.rng = random.Random(f"{seed}/{number}")
        self.tick, self.tags = 0, 0
        self.invokes, self.known, self.log = [], ["a", "b", "c"], []
        self.places = []       # task and position where a stream was left
        self.is_ending = False # the server was told to stop: whatever is under way may be cut off, or refused
        self.extra = None      # agents of this round alone: a manager, and its helper
        self.began = time.monotonic()

    def note(self, who, what):
        self.tick += 1
        self.log.append(f"{(time.monotonic() - self.began) * 1000:9.2f} {self.tick:4} {who}: {what}")
        return self.tick

    def know(self, task):
        if task and task not in self.known:
            self.known.append(task)

    # -- acts of a client; each is drawn first and done later, so that the draw does not hang on timing

    def draw_invoke(self, rng):
        task = rng.choices(["a", "b", "c", None], [4, 3, 3, 2])[0]
        agent = {"a": "M", "b": "H1", "c": "E"}.get(task) or rng.choice(["M", "H1", "H2", "E"])
        if rng.random() < .1:
            agent = rng.choice(["M", "H1", "H2"])
        self.tags += 1
        tag = f"{self.lane.name}r{self.number}i{self.tags}"
        helpers = {"M": ["H1", "H2"], "H1": ["H2"], "E": ["H2", "X"]}.get(agent)
        body = {"input": {"text": script(rng, tag, helpers)}}
        if task:
            body["id"] = task
        if rng.random() < .25:
            body["parent_execution_id"] = rng.choice(["a", "b", "c"])
            if rng.random() < .8:
                body.pop("id", None)
        if rng.random() < .06:
            body["run_locally"] = True
        if rng.random() < .1:
            body["title"] = "t"
        mode = rng.choices(["", "/async", "/stream"], [3, 5, 4])[0]
        leaves = rng.randrange(6) if rng.random() < .2 else None
        query = rng.choice(["", "?sub_tasks=all", "?sub_tasks=none"]) if mode == "/stream" else ""
        lazy = rng.randrange(1, 12) if mode == "/stream" and rng.random() < .25 else 0
        # Some join, or hang from, whatever task is known by then: a sub-task, mostly.
        joins, pick = rng.choices([None, "id", "parent_execution_id"], [8, 1, 1])[0], rng.random()

        def act(who, client):
            if joins:
                body.pop("id", None)
                body[joins] = self.pick(pick)
            return self.invoke(who, client, tag, agent, body, mode, query, leaves, lazy)
        return act

    def draw_look(self, rng):
        what = rng.choice(["", "/thread", "/thread/full", "/stream", "/stream", "/stream", "list"])
        pick, leaves = rng.random(), rng.randrange(8) if rng.random() < .3 else None
        query = rng.choice(["", "?sub_tasks=all", "?sub_tasks=none"])
        lazy = rng.randrange(1, 12) if what == "/stream" and rng.random() < .25 else 0
        resumes = rng.random() < .5
        return lambda who, client: self.look(who, client, what, pick, query, leaves, lazy, resumes)

    def draw_end(self, rng):
        kind, pick = rng.choices(["stop", "delete", "agent X", "agent E"], [8, 10, 3, 3])[0], rng.random()
        return lambda who, client: self.end(who, client, kind, pick)

    def plan(self):
        rng, plans = self.rng, []
        for _ in range(rng.randrange(3, 8)):
            acts = []
            for _ in range(rng.randrange(2, 7)):
                draw = rng.choices([self.draw_invoke, self.draw_look, self.draw_end], [6, 2, 3])[0]
                acts.append((rng.random() * .006 if rng.random() < .5 else 0, draw(rng)))
            plans.append(acts)
        return plans

    def pick(self, where):
        return self.known[int(where * len(self.known))]

    # -- doing them

    def play(self, who, acts):
        client = self.lane.client()
        for pause, act in acts:
            if pause:
                yield "sleep", pause
            yield from act(who, client)
        client.close()

    def invoke(self, who, client, tag, agent, body, mode, query, leaves, lazy):
        agent_id = self.lane.agents.get(agent) or (self.extra or {}).get(agent) or self.lane.agents["H1"]
        invoke = Invoke(tag, body.get("id"))
        self.invokes.append(invoke)
        self.note(who, f"invoke{mode} {agent} {json.dumps(body)}")
        if lazy:
            client.be_lazy(lazy)
        client.send("POST", f"/v1/agents/{agent_id}/invoke{mode}{query}", body)
        if leaves is not None and mode != "/stream":
            yield "sleep", leaves * .002
            client.close()
            self.lane.left.add(tag)
            self.note(who, "left")
            return
        status, headers = yield from client.head()
        if status == 200 and mode == "/stream":
            yield from self.follow(who, client, invoke, leaves, None)
            return
        text = yield from client.whole(headers)
        answer = json.loads(text)
        self.note(who, f"{tag}: {status} {text[:200] if status != 200 else answer['status']}")
        if status not in (200, 404, 409, 422, 503):
            raise Fault(f"invoke answered {status} {text[:300]}")
        if status == 404 and answer["detail"] != "Agent not found":
            raise Fault(f"invoke answered {status} {text[:300]}")
        if status != 200:
            return
        if f"[[tag {tag}]]" not in answer["input"]["text"]:
            raise Fault(f"{tag} was answered with another message: {answer['input']}")
        invoke.task = answer["id"]
        invoke.heard = self.tick
        self.know(answer["id"])
        for sub in answer["sub_executions"]:
            self.know(sub)
        wanted = ("pending", "executing") if mode else ("completed", "failed", "error", "stopped", "paused")
        if not self.is_ending and answer["status"] not in wanted and not (mode and answer["status"] in ("stopped",)):
            raise Fault(f"invoke{mode} answered a task that is {answer['status']}")

    def is_ours(self, text):
        """Nothing of a task that had the name before; but who hung up in the last round may be heard in this one."""
        tag = text[len("[[tag "):text.find("]]")]
        if not tag.startswith(f"{self.lane.name}r{self.number}i") and tag not in self.lane.left:
            raise Fault(f"a message of another round: {text[:300]}")

    def follow(self, who, client, invoke, leaves, task, after=None):
        """Read a stream to its end (or leave it) and judge it."""
        own, last_id, last_position, counted = [], (0, 0), None, 0

        def on_event(position, event):
            nonlocal last_id, last_position, counted
            counted += 1
            kind = event["type"]
            if isinstance(event["data"], dict) and "input" in event["data"]:
                self.is_ours(event["data"]["input"]["text"])
            if invoke and not invoke.heard:
                invoke.task, invoke.heard = event["task_id"], self.note(who, f"{invoke.tag}: heard {kind}")
                self.know(invoke.task)
            mine = event["task_id"] == (invoke.task if invoke else task)
            if mine and kind in ("task_created", "task_finished"):
                own.append(kind)
                self.note(who, f"{kind} {event['data']['status']} {position}")
            elif mine:
                own.append("step")
            elif kind in ("task_created", "task_finished"):
                raise Fault(f"a sub-task's {kind} came as such")
            if kind == "sub_agent_trigger":
                self.know(event["data"]["task_id"])
            task_n, n, k = (int(x) for x in position.split("_")[0].split("-"))
            if after and counted == 1 and after.split("-")[0] == str(task_n):
                last_id = tuple(int(x) for x in after.split("_")[0].split("-")[1:])
            if (n, k) < last_id or position == after:
                raise Fault(f"positions fall: {last_id} and then {position} (it was left at {after})")
            last_id, last_position = (n, k), position
            return leaves is not None and counted > leaves

        left = yield from client.events(on_event)
        self.note(who, f"stream {'left' if left else 'ended'} after {counted}: {','.join(own)[-200:]}")
        if left or self.is_ending:
            client.close()
            if last_position:
                self.places.append((invoke.task if invoke else task, last_position))
            return
        if own and own[-1] != "task_finished":
            raise Fault(f"a stream ends with {own[-1]}")
        if invoke and own.count("task_finished") != 1:
            raise Fault(f"a turn's stream has {own.count('task_finished')} ends")
        if any(a == b == "task_finished" for a, b in zip(own, own[1:])):
            raise Fault("a turn ends twice in a stream")

    def look(self, who, client, what, pick, query, leaves, lazy, resumes):
        task, after = self.pick(pick), None
        if what == "/stream" and resumes and self.places:
            task, after = self.places[int(pick * len(self.places))]
        if what == "list":
            status, answer = yield from client.ask("GET", "/v1/tasks?per_page=50")
            self.note(who, f"list {status}")
            if status == 503 and self.is_ending:
                return
            if status != 200:
                raise Fault(f"list answered {status} {answer}")
            for item in answer["items"]:
                self.know(item["id"])
            return
        self.note(who, f"GET {task}{what} {after or ''}")
        if lazy:
            client.be_lazy(lazy)
        client.send("GET", f"/v1/tasks/{task}{what}{query if what == '/stream' else ''}",
                    headers=f"last-event-id: {after}\r\n" if after else "")
        status, headers = yield from client.head()
        if status == 200 and what == "/stream":
            yield from self.follow(who, client, None, leaves, task, after)
            return
        text = yield from client.whole(headers)
        if status not in (200, 404) and not (self.is_ending and status == 503):
            raise Fault(f"GET {what} answered {status} {text[:300]}")
        if status != 200:
            return
        answer = json.loads(text)
        if what:
            for message in answer["root"] if what == "/thread/full" else answer:
                if message["role"] == "user":
                    self.is_ours(message["content"])
            return
        self.is_ours(answer["input"]["text"])
        for sub in answer["sub_executions"]:
            self.know(sub)

    def end(self, who, client, kind, pick):
        if kind.startswith("agent"):
            agent = (self.extra or {}).get(kind[-1])
            if agent:
                self.note(who, f"delete {kind}")
                status, answer = yield from client.ask("DELETE", f"/v1/agents/{agent}")
                self.note(who, f"deleted {kind}: {status}")
                if status not in (202, 404) and not (self.is_ending and status == 503):
                    raise Fault(f"deleting an agent answered {status} {answer}")
            return
        yield from self.end_task(who, client, kind, self.pick(pick))

    def end_task(self, who, client, kind, task):
        sent = self.note(who, f"{kind} {task}")
        if kind == "stop":
            status, answer = yield from client.ask("POST", f"/v1/tasks/{task}/stop")
        else:
            status, answer = yield from client.ask("DELETE", f"/v1/tasks/{task}")
        self.note(who, f"{kind} {task}: {status}")
        if self.is_ending and status == 503:
            return
        if status not in ((200, 404) if kind == "stop" else (204, 404)):
            raise Fault(f"{kind} answered {status} {answer}")
        if status == 404:
            return
        # Whatever was known to be accepted before is over: the model has nothing open for it and hears no more of it.
        for invoke in self.invokes:
            if invoke.task == task and invoke.heard and invoke.heard < sent and not invoke.ended:
                yield from self.is_at_rest(invoke, f"after {kind} {task}")

    def is_at_rest(self, invoke, when):
        # More than once, so that the model has read what reached it before our question.
        for _ in range(3):
            now = yield from self.lane.stats(invoke.tag)
        if now["open"]:
            raise Fault(f"{when}: a call of {invoke.tag} is open")
        before = invoke.ended or now
        if now["requests"] != before["requests"]:
            raise Fault(f"{when}: {invoke.tag} made another call")
        if now["bytes"] != before["bytes"]:
            raise Fault(f"{when}: {invoke.tag} read on")
        invoke.ended = now

    # -- the round, whole

    def run(self):
        plans = self.plan()
        if self.rng.random() < .35:
            yield from self.lane.make_extra(self)
        loop = self.lane.loop
        players = [loop.start(self.play(f"p{i}", acts)) for i, acts in enumerate(plans)]
        yield "sleep", self.rng.choice([.02, .05, .1])
        self.check_rows("while it runs")
        yield from self.close(players)

    def wave(self):
        """The last round of a server: it is told to stop in the middle of it."""
        loop = self.lane.loop
        return [loop.start(self.play(f"p{i}", acts)) for i, acts in enumerate(self.plan())]

    def check_rows(self, when):
        faults = self.lane.rows.faults(self.lane.org)
        if faults:
            raise Fault(f"{when}: " + "; ".join(faults[:3]))

    def close(self, players):
        """Delete whatever there is until everybody is through and nothing is left."""
        loop, lane = self.lane.loop, self.lane
        kind = self.rng.choice(["delete", "delete", "stop"])
        closer, empty = lane.client(), 0
        while True:
            are_through = all(p.is_done for p in players)
            status, answer = yield from closer.ask("GET", "/v1/tasks?per_page=50")
            tasks = [item["id"] for item in answer["items"]]
            some = [t for t in tasks if self.rng.random() < .9] if kind == "delete" else tasks
            enders = []
            for task in some:
                for who in range(self.rng.choice([1, 1, 2])):
                    enders.append(loop.start(self.end_alone(f"e{who}", kind, task)))
            if enders:
                yield "join", enders
                self.raise_trouble(enders)
            kind = "delete"
            if tasks:
                empty = 0
                continue
            # One who hung up may have been heard after we looked; but what is not in the list is not in the rows, or soon not.
            if are_through and not lane.rows.count(lane.org):
                break
            empty += are_through
            if empty > 400:
                self.check_rows("at the end")
                raise Fault(f"{lane.rows.count(lane.org)} rows are left when nothing should be")
            yield "sleep", .004
        closer.close()
        self.raise_trouble(players)
        if self.extra:
            yield from lane.drop_extra(self)
        for invoke in self.invokes:
            if invoke.heard:
                yield from self.is_at_rest(invoke, "at the end")

    def end_alone(self, who, kind, task):
        client = self.lane.client()
        yield from self.end_task(who, client, kind, task)
        client.close()

    def raise_trouble(self, tasks):
        for task in tasks:
            if task.trouble:
                raise task.trouble


# ---- a lane: an organisation whose rounds follow each other ------------------------------------

class Lane:
    def __init__(self, race, number):
        self.race, self.name, self.loop = race, f"L{number}", race.loop
        made = json.loads(subprocess.check_output(
            [race.program("agentd"), "key", "create", "--data", race.data, "--org", self.name]))
        self.key = made["key"]
        self.rows, self.models, self.agents, self.org = None, [], {}, None
        self.organization_id = made["organization_id"]
        self.left = set()      # tags of requests that nobody waited for

    def client(self):
        return Client(self.race.server.address, self.key)

    def open(self):
        """With each new server."""
        self.rows = Rows(os.path.join(self.race.data, "agentd.db"))
        (self.org,), = self.rows.all("SELECT n FROM organization WHERE id = ?", self.organization_id)
        self.models = []

    def stats(self, tag):
        """The model's counters."""
        client = self.models.pop() if self.models else Client(self.race.model.address)
        _, stats = yield from client.ask("GET", f"/stats?tag={tag}")
        self.models.append(client)
        return stats

    def make_agent(self, client, name, helpers=()):
        status, agent = yield from client.ask("POST", "/v1/agents", {"name": name})
        if status != 201:
            raise Fault(f"no agent: {status} {agent}")
        for helper in helpers:
            status, answer = yield from client.ask("POST", f"/v1/agents/{agent['id']}/tools", {"type": "agent", "agent_id": helper})
            if status != 200:
                raise Fault(f"no helper: {status} {answer}")
        return agent["id"]

    def make_agents(self):
        client = self.client()
        self.agents["H2"] = yield from self.make_agent(client, "H2")
        self.agents["H1"] = yield from self.make_agent(client, "H1", [self.agents["H2"]])
        self.agents["M"] = yield from self.make_agent(client, "M", [self.agents["H1"], self.agents["H2"]])
        client.close()

    def make_extra(self, round_):
        client = self.client()
        x = yield from self.make_agent(client, "X")
        e = yield from self.make_agent(client, "E", [self.agents["H2"], x])
        round_.extra = {"X": x, "E": e}
        client.close()

    def drop_extra(self, round_):
        """Agents are erased behind their answer, and then no row of theirs is there either."""
        client = self.client()
        for agent in round_.extra.values():
            yield from client.ask("DELETE", f"/v1/agents/{agent}")
        client.close()
        until = time.monotonic() + PATIENCE
        while self.rows.marked_agents(self.org):
            if time.monotonic() > until:
                raise Fault("a deleted agent is still there")
            yield "sleep", .004

    def clear(self):
        """What the last server left goes on now, and has to go away."""
        client, until = self.client(), time.monotonic() + PATIENCE
        while self.rows.count(self.org) or self.rows.marked_agents(self.org):
            _, answer = yield from client.ask("GET", "/v1/tasks?per_page=50")
            for item in answer["items"]:
                status, why = yield from client.ask("DELETE", f"/v1/tasks/{item['id']}")
                if status not in (204, 404):
                    raise Fault(f"after a restart a delete answered {status} {why}")
            if time.monotonic() > until:
                raise Fault("what the last server left does not go away")
            yield "sleep", .004
        client.close()

    def run(self, numbers, seed, done):
        self.round = Round(self, numbers[0] if numbers else 0, seed)
        yield from self.clear()
        if not self.agents:
            yield from self.make_agents()
        for number in numbers:
            self.round = Round(self, number, seed)
            yield from self.round.run()
            done(number)
        for client in self.models:
            client.close()


# ---- all of it ------------------------------------------------------------------------------------

class Race:
    def __init__(self, args):
        self.args, self.loop, self.passed, self.unsaved = args, Loop(), 0, 0
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.top = tempfile.mkdtemp(prefix="agentd-race-", dir=os.environ.get("RACE_TMP", shm))
        self.data = os.path.join(self.top, "data")
        self.server = self.model = None

    def program(self, name):
        return os.path.join(self.args.build, name)

    def start(self, session):
        self.model = Program([self.program("rehearsal")], os.path.join(self.top, "model.log"))
        settings = {**ALWAYS, **SETTINGS[session % len(SETTINGS)]}
        variables = {f"AGENTD_{name}": str(value) for name, value in settings.items()}
        variables["OPENAI_BASE_URL"] = "http://%s:%d/v1" % self.model.address
        variables["OPENAI_API_KEY"] = "k"
        self.server = Program([self.program("agentd"), "serve", "--listen", "127.0.0.1:0", "--data", self.data],
                              os.path.join(self.top, "server.log"), variables)

    def done(self, number):
        self.passed += 1
        self.unsaved += 1
        if self.passed % 50 == 0:
            faults = self.lanes[0].rows.slots()
            if faults:
                raise Fault("; ".join(faults))
        if self.args.verbose and self.passed % 50 == 0:
            print(f"{self.passed} rounds, {self.server.resident_kb()} kB", flush=True)

    def session(self, number, numbers):
        self.start(number)
        if not hasattr(self, "lanes"):
            self.lanes = [Lane(self, i) for i in range(self.args.lanes)]
        for lane in self.lanes:
            lane.open()
        tasks = [self.loop.start(lane.run(numbers[i::len(self.lanes)], self.args.seed, self.done))
                 for i, lane in enumerate(self.lanes)]
        last = self.passed
        while True:
            left = self.loop.run_until(tasks, PATIENCE)
            for lane, task in zip(self.lanes, tasks):
                if task.trouble:
                    self.tell(lane, task.trouble)
                    raise task.trouble
            if not left:
                break
            if self.passed == last:
                lane = self.lanes[tasks.index(left[0])]
                trouble = Fault("a round does not end")
                self.tell(lane, trouble)
                raise trouble
            last = self.passed
        self.finish(number)

    def finish(self, number):
        client = Client(self.model.address)
        stats = self.loop.start(client.ask("GET", "/stats"))
        self.loop.run_until([stats], PATIENCE)
        if stats.value[1]["open"]:
            raise Fault(f"{stats.value[1]['open']} calls are open at the end of a session")
        faults = self.lanes[0].rows.slots()
        if faults:
            raise Fault("; ".join(faults))
        resident = self.server.resident_kb()
        self.end_in_the_middle(number)
        if self.args.verbose:
            print(f"session {number}: {self.passed} rounds, {resident} kB", flush=True)

    def end_in_the_middle(self, number):
        waves = [Round(lane, f"wave{number}", self.args.seed) for lane in self.lanes]
        players = [player for wave in waves for player in wave.wave()]
        self.loop.run_until(players, random.Random(f"{self.args.seed}/{number}").random() * .08)
        for wave in waves:
            wave.is_ending = True
        status = self.server.end()
        left = self.loop.run_until(players, PATIENCE)
        self.model.kill()
        if status:
            raise Fault(f"agentd ended with {status}")
        if left:
            raise Fault("somebody waits for a server that has ended")
        for wave in waves:
            wave.lane.round = wave
            try:
                for player in players:
                    if player.trouble and not isinstance(player.trouble, (Broken, OSError)):
                        raise player.trouble
                wave.check_rows("after the end")
            except Fault as trouble:
                self.tell(wave.lane, trouble)
                raise

    def tell(self, lane, trouble):
        print(f"FAIL round {lane.round.number} of seed {self.args.seed}, lane {lane.name}: {trouble!r}")
        print("\n".join(lane.round.log[-400:]))

    def run(self):
        numbers, session, failed = range(self.args.first, self.args.first + self.args.rounds), self.args.settings, 0
        try:
            for at in range(0, self.args.rounds, self.args.session):
                self.session(session, numbers[at:at + self.args.session])
                session += 1
                self.save()
        except (Fault, Broken, OSError) as trouble:
            failed = 1
            print(f"FAIL: {trouble!r}; its files are in {self.top}")
        finally:
            for program in (self.server, self.model):
                if program:
                    program.kill()
        self.save()
        if failed:
            with open(os.path.join(self.top, "server.log"), errors="replace") as f:
                print("".join(line for line in f if " info " not in line)[-6000:])
        else:
            shutil.rmtree(self.top, ignore_errors=True)
        print(f"{self.passed} passed, {failed} failed")
        return failed

    def save(self):
        """Rounds add up over runs."""
        if not self.args.count or not self.unsaved:
            return
        os.makedirs(os.path.dirname(self.args.count), exist_ok=True)
        before = 0
        if os.path.exists(self.args.count):
            with open(self.args.count) as f:
                before = int(f.read() or 0)
        with open(self.args.count, "w") as f:
            f.write(f"{before + self.unsaved}\n")
        self.unsaved = 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=0, help="the first round's number")
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--session", type=int, default=100, help="rounds until the server is started anew")
    parser.add_argument("--settings", type=int, default=0, help="with which settings the first session runs")
    parser.add_argument("--count", help="a file in which rounds add up")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    return Race(args).run()


if __name__ == "__main__":
    sys.exit(main())
