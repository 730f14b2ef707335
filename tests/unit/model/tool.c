#include "model/tool.h"

#include "test.h"

static int ids_made;
static struct str new_id(struct arena *arena)
{
    return strf(arena, "new-%d", ++ids_made);
}

static struct attachments applied(const char *graph, const struct attachments *old)
{
    return graph_apply(test_arena(), str(graph), old, new_id);
}

static const struct attachments nothing;
#define AGENT(id_, target) "{\"id\":\"" id_ "\",\"item_id\":\"" target "\",\"type\":\"agent\"}"

TEST(attachments_come_back_as_they_were_stored)
{
    ids_made = 0;
    struct attachments back, list = applied("[{\"item_id\":\"t1\",\"type\":\"agent\",\"targets\":[\"x\"],\"settings\":{\"a\":1},"
                                            "\"is_first\":true},{\"item_id\":\"s\",\"type\":\"source_node\",\"more\":[1,2]}]",
                                            &nothing);
    struct str stored = attachments_store(test_arena(), &list);

    CHECK_OK(attachments_load(test_arena(), stored, &back));
    CHECK(back.count == 2 && str_eq(attachments_store(test_arena(), &back), stored));
    CHECK(str_is(back.items[0].id, "new-1") && str_is(back.items[0].target_id, "t1") && back.items[0].is_first);
    CHECK(attachment_of(&back, S("t1")) == &back.items[0] && !attachment_of(&back, S("t2")) && !attachment_of(&back, S("")));
    CHECK(attachment_named(&back, S("new-1")) == &back.items[0] && !attachment_named(&back, S("")));
}

TEST(an_item_with_the_id_of_an_attachment_keeps_it)
{
    ids_made = 0;
    struct attachments old = applied("[" AGENT("", "t1") "," AGENT("", "t2") "]", &nothing);
    struct attachments now = applied("[" AGENT("new-2", "t2") "," AGENT("what", "t3") "]", &old);

    CHECK(now.count == 2);
    CHECK(str_is(now.items[0].id, "new-2") && str_is(now.items[0].target_id, "t2"));
    CHECK(str_is(now.items[1].id, "new-3") && str_is(now.items[1].target_id, "t3"));
}

TEST(the_same_target_twice_is_one_attachment)
{
    struct attachments now = applied("[{\"item_id\":\"t1\",\"type\":\"agent\",\"is_first\":true}," AGENT("", "t1") "]", &nothing);

    CHECK(now.count == 1 && now.items[0].is_first);
}

TEST(two_items_that_claim_one_attachment_are_two)
{
    ids_made = 0;
    struct attachments old = applied("[" AGENT("", "t1") "]", &nothing);
    struct attachments now = applied("[" AGENT("new-1", "t1") "," AGENT("new-1", "t2") "]", &old);

    CHECK(now.count == 2);
    CHECK(str_is(now.items[0].id, "new-1") && str_is(now.items[1].id, "new-2"));
}

TEST(views_leave_out_a_target_that_was_deleted)
{
    ids_made = 0;
    struct attachments list = applied("[{\"item_id\":\"t1\",\"type\":\"agent\",\"targets\":[\"x\"]}," AGENT("", "t2") ","
                                      "{\"item_id\":\"s\",\"type\":\"source_node\",\"k\":1}]",
                                      &nothing);
    const struct tool_target targets[] = {{true, S("Ann"), S("finds")}, {0}, {0}};

    CHECK(str_is(attachments_tools(test_arena(), &list, targets),
                 "[{\"id\":\"new-1\",\"type\":\"agent\",\"name\":\"Ann\",\"connection_id\":null,\"operation_id\":null,"
                 "\"operation_name\":null,\"custom_function_id\":null,\"mcp_id\":null,\"allowed_tools\":null,"
                 "\"target_id\":\"t1\",\"method\":\"post\",\"path\":\"/agents/t1\",\"description\":\"finds\","
                 "\"parameters\":{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\"},\"files\":{\"type\":"
                 "\"array\",\"items\":{\"type\":\"string\"}}},\"required\":[\"query\"]}}]"));
    CHECK(str_is(attachments_graph(test_arena(), &list, targets),
                 "[{\"id\":\"new-1\",\"item_id\":\"t1\",\"name\":\"Ann\",\"type\":\"agent\",\"sub_type\":null,"
                 "\"targets\":[\"x\"],\"settings\":null,\"llm_settings\":[],\"is_first\":false},"
                 "{\"item_id\":\"s\",\"type\":\"source_node\",\"k\":1}]"));
}

TEST(a_function_is_named_after_the_agent)
{
    struct str taken[3] = {S("agent_a"), S("agent_a_2"), S("agent_b")};

    CHECK(str_is(tool_function_name(test_arena(), S("Web  Researcher (v2)!"), 0, 0), "agent_web_researcher_v2"));
    CHECK(str_is(tool_function_name(test_arena(), S("A"), taken, 3), "agent_a_3"));
    CHECK(str_is(tool_function_name(test_arena(), S("c"), taken, 3), "agent_c"));
    CHECK(str_is(tool_function_name(test_arena(), S("日本"), 0, 0), "agent_x"));
}

/* Also with its number it fits, and a cut does not leave the mark of a gap at its end. */
TEST(a_long_name_is_cut_to_fit)
{
    for (int n = 40; n < 80; n++) {
        struct str name = strf(test_arena(), "%0*d -- b c", n, 0), taken;
        taken = tool_function_name(test_arena(), name, 0, 0);
        CHECK(taken.at[taken.count - 1] != '_' && taken.count <= FUNCTION_NAME_BYTES_MAX);
        CHECK(tool_function_name(test_arena(), name, &taken, 1).count <= FUNCTION_NAME_BYTES_MAX);
    }
}
