/* models.c: however a model answers, breaks or lies, the task has a sensible end. */
#include <stdio.h>
#include "flow/play.h"

static const char *const quick = "RETRY_FIRST_MS=1";

/* A sync invoke of a fresh agent with this script. */
static void asked(struct client *anna, const char *directives)
{
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(anna->play, directives, ""));
    gets_status(anna, 200);
    CHECK(!strstr(body_of(anna), "operator-secret-key"));
}

static void answers(struct play *play, const char *directives, const char *result)
{
    struct client *anna = client(play);
    asked(anna, directives);
    has(anna, "status", "'completed'");
    has_text(anna, "result", result);
}

static void ends_as(struct play *play, const char *directives, const char *status, const char *sentence)
{
    struct client *anna = client(play);
    asked(anna, directives);
    has_text(anna, "status", status);
    CHECK(json_type(at(anna, "finished_at")) == JSON_TEXT);
    CHECK(*text_at(anna, "result"));
    contains(anna, "result", sentence);
    looks_at(anna, text_at(anna, "id"));
    has_text(anna, "status", status);
    CHECK(model_count(play, "open") == 0);
}

/* ---- legal ways to write a stream ------------------------------------------------ */

FLOW(a_stream_may_have_crlf_line_ends) { answers(play, "[[crlf]][[say one two]]", "one two"); }
FLOW(a_stream_may_have_no_space_after_the_colon) { answers(play, "[[no_space]][[say one two]]", "one two"); }
FLOW(a_stream_may_have_comments) { answers(play, "[[comments]][[say one two]]", "one two"); }
FLOW(an_events_data_may_be_many_lines) { answers(play, "[[multiline]][[say one two]]", "one two"); }
FLOW(a_stream_may_begin_with_a_byte_order_mark) { answers(play, "[[bom]][[say one two]]", "one two"); }
FLOW(a_stream_may_name_its_events) { answers(play, "[[event message]][[say one two]]", "one two"); }
FLOW(a_stream_may_come_byte_by_byte) { answers(play, "[[split 1]][[say Grüße 世界 🚀]]", "Grüße 世界 🚀"); }
FLOW(a_stream_may_end_with_the_connection) { answers(play, "[[until_close]][[say one two]]", "one two"); }
FLOW(a_stream_may_end_without_done) { answers(play, "[[no_done]][[say one two]]", "one two"); }
FLOW(a_stream_may_begin_without_a_role) { answers(play, "[[no_role]][[say one two]]", "one two"); }
FLOW(a_stream_may_have_a_chunk_without_choices) { answers(play, "[[empty_choices]][[say one two]]", "one two"); }
FLOW(text_may_be_escaped) { answers(play, "[[escape]][[say Grüße 世界 🚀]]", "Grüße 世界 🚀"); }
FLOW(usage_may_be_null) { answers(play, "[[usage null]][[say one two]]", "one two"); }
FLOW(usage_may_come_with_the_last_delta) { answers(play, "[[usage inline]][[say one two]]", "one two"); }

FLOW(without_usage_tokens_are_counted_all_the_same_or_zero)
{
    struct client *anna = client(play);
    asked(anna, "[[usage none]][[say one two]]");
    has(anna, "status", "'completed'");
    CHECK(json_type(at(anna, "tokens.total_tokens")) == JSON_INT);
    CHECK(json_int(at(anna, "tokens.total_tokens"))
          == json_int(at(anna, "tokens.prompt_tokens")) + json_int(at(anna, "tokens.completion_tokens")));
}

/* ---- tool calls ----------------------------------------------------------------------- */

static void calls_helper(struct play *play, const char *directives, const char *result)
{
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "'name':'Manager'");
    sends(anna, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke", manager), says(play, directives, ""));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    contains(anna, "result", result);
}

/* After the last part the model says what the tools said. */
FLOW(a_call_without_an_id_works) { calls_helper(play, "[[no_call_id]][[call Helper {\"query\":\"[[say deep]]\"}]]", "deep"); }
FLOW(a_call_without_an_index_works) { calls_helper(play, "[[no_index]][[call Helper {\"query\":\"[[say deep]]\"}]]", "deep"); }
FLOW(arguments_may_be_an_object) { calls_helper(play, "[[object_args]][[call Helper {\"query\":\"[[say deep]]\"}]]", "deep"); }
FLOW(pieces_of_parallel_calls_may_be_mixed)
{
    calls_helper(play, "[[interleave]][[call Helper {\"query\":\"[[say deep]]\"}]][[call Helper {\"query\":\"[[say wide]]\"}]]", "wide");
}

