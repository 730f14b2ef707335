"""What must hold in the rows, looked at from outside while the server runs."""
import sqlite3

PENDING, EXECUTING, PAUSED, STOPPED = 0, 1, 2, 6
CREATED, UPDATED, FINISHED = 1, 2, 6


def is_final(status):
    return status > PAUSED


class Rows:
    def __init__(self, path):
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def all(self, sql, *args):
        return self.db.execute(sql, args).fetchall()

    def faults(self, org):
        """In one moment of the database: sentences about what is wrong in this organisation."""
        self.db.execute("BEGIN")
        try:
            return self.tasks(org)
        finally:
            self.db.execute("COMMIT")

    def tasks(self, org):
        tasks = {row[0]: row for row in self.all(
            "SELECT n, id, root, parent, status, turn, turns, deleting, is_outside FROM task WHERE org = ?", org)}
        turns, entries = {}, {}
        for task, number, status in self.all("SELECT task, number, status FROM turn WHERE org = ? ORDER BY task, number", org):
            turns.setdefault(task, []).append((number, status))
        for task, n, turn, kind in self.all("SELECT task, n, turn, kind FROM entry WHERE org = ? ORDER BY task, n", org):
            entries.setdefault(task, []).append((n, turn, kind))
        out = [f"turns without task {t}" for t in turns if t not in tasks]
        out += [f"entries without task {t}" for t in entries if t not in tasks]
        for row in tasks.values():
            what = self.task(row, tasks, turns.get(row[0], []), entries.get(row[0], []))
            if what:
                out.append(f"{what}: task {row} turns {turns.get(row[0])} entries {entries.get(row[0])}")
        return out

    def task(self, row, tasks, turns, entries):
        n, _, root, parent, status, shown, count, deleting, _ = row
        if root not in tasks or (parent is not None and parent not in tasks):
            return "it hangs from nothing"
        if parent is None and root != n or parent is not None and tasks[parent][2] != root:
            return "it hangs from another root"
        if [number for number, _ in turns] != list(range(1, count + 1)):
            return "turns are missing"
        if not 1 <= shown <= count:
            return "it shows no turn"
        if dict(turns)[shown] != status:
            return "task and turn say different statuses"
        for number, its in turns:
            if number < shown and not (is_final(its) or its == PAUSED) or number > shown and its not in (PENDING, STOPPED):
                return "a turn is out of order"
            kinds = [kind for _, turn, kind in entries if turn == number]
            if kinds.count(FINISHED) != is_final(its):
                return f"turn {number} has not the one end it should"
            if kinds and (kinds[0] != CREATED or kinds.count(CREATED) != 1):
                return f"turn {number} has not the one beginning it should"
            if FINISHED in kinds and kinds[-1] != FINISHED:
                return f"turn {number} goes on after its end"
            if its == EXECUTING and UPDATED not in kinds:
                return f"turn {number} executes without having begun"
        order = [turn for _, turn, _ in entries]
        if order != sorted(order):
            return "entries of turns are mixed"
        return None

    def slots(self):
        """Each key has one owner, and none is forgotten."""
        self.db.execute("BEGIN")
        try:
            owned = [s for (s,) in self.all("SELECT slot FROM task UNION ALL SELECT slot FROM agent"
                                            " UNION ALL SELECT slot FROM organization WHERE slot IS NOT NULL")]
            rows = [s for (s,) in self.all("SELECT n FROM slot")]
            (last,), = self.all("SELECT next FROM number WHERE name = 'slot'")
        finally:
            self.db.execute("COMMIT")
        both = owned + rows
        if len(set(both)) != len(both):
            return [f"slots with two owners: {sorted(s for s in set(both) if both.count(s) > 1)[:10]}"]
        missing = set(range(16, last)) - set(both)
        return [f"slots that nobody has: {sorted(missing)[:10]} of {last}"] if missing else []

    def count(self, org):
        (n,), = self.all("SELECT (SELECT count(*) FROM task WHERE org = ?1) + (SELECT count(*) FROM turn WHERE org = ?1)"
                         " + (SELECT count(*) FROM entry WHERE org = ?1)", org)
        return n

    def marked_agents(self, org):
        (n,), = self.all("SELECT count(*) FROM agent WHERE org = ? AND deleting = 1", org)
        return n

    def erasing(self):
        (n,), = self.all("SELECT count(*) FROM slot WHERE state = 1")
        return n
