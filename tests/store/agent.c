/* Agents, their versions and credentials, as rows that nobody can read without the keyring. */
#include "store/agent.h"

#include "base/id.h"
#include "house.h"
#include "store/organization.h"

static struct ctx cx;
static struct store *store;

static void open_house(void)
{
    cx = plain_cx();
    store = house_open(&cx, test_dir());
    add_org(&cx, store->db, 1);
    add_org(&cx, store->db, 2);
}

static struct agent_row made(int64_t org, const char *name, const char *key)
{
    struct agent agent;
    struct agent_secret secret;
    struct agent_row row;

    agent_begin(test_arena(), &agent, 0);
    shape_defaults(test_arena(), &agent_secret_shape, &secret);
    agent.name = str(name);
    agent.model_provider = S("openai");
    if (*key) agent.llm_credentials = (struct credentials){.is_there = true, .name = S("n"), .value = str(key)};
    agent_hide(test_arena(), &agent, &secret);
    CHECK_OK(store_agent_create(&cx, store, org, &agent, &secret, 0, &row));
    CHECK(is_uuid(row.id) && str_eq(agent.id, row.id) && agent.created_at == row.created_at);
    return row;
}

static struct agent_row found(struct str id)
{
    struct agent_row row;

    CHECK_OK(store_agent_find(&cx, store, id, &row));
    return row;
}

static struct agent shown(const struct agent_row *row, int64_t number)
{
    struct agent agent;

    CHECK_OK(store_agent_version(&cx, store, row, number, &agent));
    return agent;
}

static struct agent_row saved(struct str id, const char *description, bool is_deployed)
{
    struct agent_row row = found(id);
    struct agent agent = shown(&row, VERSION_DRAFT);

    agent.description = str(description);
    CHECK_OK(store_agent_save(&cx, store, &row, &agent, 0, is_deployed));
    return row;
}

TEST(a_new_agent_has_a_draft_and_version_1)
{
    open_house();
    struct agent_row row = made(1, "Ann", ""), again = found(row.id);
    struct agent draft = shown(&again, VERSION_DRAFT), first = shown(&again, 1);

    CHECK(again.n == row.n && again.org == 1 && again.version == 1 && !again.is_pending && !again.is_deleting);
    CHECK(str_is(draft.name, "Ann") && str_is(first.name, "Ann") && draft.version == 1 && draft.is_latest);
    CHECK(str_eq(draft.unique_name, row.unique_name) && draft.status == AGENT_ACTIVE && draft.created_at == row.created_at);
    struct agent agent;
    CHECK(store_agent_version(&cx, store, &again, 2, &agent).code == ERR_NOT_FOUND);
    store_close(&cx, store);
}

TEST(an_agent_is_read_again_after_a_restart)
{
    open_house();
    struct agent_row row = made(1, "Ann", "KEY-1");
    struct agent_secret secret;

    store_close(&cx, store);
    store = house_open(&cx, test_dir());
    row = found(row.id);
    CHECK(str_is(shown(&row, VERSION_DRAFT).name, "Ann"));
    CHECK_OK(store_agent_secret(&cx, store, &row, &secret));
    CHECK(str_is(secret.key, "KEY-1"));
    store_close(&cx, store);
}

TEST(what_is_known_of_an_agent_is_sealed)
{
    open_house();
    struct agent_row row = made(1, "CANARY-NAME", "CANARY-KEY");
    saved(row.id, "CANARY-DESCRIPTION", true);
    struct str bytes = house_bytes(test_dir());
    CHECK(!memmem(bytes.at, bytes.count, "CANARY", 6));
    CHECK(memmem(bytes.at, bytes.count, row.id.at, row.id.count)); /* ids are plain: it is the right directory */
    store_close(&cx, store);
}

TEST(a_save_stages_and_a_deploy_freezes)
{
    open_house();
    struct agent_row row = made(1, "Ann", "");
    row = saved(row.id, "one", false);
    CHECK(row.is_pending && row.version == 1 && str_is(shown(&row, 1).description, ""));
    row = saved(row.id, "two", true);
    CHECK(!row.is_pending && row.version == 2 && str_is(shown(&row, 2).description, "two"));
    row = saved(row.id, "three", false);
    struct agent_row again = found(row.id);
    CHECK(again.is_pending && again.version == 2 && again.updated_at == row.updated_at);
    CHECK(str_is(shown(&again, 1).description, "") && str_is(shown(&again, 2).description, "two"));
    CHECK(!shown(&again, 1).is_latest && shown(&again, 2).is_latest && shown(&again, VERSION_DRAFT).has_pending_changes);
    store_close(&cx, store);
}

TEST(undoing_a_change_leaves_nothing_pending)
{
    open_house();
    struct agent_row row = made(1, "Ann", "");
    CHECK(saved(row.id, "one", false).is_pending);
    CHECK(!saved(row.id, "", false).is_pending);
    CHECK(!found(row.id).is_pending);
    store_close(&cx, store);
}

