#include "model/task.h"
#include "base/assets.h"
#include "model/agent.h"
#include "test.h"

/* Final means final: from each final status every task_move is refused and changes nothing. */
TEST(no_move_leaves_a_final_status) /* task_move; not a new turn, not a status from outside */
{
    for (int from = 0; from < TASK_STATUS_COUNT; from++) {
        if (!task_is_final(from)) continue;
        for (int to = 0; to < TASK_STATUS_COUNT; to++) {
            struct task task = {.status = from, .finished_at = 7};
            struct err e = task_move(&task, to, 99);
            CHECK(e.code == ERR_CONFLICT);
            CHECK(task.status == from && task.finished_at == 7);
        }
    }
}

TEST(the_statuses_that_are_final_are_the_contracts)
{
    for (int s = 0; s < TASK_STATUS_COUNT; s++) {
        bool is_final = s == TASK_COMPLETED || s == TASK_FAILED || s == TASK_ERROR || s == TASK_STOPPED;
        CHECK(task_is_final(s) == is_final);
    }
}

TEST(an_ended_turn_has_its_times)
{
    struct task task = {.status = TASK_EXECUTING, .started_at = 1000000};
    CHECK_OK(task_move(&task, TASK_COMPLETED, 3500000));
    CHECK(task.finished_at == 3500000 && task.updated_at == 3500000 && task.duration > 2.4 && task.duration < 2.6);
}

static struct faults faults;
static struct task task;
static struct given given;

/* Read a body as an invoke does; how many faults. */
static int faults_of(const char *body)
{
    struct json v;
    struct json_fault why;
    struct arena *a = test_arena();
    CHECK_OK(json_parse(a, str(body), &v, &why));
    faults_free(&faults); /* of the body before */
    faults = faults_new(a);
    given = (struct given){0};
    shape_defaults(a, &task_shape, &task);
    shape_read(a, &task_shape, SHAPE_CREATE, v, LOC(0, "body"), &task, &given, &faults);
    task_check(&task, &given, v, &faults);
    return faults.count;
}

static bool faults_say(const char *piece)
{
    struct str all = faults_body(&faults);
    return strstr(str_z(test_arena(), all), piece) != NULL;
}

TEST(an_invoke_needs_text_or_files)
{
    CHECK(faults_of("{\"input\":{\"text\":\"hi\"}}") == 0);
    CHECK(faults_of("{\"input\":{\"files\":[\"http://x/y\"]}}") == 0);
    CHECK(faults_of("{\"input\":{\"images\":[\"http://x/y\"]}}") == 0 && str_eq(task.input.files, S("[\"http://x/y\"]")));
    CHECK(faults_of("{\"input\":{\"text\":\"\"}}") == 1 && faults_say("Either text or files must be provided"));
    CHECK(faults_of("{\"input\":{}}") == 1 && faults_say("\"loc\":[\"body\",\"input\"]"));
    CHECK(faults_of("{}") == 1 && faults_say("\"type\":\"missing\",\"loc\":[\"body\",\"input\"]"));
    CHECK(faults_of("{\"input\":\"hi\"}") == 1 && faults_say("model_attributes_type"));
    faults_free(&faults);
}

TEST(every_wrong_field_of_an_invoke_is_named)
{
    CHECK(faults_of("{\"input\":{\"text\":1,\"files\":[\"a\",2],\"user\":{\"id\":3}},\"output_format\":\"xml\",\"events_streaming\":1,"
                    "\"mcp_servers\":[1],\"title\":5,\"id\":\"\"}") == 9);
    CHECK(faults_say("[\"body\",\"input\",\"text\"]") && faults_say("[\"body\",\"input\",\"files\",1]"));
    CHECK(faults_say("[\"body\",\"input\",\"user\",\"email\"]") && faults_say("[\"body\",\"input\",\"user\",\"id\"]"));
    CHECK(faults_say("[\"body\",\"output_format\"]") && faults_say("[\"body\",\"events_streaming\"]"));
    CHECK(faults_say("[\"body\",\"mcp_servers\",0]") && faults_say("[\"body\",\"title\"]") && faults_say("[\"body\",\"id\"]"));
    faults_free(&faults);
}

TEST(an_id_that_a_caller_may_not_choose_is_refused)
{
    CHECK(task_id_fault(S("a")) == NULL && task_id_fault(S("conversation/123 \xc3\xa9")) == NULL);
    CHECK(task_id_fault(S("")) && task_id_fault(S(".")) && task_id_fault(S("..")) && task_id_fault(S("a\nb")) && task_id_fault(S("\x7f")));
    char long_id[257];
    memset(long_id, 'x', 256);
    long_id[256] = 0;
    CHECK(task_id_fault(str(long_id)) && !task_id_fault(str_n(long_id, 255)));
    CHECK(faults_of("{\"input\":{\"text\":\"x\"},\"id\":\"a\",\"parent_execution_id\":\"a\"}") == 1);
    CHECK(faults_of("{\"input\":{\"text\":\"x\"},\"id\":\"root\",\"parent_execution_id\":\"a\"}") == 1);
    CHECK(faults_of("{\"input\":{\"text\":\"x\"},\"id\":\"root\"}") == 0);
    faults_free(&faults);
}

