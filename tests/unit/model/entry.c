#include "model/entry.h"
#include "test.h"

TEST(a_model_turn_reads_as_it_was_written)
{
    struct arena *a = test_arena();
    struct said_call calls[] = {
        {S("r-1"), S("call_1"), S("agent_ann"), S("{\"query\":\"a \\\"b\\\"\"}"), S("op"), false},
        {S("r-2"), S(""), S("nobody"), S("{broken"), S(""), true},
    };
    struct said said = {.step = 9, .text = S("Hi \"you\"\n\xc3\xa9"), .thought = S("hm"), .calls = calls, .calls_count = 2,
                        .prompt_tokens = 31, .completion_tokens = 2, .is_partial = true},
                back;
    CHECK_OK(said_read(a, said_body(a, &said), &back));
    CHECK(back.step == 9 && str_eq(back.text, said.text) && str_eq(back.thought, said.thought));
    CHECK(back.prompt_tokens == 31 && back.completion_tokens == 2 && back.is_partial && back.calls_count == 2);
    CHECK(str_eq(back.calls[0].arguments, calls[0].arguments) && str_eq(back.calls[0].operation_id, S("op")));
    CHECK(str_eq(back.calls[1].arguments, calls[1].arguments) && back.calls[1].is_broken && !back.calls[0].is_broken);
}

TEST(a_text_with_a_zero_byte_is_kept_whole)
{
    struct arena *a = test_arena();
    struct said said = {.step = 1, .text = str_n("a\0b", 3)}, back;
    CHECK_OK(said_read(a, said_body(a, &said), &back));
    CHECK(str_eq(back.text, said.text) && back.calls_count == 0 && !back.is_partial);
}

TEST(triggers_and_outcomes_read_as_they_were_written)
{
    struct arena *a = test_arena();
    struct trigger t = {5, 1, 77, S("id \"x\""), S("agent")}, t2;
    struct tool_outcome o = {5, 1, S("42\n"), true}, o2;
    CHECK_OK(trigger_read(a, trigger_body(a, &t), &t2));
    CHECK(t2.said == 5 && t2.call == 1 && t2.task == 77 && str_eq(t2.task_id, t.task_id) && str_eq(t2.agent_id, t.agent_id));
    CHECK_OK(outcome_read(a, outcome_body(a, &o), &o2));
    CHECK(o2.said == 5 && o2.call == 1 && str_eq(o2.text, o.text) && o2.is_error);
}

TEST(attempts_are_one_unless_an_entry_says_more)
{
    struct arena *a = test_arena();
    CHECK(updated_attempts(a, S("")) == 1);
    CHECK(updated_attempts(a, updated_body(a, 4)) == 4);
    CHECK(updated_attempts(a, S("{}")) == 1);
}