TEST(a_status_acts_at_once_and_is_not_versioned)
{
    open_house();
    struct agent_row row = made(1, "Ann", "");
    struct agent agent = shown(&row, VERSION_DRAFT);

    agent.status = AGENT_INACTIVE;
    CHECK_OK(store_agent_save(&cx, store, &row, &agent, 0, false));
    row = found(row.id);
    CHECK(row.status == AGENT_INACTIVE && !row.is_pending && row.version == 1);
    CHECK(shown(&row, 1).status == AGENT_INACTIVE);
    store_close(&cx, store);
}

TEST(who_saves_over_somebody_elses_save_is_told)
{
    open_house();
    struct agent_row row = made(1, "Ann", ""), stale = row;
    struct agent agent = shown(&row, VERSION_DRAFT);

    CHECK_OK(store_agent_save(&cx, store, &row, &agent, 0, false));
    agent.name = S("Late");
    CHECK(store_agent_save(&cx, store, &stale, &agent, 0, true).code == ERR_CONFLICT);
    row = found(row.id);
    CHECK(row.version == 1 && str_is(shown(&row, VERSION_DRAFT).name, "Ann"));
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM version") == 1);
    store_close(&cx, store);
}

TEST(a_new_credential_is_the_one_of_every_version)
{
    open_house();
    struct agent_row row = made(1, "Ann", "KEY-1");
    struct agent agent = shown(&row, VERSION_DRAFT);
    struct agent_secret secret;

    CHECK_OK(store_agent_secret(&cx, store, &row, &secret));
    secret.key = S("KEY-2");
    CHECK_OK(store_agent_save(&cx, store, &row, &agent, &secret, true));
    row = found(row.id);
    CHECK(!row.is_pending);
    CHECK_OK(store_agent_secret(&cx, store, &row, &secret));
    struct agent old = shown(&row, 1);
    CHECK(str_is(agent_key(&old, &secret), "KEY-2"));
    CHECK_OK(store_agent_save(&cx, store, &row, &agent, 0, false)); /* without one: it stays */
    row = found(row.id);
    CHECK_OK(store_agent_secret(&cx, store, &row, &secret));
    CHECK(str_is(secret.key, "KEY-2"));
    store_close(&cx, store);
}

TEST(a_version_does_not_open_in_the_place_of_another)
{
    open_house();
    struct agent_row row = made(1, "Ann", "");
    struct agent agent;
    struct batch *batch = batch_new(test_arena());

    row = saved(row.id, "two", true);
    batch_add(batch, "UPDATE version SET content = (SELECT content FROM version WHERE number = 2 AND org = 1) WHERE number = 1 AND org = 1",
              NO_ARGS, 1);
    CHECK_OK(db_write(&cx, store->db, batch));
    CHECK_OK(store_agent_version(&cx, store, &row, 2, &agent));
    CHECK(store_agent_version(&cx, store, &row, 1, &agent).code == ERR_IO);
    store_close(&cx, store);
}

/* With one word for all, each further agent gets the next number; other organisations count for themselves. */
TEST(unique_names_are_numbered_within_an_organisation)
{
    open_house();
    static const char *const names[] = {"", "-2", "-3"};
    struct str first = {0};
    for (int i = 0; i < 3; i++) {
        id_test_seed(7);
        struct agent_row row = made(1, "Same", "");
        if (!i) first = row.unique_name;
        CHECK(str_eq(row.unique_name, strf(test_arena(), "%.*s%s", STR_ARGS(first), names[i])));
        id_test_seed(0);
        struct batch *batch = batch_new(test_arena()); /* the same seed would make the same id */
        batch_add(batch, "UPDATE agent SET id = $1 WHERE n = $2 AND org = 1", ARGS(text(uuid_new(test_arena())), num(row.n)), 1);
        CHECK_OK(db_write(&cx, store->db, batch));
    }
    id_test_seed(7);
    CHECK(str_eq(made(2, "Same", "").unique_name, first));
    id_test_seed(0);
    store_close(&cx, store);
}

TEST(lists_have_the_newest_first_and_true_totals)
{
    open_house();
    struct agent_row *rows, ids[5];
    int64_t total;
    int count;

    for (int i = 0; i < 5; i++) ids[i] = made(1, "A", "");
    made(2, "B", "");
    CHECK_OK(store_agent_list(&cx, store, 1, (struct page){1, 2}, &rows, &count, &total));
    CHECK(total == 5 && count == 2 && rows[0].n == ids[4].n && rows[1].n == ids[3].n);
    CHECK_OK(store_agent_list(&cx, store, 1, (struct page){3, 2}, &rows, &count, &total));
    CHECK(total == 5 && count == 1 && rows[0].n == ids[0].n && str_is(shown(&rows[0], VERSION_DRAFT).name, "A"));
    CHECK_OK(store_agent_list(&cx, store, 1, (struct page){4, 2}, &rows, &count, &total));
    CHECK(total == 5 && count == 0);
    CHECK_OK(store_agent_list(&cx, store, 1, (struct page){INT64_MAX, 50}, &rows, &count, &total));
    CHECK(total == 5 && count == 0);
    CHECK_OK(store_agent_mark(&cx, store, &ids[4]));
    CHECK_OK(store_agent_list_all(&cx, store, 1, &rows, &count));
    CHECK(count == 4 && rows[0].n == ids[3].n);
    CHECK_OK(store_agent_list(&cx, store, 1, (struct page){1, 50}, &rows, &count, &total));
    CHECK(total == 4 && count == 4);
    store_close(&cx, store);
}