TEST(the_model_of_one_call_has_several_names)
{
    CHECK(faults_of("{\"input\":{\"text\":\"x\"},\"provider\":\"openai\",\"model\":\"m\",\"reasoning_effort\":\"high\"}") == 0);
    CHECK(str_is(task.llm_model_provider, "openai") && str_is(task.llm_model_name, "m") && task.llm_reasoning_effort == EFFORT_HIGH);
    CHECK(faults_of("{\"input\":{\"text\":\"x\"},\"model_name\":\"a\",\"llm_model_name\":\"a\"}") == 0 && str_is(task.llm_model_name, "a"));
    CHECK(faults_of("{\"input\":{\"text\":\"x\"},\"model_name\":\"a\",\"llm_model_name\":\"b\"}") > 0);
    CHECK(faults_of("{\"input\":{\"text\":\"x\"}}") == 0 && task.llm_reasoning_effort == -1 && task.output_format == -1);
    faults_free(&faults);
}

TEST(what_a_turn_asked_for_is_kept_and_read_again)
{
    struct arena *a = test_arena();
    struct buf stored = {0};
    CHECK(faults_of("{\"input\":{\"text\":\"hi\",\"files\":[\"u\"],\"user\":{\"email\":\"e\",\"id\":\"7\",\"first_name\":\"A\",\"last_name\":\"B\"}},"
                    "\"additional_context\":\"c\",\"mcp_servers\":[{\"url\":\"x\"}],\"user_tokens\":{\"k\":\"v\"},\"title\":\"t\"}") == 0);
    task.output_format = FORMAT_JSON;
    task.llm_reasoning_effort = EFFORT_LOW;
    shape_store(&stored, &task_shape, &task);
    struct task back;
    shape_defaults(a, &task_shape, &back);
    CHECK_OK(shape_load(a, &task_shape, buf_str(&stored), &back));
    CHECK(str_eq(back.input.text, S("hi")) && str_eq(back.input.files, S("[\"u\"]")) && back.input.user.is_there);
    CHECK(str_eq(back.input.user.id, S("7")) && str_eq(back.additional_context, S("c")) && back.output_format == FORMAT_JSON);
    CHECK(str_eq(back.mcp_servers, S("[{\"url\":\"x\"}]")) && str_eq(back.user_tokens, S("{\"k\":\"v\"}")));
    CHECK(back.title.at == NULL && back.llm_reasoning_effort == EFFORT_LOW);
    buf_free(&stored);
    faults_free(&faults);
}

/* The contract's own list of keys, against what is written. */
TEST(a_task_has_exactly_the_contracts_keys)
{
    struct arena *a = test_arena();
    struct json contract = {0}, shown;
    struct buf out = {0};
    for (int i = 0; i < assets_count; i++)
        if (!strcmp(assets[i].path, "contract/openapi.json"))
            CHECK_OK(json_parse_own(a, str_n((const char *)assets[i].bytes, assets[i].bytes_count), &contract));
    struct json keys = json_get(json_get(json_get(json_get(contract, "components"), "schemas"), "Task"), "properties");
    CHECK(json_count(keys) > 50);
    CHECK(faults_of("{\"input\":{\"text\":\"hi\"}}") == 0);
    task.output_format = task.llm_reasoning_effort = 0;
    shape_write(&out, &task_shape, &task);
    CHECK_OK(json_parse_own(a, buf_str(&out), &shown));
    CHECK(json_count(shown) == json_count(keys));
    for (struct json_each e = json_each(keys); json_next(&e);) CHECK(json_is_there(json_get(shown, str_z(a, e.key))));
    buf_free(&out);
    faults_free(&faults);
}

/* Every text: the struct is wiped behind the copy. */
TEST(a_task_that_is_kept_borrows_nothing)
{
    struct arena lent = arena_new(), kept = arena_new();
    struct task t;
    shape_defaults(&lent, &task_shape, &t);
    lent.wipe = true;
    t.id = str_copy(&lent, S("an id"));
    t.agent_id = str_copy(&lent, S("an agent"));
    t.input.text = str_copy(&lent, S("hello"));
    t.input.files = str_copy(&lent, S("[\"f\"]"));
    t.input.user = (struct task_user){.is_there = true, .id = str_copy(&lent, S("u")), .email = str_copy(&lent, S("e"))};
    t.input.attachments = str_copy(&lent, S("[1]"));
    t.model_name = str_copy(&lent, S("m"));
    t.draft = str_copy(&lent, S("{}"));
    task_keep(&kept, &t);
    arena_free(&lent);
    CHECK(str_is(t.id, "an id") && str_is(t.agent_id, "an agent") && str_is(t.input.text, "hello") && str_is(t.model_name, "m"));
    CHECK(str_is(t.input.files, "[\"f\"]") && str_is(t.input.user.id, "u") && str_is(t.input.user.email, "e"));
    CHECK(str_is(t.input.attachments, "[1]") && str_is(t.draft, "{}") && !t.title.at && !t.input.principal.at);
    arena_free(&kept);
}
