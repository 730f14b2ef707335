#include "api/routes.h"
#include "test.h"

/* A table of its own: templates of the contract beside ones that clash. */
static const struct route routes[] = {
    {.method = "GET", .path_template = "/health"},
    {.method = "HEAD", .path_template = "/health"},
    {.method = "GET", .path_template = "/v1/agents"},
    {.method = "POST", .path_template = "/v1/agents"},
    {.method = "GET", .path_template = "/v1/agents/{agent_id}"},
    {.method = "PATCH", .path_template = "/v1/agents/{agent_id}"},
    {.method = "DELETE", .path_template = "/v1/agents/{agent_id}"},
    {.method = "GET", .path_template = "/v1/agents/list"},
    {.method = "POST", .path_template = "/v1/agents/{agent_id}/invoke"},
    {.method = "DELETE", .path_template = "/v1/agents/{agent_id}/tools/{tool_id}"},
    {.method = "GET", .path_template = "/executions/{task_id}/status"},
    {.method = "GET", .path_template = "/executions/history/{agent_id}"},
    {.method = "POST", .path_template = "/clash/{a}/x"},
    {.method = "GET", .path_template = "/clash/list/{b}"},
};
static const struct route_table table = {routes, sizeof routes / sizeof *routes};

static struct match to(const char *method, const char *target)
{
    return routes_match(&table, test_arena(), str(method), str(target));
}
static bool leads_to(const char *method, const char *target, const char *path_template)
{
    struct match match = to(method, target);
    return match.outcome == MATCH_ROUTE && !strcmp(match.route->method, method) &&
           !strcmp(match.route->path_template, path_template);
}
static bool names(const char *target, const char *agent_id)
{
    struct match match = to("GET", target);
    return match.outcome == MATCH_ROUTE && !strcmp(match.route->path_template, "/v1/agents/{agent_id}") &&
           str_is(match_parameter(&match, "agent_id"), agent_id);
}
static bool leads_nowhere(const char *method, const char *target)
{
    return to(method, target).outcome == MATCH_NOTHING;
}
static bool allows(const char *method, const char *target, const char *allow)
{
    struct match match = to(method, target);
    return match.outcome == MATCH_OTHER_METHOD && !strcmp(match.allow, allow);
}

TEST(a_literal_beats_a_parameter)
{
    CHECK(leads_to("GET", "/v1/agents/list", "/v1/agents/list"));
    CHECK(leads_to("GET", "/v1/agents/lists", "/v1/agents/{agent_id}"));
}

TEST(whole_templates_are_compared_not_segments_greedily)
{
    CHECK(leads_to("GET", "/executions/history/status", "/executions/history/{agent_id}"));
    /* a greedy walk into the literal `list` would find no way on */
    CHECK(leads_to("GET", "/executions/other/status", "/executions/{task_id}/status"));
    CHECK(leads_to("POST", "/v1/agents/list/invoke", "/v1/agents/{agent_id}/invoke"));
}

TEST(the_method_chooses_among_the_templates_that_fit)
{
    CHECK(leads_to("PATCH", "/v1/agents/list", "/v1/agents/{agent_id}"));
    CHECK(leads_to("POST", "/clash/list/x", "/clash/{a}/x"));
    CHECK(leads_to("GET", "/clash/list/x", "/clash/list/{b}"));
    CHECK(leads_to("HEAD", "/health", "/health"));
}

TEST(allow_joins_the_methods_of_every_template_that_fits)
{
    CHECK(allows("PUT", "/v1/agents/x", "GET, PATCH, DELETE"));
    CHECK(allows("POST", "/v1/agents/list", "GET, PATCH, DELETE"));
    CHECK(allows("DELETE", "/clash/list/x", "POST, GET"));
    CHECK(allows("HEAD", "/v1/agents", "GET, POST"));
    CHECK(allows("get", "/health", "GET, HEAD"));
    CHECK(allows("OPTIONS", "/health", "GET, HEAD"));
}

TEST(connect_and_the_asterisk_are_answered_for_the_whole_server)
{
    CHECK(allows("CONNECT", "example.com:443", "GET, HEAD, POST, PATCH, DELETE"));
    CHECK(allows("OPTIONS", "*", "GET, HEAD, POST, PATCH, DELETE"));
}