TEST(a_sub_agent_is_seen_by_its_own_organisation_while_it_is_there)
{
    open_house();
    struct agent_row row = made(1, "Ann", "");
    struct tool_target target;

    saved(row.id, "draft", false);
    CHECK_OK(store_agent_target(&cx, store, 1, row.id, false, &target));
    CHECK(target.is_there && str_is(target.name, "Ann") && str_is(target.description, "draft"));
    CHECK_OK(store_agent_target(&cx, store, 1, row.id, true, &target));
    CHECK(target.is_there && str_is(target.description, ""));
    CHECK_OK(store_agent_target(&cx, store, 2, row.id, false, &target));
    CHECK(!target.is_there);
    row = found(row.id);
    CHECK_OK(store_agent_mark(&cx, store, &row));
    CHECK_OK(store_agent_target(&cx, store, 1, row.id, false, &target));
    CHECK(!target.is_there);
    CHECK_OK(store_agent_target(&cx, store, 1, S("none"), false, &target));
    CHECK(!target.is_there);
    store_close(&cx, store);
}

TEST(a_marked_agent_is_changed_no_more_and_marked_once)
{
    open_house();
    struct agent_row row = made(1, "Ann", ""), *rows;
    struct agent agent = shown(&row, VERSION_DRAFT);
    int count;

    CHECK_OK(store_agent_mark(&cx, store, &row));
    CHECK(store_agent_mark(&cx, store, &row).code == ERR_NOT_FOUND);
    CHECK(found(row.id).is_deleting);
    CHECK(store_agent_save(&cx, store, &row, &agent, 0, false).code == ERR_CONFLICT);
    CHECK_OK(store_agent_marked(&cx, store, 10, &rows, &count));
    CHECK(count == 1 && rows[0].n == row.n);
    store_close(&cx, store);
}

/* The copy from before is what a thief or a backup has: with the key gone it says nothing. */
TEST(a_removed_agent_leaves_neither_rows_nor_its_key)
{
    open_house();
    struct agent_row row = made(1, "Ann", "");
    struct agent agent;

    row = saved(row.id, "two", true);
    struct agent_row copy = row;
    CHECK_OK(store_agent_mark(&cx, store, &row));
    CHECK_OK(store_agent_remove(&cx, store, &row));
    CHECK_OK(store_agent_remove(&cx, store, &row)); /* who comes second finds it done */
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM agent") == 0);
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM version") == 0);
    struct agent_row none;
    CHECK(store_agent_find(&cx, store, row.id, &none).code == ERR_NOT_FOUND);
    CHECK(failed(store_agent_version(&cx, store, &copy, VERSION_DRAFT, &agent)));
    store_close(&cx, store);
}

TEST(an_agent_removed_since_its_row_was_read_is_not_found)
{
    open_house();
    struct agent_row row = made(1, "Ann", "sk-ann");
    struct agent_secret secret;
    struct agent agent;

    CHECK(store_agent_version(&cx, store, &row, 7, &agent).code == ERR_NOT_FOUND); /* a version, and the agent is there */
    CHECK_OK(store_agent_mark(&cx, store, &row));
    CHECK_OK(store_agent_remove(&cx, store, &row));
    CHECK(store_agent_version(&cx, store, &row, VERSION_DRAFT, &agent).code == ERR_NOT_FOUND);
    CHECK(store_agent_version(&cx, store, &row, 1, &agent).code == ERR_NOT_FOUND);
    CHECK(store_agent_secret(&cx, store, &row, &secret).code == ERR_NOT_FOUND);
    store_close(&cx, store);
}

TEST(many_versions_are_removed_in_pieces)
{
    open_house();
    struct agent_row row = made(1, "Ann", "");
    struct batch *batch = batch_new(test_arena());

    batch_add(batch,
              "INSERT INTO version (agent, number, org, created_at, content)"
              " WITH RECURSIVE c (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < 2500)"
              " SELECT $1, i, 1, 1, x'00' FROM c",
              ARGS(num(row.n)), ANY_CHANGES);
    CHECK_OK(db_write(&cx, store->db, batch));
    CHECK_OK(store_agent_mark(&cx, store, &row));
    CHECK_OK(store_agent_remove(&cx, store, &row));
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM version") == 0);
    store_close(&cx, store);
}
