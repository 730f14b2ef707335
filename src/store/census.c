#include "store/census.h"

struct err store_census(struct ctx *cx, struct store *store, struct census *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                SCAN("SELECT (SELECT count(*) FROM organization), (SELECT count(*) FROM agent), (SELECT count(*) FROM task),"
                     " (SELECT count(*) FROM turn), (SELECT count(*) FROM entry),"
                     " (SELECT count(*) FROM slot WHERE state = 0), (SELECT count(*) FROM slot WHERE state = 1) /* any organisation */"),
                NO_ARGS, &rows));
    *out = (struct census){row_num(&rows, 0, 0), row_num(&rows, 0, 1), row_num(&rows, 0, 2), row_num(&rows, 0, 3),
                           row_num(&rows, 0, 4), row_num(&rows, 0, 5), row_num(&rows, 0, 6), 0};
    TRY(db_read(cx, store->db,
                SCAN("SELECT (SELECT count(*) FROM entry e WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.n = e.task AND t.root = e.root))"
                     " + (SELECT count(*) FROM turn u WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.n = u.task))"
                     " + (SELECT count(*) FROM task c WHERE c.parent IS NOT NULL"
                     "    AND NOT EXISTS (SELECT 1 FROM task p WHERE p.n = c.parent))"
                     " + (SELECT count(*) FROM version v WHERE NOT EXISTS (SELECT 1 FROM agent a WHERE a.n = v.agent))"
                     " + (SELECT count(*) FROM (SELECT slot FROM (SELECT slot FROM task UNION ALL SELECT slot FROM agent"
                     "    UNION ALL SELECT slot FROM organization WHERE slot IS NOT NULL UNION ALL SELECT n FROM slot)"
                     "    GROUP BY slot HAVING count(*) > 1)) /* any organisation */"),
                NO_ARGS, &rows));
    out->orphans = row_num(&rows, 0, 0);
    return OK;
}