FLOW(a_call_with_broken_json_is_told_to_the_model)
{
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "'name':'Manager'");
    sends(anna, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager), says(play, "[[badjson Helper]][[then]][[say I see.]]", ""));
    struct event *result = gets_event(anna, "tool_call_result");
    CHECK(!strcmp(json_z(json_get(result->data, "is_error")), "true"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "I see."));
    CHECK(model_count(play, "requests") == 2);
}

FLOW(a_call_of_an_unknown_tool_is_told_to_the_model)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[unknown_tool]][[then]][[say I see.]]", ""));
    struct event *result = gets_event(anna, "tool_call_result");
    CHECK(!strcmp(json_z(json_get(result->data, "is_error")), "true"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "I see."));
}

FLOW(an_agent_that_never_stops_calling_tools_is_failed)
{
    serve_own(play, "STEPS_MAX=3");
    struct client *anna = client(play);
    asked(anna, "[[unknown_tool]][[loop]]");
    has(anna, "status", "'failed'");
    CHECK(model_count(play, "requests") == 3);
}

/* ---- answers that cannot be accepted ------------------------------------------------------ */

FLOW(an_empty_answer_is_failed) { ends_as(play, "[[empty]]", "failed", ""); }
FLOW(a_refusal_is_failed_with_its_words) { ends_as(play, "[[refuse I will not do that.]]", "failed", "I will not do that."); }
FLOW(a_filtered_answer_is_failed) { ends_as(play, "[[say half]][[finish content_filter]]", "failed", ""); }

FLOW(an_answer_cut_by_length_has_an_end)
{
    struct client *anna = client(play);
    asked(anna, "[[say half an ans]][[finish length]]");
    CHECK(!strcmp(text_at(anna, "status"), "failed") || !strcmp(text_at(anna, "status"), "completed"));
    CHECK(*text_at(anna, "result"));
}

/* ---- no answer could be had ------------------------------------------------------------------ */

FLOW(a_stream_cut_in_the_middle_is_an_error) { ends_as(play, "[[say half]][[cut]]", "error", "OpenAI"); }
FLOW(a_stream_reset_in_the_middle_is_an_error) { ends_as(play, "[[say half]][[reset]]", "error", "OpenAI"); }
FLOW(a_web_page_is_an_error) { ends_as(play, "[[html]]", "error", "OpenAI"); }
FLOW(a_redirect_is_not_followed) { ends_as(play, f("[[redirect http://%s/v1/chat/completions]]", model_address()), "error", "302"); }
FLOW(an_error_inside_the_stream_says_its_words) { ends_as(play, "[[say half]][[error The model broke down]]", "error", "The model broke down"); }
FLOW(a_401_is_an_error_at_once)
{
    ends_as(play, "[[status 401 message Bad key]]", "error", "401");
    CHECK(model_count(play, "requests") == 1);
}
FLOW(a_400_says_what_the_provider_said)
{
    ends_as(play, "[[status 400 message No such model]]", "error", "No such model");
    CHECK(model_count(play, "requests") == 1);
}

FLOW(a_provider_that_stays_broken_is_an_error_after_bounded_retries)
{
    serve_own(play, f("%s MODEL_TRIES=3", quick));
    ends_as(play, "[[status 500 message Down]]", "error", "500");
    CHECK(model_count(play, "requests") == 3);
}

static void recovers(struct play *play, const char *trouble)
{
    serve_own(play, quick);
    struct client *anna = client(play);
    asked(anna, f("%s[[say recovered]]", trouble));
    has(anna, "status", "'completed'");
    has(anna, "result", "'recovered'");
    has(anna, "execution_attempts", "1");
    CHECK(model_count(play, "requests") == 3);
}

FLOW(a_500_is_tried_again) { recovers(play, "[[status 500 times 2]]"); }
FLOW(a_429_is_tried_again) { recovers(play, "[[status 429 times 2]]"); }
FLOW(a_408_is_tried_again) { recovers(play, "[[status 408 times 2]]"); }
FLOW(a_409_is_tried_again) { recovers(play, "[[status 409 times 2]]"); }
FLOW(a_connection_cut_before_the_first_token_is_tried_again) { recovers(play, "[[cut times 2]]"); }
FLOW(a_connection_reset_before_the_first_token_is_tried_again) { recovers(play, "[[reset times 2]]"); }

FLOW(retry_after_is_honoured)
{
    serve_own(play, quick);
    struct client *anna = client(play);
    asked(anna, "[[status 429 retry-after 1 times 1]][[say later]]");
    has(anna, "result", "'later'");
    /* The model's clock, not ours: its two requests lie a second apart. */
    CHECK(json_number(at(anna, "duration")) >= 1.0);
}