TEST(a_path_that_fits_no_template_leads_nowhere)
{
    CHECK(leads_nowhere("GET", "/"));
    CHECK(leads_nowhere("GET", "/v1"));
    CHECK(leads_nowhere("GET", "/v1/agents/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"));
    CHECK(leads_nowhere("GET", "v1/agents"));
    CHECK(leads_nowhere("GET", ""));
    CHECK(leads_nowhere("GET", "/V1/agents"));
}

TEST(empty_segments_are_dropped)
{
    CHECK(leads_to("GET", "//v1///agents/", "/v1/agents"));
    CHECK(leads_to("GET", "/health//", "/health"));
}

TEST(dots_are_data)
{
    CHECK(leads_nowhere("GET", "/v1/agents/x/../y/z/q"));
    CHECK(names("/v1/agents/..", ".."));
    CHECK(names("/v1/agents/.", "."));
    CHECK(names("/v1/agents/%2E%2e", ".."));
}

TEST(a_path_is_split_before_it_is_decoded)
{
    CHECK(names("/v1/agents/a%2Fb", "a/b"));
    CHECK(names("/v1/agents/a%3Fb%20c+d", "a?b c+d"));
    CHECK(names("/%761/%61gents/x", "x"));
    CHECK(names("/v1/agents/%252F", "%2F"));
}

TEST(a_segment_that_is_no_text_names_nothing)
{
    CHECK(leads_nowhere("GET", "/v1/agents/%"));
    CHECK(leads_nowhere("GET", "/v1/agents/%4"));
    CHECK(leads_nowhere("GET", "/v1/agents/%zz"));
    CHECK(leads_nowhere("GET", "/v1/agents/%FF"));
    CHECK(leads_nowhere("GET", "/v1/agents/%ED%A0%80"));
    CHECK(leads_nowhere("GET", "/v1/agents/\xC3"));
    CHECK(names("/v1/agents/%C3%A9", "\xC3\xA9"));
}

TEST(a_zero_byte_in_a_segment_is_kept)
{
    struct match match = to("GET", "/v1/agents/a%00b");
    CHECK(match.outcome == MATCH_ROUTE);
    CHECK(str_eq(match_parameter(&match, "agent_id"), S("a\0b")));
}

TEST(an_absolute_target_loses_scheme_and_host)
{
    CHECK(leads_to("GET", "https://inbound.example.com/v1/agents/list", "/v1/agents/list"));
    CHECK(leads_to("GET", "HTTP://h:80/health?x", "/health"));
    CHECK(leads_nowhere("GET", "https://inbound.example.com"));
    CHECK(leads_nowhere("GET", "ftp://h/health"));
    CHECK(str_is(to("GET", "http://h?a=/health").query, "a=/health"));
}

TEST(parameters_are_found_by_the_templates_names)
{
    struct match match = to("DELETE", "/v1/agents/one/tools/two?deploy=false");
    CHECK(match.path_parameters_count == 2);
    CHECK(str_is(match_parameter(&match, "agent_id"), "one"));
    CHECK(str_is(match_parameter(&match, "tool_id"), "two"));
    CHECK(str_is(match.query, "deploy=false"));
    CHECK(to("GET", "/health").query.count == 0);
}

static bool says(const char *query, const char *name, const char *expected)
{
    struct str value;
    return query_value(test_arena(), str(query), name, &value) && str_is(value, expected);
}

TEST(the_last_of_a_repeated_query_parameter_wins)
{
    CHECK(says("page=1&x=y&page=2", "page", "2"));
    CHECK(says("page=1&page", "page", ""));
    CHECK(says("status=", "status", ""));
    struct str value;
    CHECK(!query_value(test_arena(), S("pages=1&&=2"), "page", &value));
    CHECK(!query_value(test_arena(), S(""), "page", &value));
    CHECK(!query_value(test_arena(), S("&&"), "", &value));
}

TEST(a_query_value_is_always_a_text)
{
    CHECK(says("a=x+y%20z", "a", "x y z"));
    CHECK(says("%61=1", "a", "1"));
    CHECK(says("a=b=c", "a", "b=c"));
    CHECK(says("a=100%&b", "a", "100%"));
    CHECK(says("a=%4", "a", "%4"));
    CHECK(says("a=%C3%A9", "a", "\xC3\xA9"));
    CHECK(says("a=x%FFy%C3", "a", "x\xEF\xBF\xBDy\xEF\xBF\xBD"));
}
