/* Deployed versions that the engine keeps in memory: found again, bounded, and gone with their agent. */
#include <stdlib.h>
#include "engine/registry.h"
#include "house.h"

static struct ctx cx;
static struct engine *engine;

static struct agent_row open_house(void)
{
    struct agent agent;
    struct agent_secret secret;
    struct agent_row row;

    cx = plain_cx();
    engine = calloc(1, sizeof *engine);
    CHECK(engine != NULL);
    engine->store = house_open(&cx, test_dir());
    add_org(&cx, engine->store->db, 1);
    agent_begin(test_arena(), &agent, 0);
    shape_defaults(test_arena(), &agent_secret_shape, &secret);
    agent.name = S("Ann");
    agent.model_provider = S("openai");
    CHECK_OK(store_agent_create(&cx, engine->store, 1, &agent, &secret, 0, &row));
    return row;
}

static void close_house(void)
{
    agents_forget_all(engine);
    store_close(&cx, engine->store);
    free(engine);
}

static void deploy(struct agent_row *row, const char *name)
{
    struct agent agent;

    CHECK_OK(store_agent_version(&cx, engine->store, row, VERSION_DRAFT, &agent));
    agent.name = str(name);
    CHECK_OK(store_agent_save(&cx, engine->store, row, &agent, 0, true));
}

static struct known_agent *held(const struct agent_row *row, int64_t number)
{
    struct known_agent *known = NULL;

    CHECK_OK(agents_hold(&cx, engine, row, number, &known));
    return known;
}

TEST(a_version_is_opened_once_for_all_who_hold_it)
{
    struct agent_row row = open_house();
    struct known_agent *first = held(&row, 1), *second = held(&row, 1);

    CHECK(first == second && first->holders == 2 && str_is(first->agent.name, "Ann"));
    deploy(&row, "Anna");
    struct known_agent *newer = held(&row, 2);
    CHECK(newer != first && str_is(newer->agent.name, "Anna") && str_is(first->agent.name, "Ann"));
    agents_drop(first), agents_drop(second), agents_drop(newer);
    CHECK(held(&row, 1) == first);
    agents_drop(first);
    close_house();
}

TEST(a_version_that_is_not_there_is_not_kept)
{
    struct agent_row row = open_house();
    struct known_agent *known;

    CHECK(agents_hold(&cx, engine, &row, 7, &known).code == ERR_NOT_FOUND && !engine->agents.kept[0]);
    close_house();
}

TEST(a_draft_is_read_each_time)
{
    struct agent_row row = open_house();
    struct known_agent *first = held(&row, VERSION_DRAFT), *second = held(&row, VERSION_DRAFT);

    CHECK(first != second && !engine->agents.kept[0] && str_is(second->agent.name, "Ann"));
    agents_drop(first), agents_drop(second);
    close_house();
}

TEST(the_version_asked_for_longest_ago_gives_way_and_lives_while_it_is_held)
{
    struct agent_row row = open_house();
    struct known_agent *first = held(&row, 1);

    for (int i = 0; i < AGENTS_KEPT; i++) {
        deploy(&row, "Anna");
        agents_drop(held(&row, row.version));
    }
    CHECK(!first->is_kept && first->holders == 1 && str_is(first->agent.name, "Ann"));
    struct known_agent *again = held(&row, 1);
    CHECK(again != first);
    agents_drop(first), agents_drop(again);
    close_house();
}

TEST(a_large_version_is_not_kept)
{
    struct agent_row row = open_house();
    char *name = arena_try_alloc(test_arena(), AGENT_BYTES_KEPT + 1);

    CHECK(name != NULL);
    memset(name, 'x', AGENT_BYTES_KEPT);
    deploy(&row, name);
    struct known_agent *known = held(&row, 2);
    CHECK(!known->is_kept && known->agent.name.count == AGENT_BYTES_KEPT);
    agents_drop(known);
    close_house();
}

TEST(an_agent_that_is_forgotten_is_found_no_more)
{
    struct agent_row row = open_house();
    struct known_agent *known = held(&row, 1);

    agents_forget(engine, row.n);
    CHECK(!known->is_kept && str_is(known->agent.name, "Ann")); /* who holds it may end */
    struct known_agent *again = held(&row, 1);
    CHECK(again != known);
    agents_drop(known), agents_drop(again);
    close_house();
}