/* After the first token nothing is said twice. */
FLOW(a_cut_after_the_first_token_is_not_tried_again)
{
    serve_own(play, quick);
    ends_as(play, "[[say half]][[cut times 1]][[say whole]]", "error", "OpenAI");
    CHECK(model_count(play, "requests") == 1);
}

FLOW(a_model_that_says_nothing_runs_into_its_limit)
{
    serve_own(play, "FIRST_TOKEN_MS=50 MODEL_TRIES=1");
    ends_as(play, "[[hang]]", "error", "OpenAI");
}

FLOW(a_model_that_falls_silent_runs_into_its_limit)
{
    serve_own(play, "SILENCE_MS=50 MODEL_TRIES=1");
    ends_as(play, "[[say half]][[stall]]", "error", "OpenAI");
}

FLOW(a_model_that_never_ends_runs_into_its_limit)
{
    serve_own(play, "MODEL_TURN_MS=100 MODEL_TRIES=1");
    ends_as(play, "[[long 1]]", "error", "OpenAI");
}

FLOW(a_models_error_comes_over_the_stream_as_a_task_that_finished)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say half]][[cut]]", ""));
    struct event *last = gets_event(anna, "task_finished");
    CHECK(!strcmp(json_z(json_get(last->data, "status")), "\"error\""));
    gets_end(anna);
    /* An error has no answer in the thread. */
    sends(anna, f("GET /v1/tasks/%s/thread", task_of(anna)), "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 1);
}

/* ---- whose key goes where ------------------------------------------------------------------------ */

FLOW(the_operators_key_goes_to_the_operators_address)
{
    struct client *anna = client(play);
    asked(anna, "[[say ok]]");
    CHECK(strstr(json_z(json_get(model_heard(play), "headers")), "Bearer operator-secret-key"));
}

FLOW(the_operators_key_goes_to_no_other_address)
{
    serve_own(play, f("ALLOW=localhost:%s", strchr(model_address(), ':') + 1));
    struct client *anna = client(play);
    const char *agent = agent_of(anna, f("'llm_api_base':'http://localhost:%s/v1'", strchr(model_address(), ':') + 1));
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    CHECK(!strstr(json_z(model_heard(play)), "operator-secret-key"));
    CHECK(!strstr(json_z(model_heard(play)), "uthorization"));
}

FLOW(an_agents_own_key_and_headers_go_to_its_own_address)
{
    serve_own(play, f("ALLOW=localhost:%s", strchr(model_address(), ':') + 1));
    struct client *anna = client(play);
    const char *agent = agent_of(anna, f("'llm_api_base':'http://localhost:%s/v1','llm_extra_headers':{'x-team':'blue'},"
                                         "'llm_credentials':{'name':'k','value':'tenant-key'}", strchr(model_address(), ':') + 1));
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    const char *headers = json_z(json_get(model_heard(play), "headers"));
    CHECK(strstr(headers, "Bearer tenant-key") && strstr(headers, "blue"));
    CHECK(!strstr(body_of(anna), "tenant-key"));
}

FLOW(the_operators_key_goes_to_no_other_provider)
{
    const char *port = strchr(model_address(), ':') + 1;
    serve_own(play, f("ALLOW=localhost:%s", port));
    struct client *anna = client(play);
    const char *agent = agent_of(anna, f("'model_provider':'open_router','model_name':'m','llm_api_base':'http://localhost:%s/v1'", port));
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    CHECK(!strstr(json_z(model_heard(play)), "operator-secret-key"));
}

/* Another provider for one call: what belongs to the agent's own provider does not travel there. */
FLOW(a_call_that_names_another_provider_brings_nothing_of_the_agents)
{
    const char *port = strchr(model_address(), ':') + 1;
    serve_own(play, f("ALLOW=localhost:%s", port));
    struct client *anna = client(play);
    const char *agent = agent_of(anna, f("'model_provider':'open_router','model_name':'m','llm_api_base':'http://localhost:%s/v1',"
                                         "'llm_credentials':{'name':'k','value':'tenant-key'},'llm_extra_headers':{'x-team':'blue'}", port));
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'llm_model_provider':'openai'"));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    has(anna, "model_provider", "'openai'");
    CHECK(strcmp(text_at(anna, "model_name"), "m") != 0); /* nor does its model: the provider's default */
    const char *heard = json_z(json_get(model_heard(play), "headers"));
    CHECK(strstr(heard, model_address()) && !strstr(heard, "tenant-key") && !strstr(heard, "blue"));
    CHECK(strstr(heard, "operator-secret-key")); /* it went to the operator's address */
}

FLOW(private_addresses_are_refused_to_tenants)
{
    struct client *anna = client(play);
    const char *port = strchr(model_address(), ':') + 1;
    const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1",
                                 "127.1", "[64:ff9b::7f00:1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        sends(anna, "POST /v1/agents", q("{'name':'A','llm_api_base':'http://%s:%s/v1'}", hosts[i], port));
        int status = status_of(anna);
        if (status == 422) continue; /* refused when it is saved: as good */
        gets_status(anna, 201);
        const char *agent = text_at(anna, "id");
        sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
        gets_status(anna, 200);
        has(anna, "status", "'error'");
    }
    CHECK(model_count(play, "requests") == 0);
}

FLOW(metadata_and_private_networks_are_refused_to_tenants)
{
    serve_own(play, f("%s MODEL_TRIES=1", quick));
    struct client *anna = client(play);
    static const char *const hosts[] = {"169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        sends(anna, "POST /v1/agents", q("{'name':'A','llm_api_base':'http://%s/v1'}", hosts[i]));
        if (status_of(anna) == 422) continue;
        gets_status(anna, 201);
        const char *agent = text_at(anna, "id");
        sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
        gets_status(anna, 200);
        has(anna, "status", "'error'");
    }
}

FLOW(a_known_provider_without_a_translator_is_422_at_save)
{
    struct client *anna = client(play);
    sends(anna, "POST /v1/agents", q("{'name':'A','model_provider':'amazon_bedrock'}"));
    has_fault(anna, "['body','model_provider']", "value_error");
    sends(anna, "POST /v1/agents", q("{'name':'A','model_provider':'bedrock'}"));
    has_fault(anna, "['body','model_provider']", "value_error");
    sends(anna, "POST /v1/agents", q("{'name':'A','model_provider':'hal9000'}"));
    has_fault(anna, "['body','model_provider']", "enum");
    sends(anna, "POST /v1/agents", q("{'name':'A','model_provider':'open_router','model_name':'x'}"));
    gets_status(anna, 201);
    has(anna, "model_provider", "'open_router'");
}

FLOW(effort_and_temperature_reach_the_models_that_know_them)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'model_name':'gpt-4.1','llm_settings':[{'type':'before','temperature':0.25}]");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    struct json body = json_get(model_heard(play), "body");
    CHECK(json_bool(json_get(body, "stream")) && json_bool(at_json(body, "stream_options.include_usage")));
    CHECK(!strcmp(json_z(json_get(body, "temperature")), "0.25"));
    CHECK(!json_is_there(json_get(body, "reasoning_effort"))); /* this one would answer 400 */
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'llm_model_name':'o4-mini','llm_reasoning_effort':'high'"));
    gets_status(anna, 200);
    body = json_get(model_heard(play), "body");
    CHECK(!strcmp(json_z(json_get(body, "reasoning_effort")), "\"high\""));
}

FLOW(a_list_of_tool_calls_has_an_end)
{
    serve_own(play, "CALLS_MAX=2");
    ends_as(play, "[[call a {}]][[call b {}]][[call c {}]]", "error", "OpenAI");
}

FLOW(an_answer_has_a_longest_length)
{
    serve_own(play, "ANSWER_BYTES_MAX=2000");
    struct client *anna = client(play);
    asked(anna, "[[flood 100000]]");
    has(anna, "status", "'failed'");
    CHECK(*text_at(anna, "result"));
    CHECK(model_count(play, "open") == 0);
}

FLOW(a_long_thread_is_shown_from_its_newest_turns)
{
    serve_own(play, "HISTORY_BYTES_MAX=3000");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    char filler[900];
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = 0;
    for (int i = 0; i < 6; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, f("[[say number%d]] %s", i, filler), "'id':'growing'"));
        gets_status(anna, 200);
        has(anna, "status", "'completed'");
    }
    const char *heard = json_z(model_heard(play));
    CHECK(strstr(heard, "number5") && strstr(heard, "number4") && !strstr(heard, "number0"));
    /* One message that is too long by itself fails alone. */
    char longer[4000];
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, f("[[say never]] %s", longer), "'id':'growing'"));
    gets_status(anna, 200);
    has(anna, "status", "'failed'");
    CHECK(model_count(play, "requests") == 6);
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say fine]]", "'id':'growing'"));
    gets_status(anna, 200);
    has(anna, "result", "'fine'");
    sends(anna, "GET /v1/tasks/growing/thread", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") >= 15);
}
