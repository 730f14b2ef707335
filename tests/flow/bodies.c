/* bodies.c: every property of every request body, as the contract lists them, with every kind of value.
 *
 * What the contract's type forbids must be a 422 at that property; what it allows may be refused
 * for another reason, but breaks nothing. (What is accepted is held against the contract by
 * tests/contract/check.py.) */
#include <stdio.h>
#include "flow/play.h"

struct value {
    const char *json, *type;
};
static const struct value values[] = {
    {"true", "boolean"}, {"7", "integer"}, {"-1.5", "number"}, {"\"x\"", "string"}, {"\"\"", "string"}, {"[]", "array"}, {"{}", "object"},
    {"[[]]", "array"}, {"[null]", "array"}, {"[1,\"2\"]", "array"}, {"{\"a\":null}", "object"}, {"{\"name\":5,\"id\":[],\"type\":{}}", "object"},
    {"\"\\u0000\"", "string"}, {"9223372036854775808", "integer"}, {"null", "null"},
};

static struct json resolved(struct json contract, struct json schema)
{
    for (int i = 0; i < 8 && json_is_there(json_get(schema, "$ref")); i++) {
        const char *name = strrchr(str_z(test_arena(), json_text(json_get(schema, "$ref"))), '/');
        CHECK(name);
        schema = json_get(json_get(json_get(contract, "components"), "schemas"), name + 1);
    }
    return schema;
}

static bool names(struct json type, const char *word)
{
    if (str_is(json_text(type), word)) return true;
    for (struct json_each e = json_each(type); json_type(type) == JSON_LIST && json_next(&e);)
        if (str_is(json_text(e.item), word)) return true;
    return false;
}

/* May a value of this type stand there? True when the schema does not say. */
static bool allows(struct json contract, struct json schema, const char *type)
{
    static const char *const unions[] = {"anyOf", "oneOf"};
    schema = resolved(contract, schema);
    for (int i = 0; i < 2; i++) {
        struct json list = json_get(schema, unions[i]);
        if (!json_is_there(list)) continue;
        for (struct json_each e = json_each(list); json_next(&e);) {
            struct json inner = resolved(contract, e.item), said = json_get(inner, "type");
            if (!json_is_there(said) && !json_is_there(json_get(inner, "enum")) && !json_is_there(json_get(inner, "const"))) return true;
            if (names(said, type) || (!strcmp(type, "integer") && names(said, "number"))) return true;
            if (!json_is_there(said) && !strcmp(type, "string")) return true;
        }
        return false;
    }
    struct json said = json_get(schema, "type");
    if (json_is_there(said)) return names(said, type) || (!strcmp(type, "integer") && names(said, "number"));
    bool is_words = json_is_there(json_get(schema, "enum")) || json_is_there(json_get(schema, "const"));
    return !is_words || !strcmp(type, "string");
}

static void tries(struct client *c, struct json contract, const char *what, const char *name, const char *start)
{
    struct json schema = json_get(json_get(json_get(contract, "components"), "schemas"), name);
    int count = 0;
    for (struct json_each e = json_each(json_get(schema, "properties")); json_next(&e);) {
        const char *property = str_z(test_arena(), e.key);
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            if (strstr(start, f("\"%s\"", property))) continue; /* it would stand there twice */
            const char *body = f("{%s\"%s\":%s}", start, property, values[i].json);
            sends(c, what, body);
            int status = status_of(c);
            bool is_fine = status == 200 || status == 201 || status == 403 || status == 422;
            if (!is_fine) expected(c, __FILE__, __LINE__, "2xx or 422 for %s", body);
            if (!strcmp(values[i].type, "null") || allows(contract, e.item, values[i].type)) continue;
            if (status != 422) expected(c, __FILE__, __LINE__, "422 for %s", body);
            if (strcmp(json_z(at(c, "detail[0].loc[1]")), f("\"%s\"", property)) != 0)
                expected(c, __FILE__, __LINE__, "the fault at %s for %s", property, body);
            count++;
        }
    }
    CHECK(count > 100);
}

FLOW(values_of_a_wrong_type_are_refused_at_each_property)
{
    play_takes(play, 120);
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, "GET /openapi.json", "");
    gets_status(anna, 200);
    struct json contract = anna->json;
    tries(anna, contract, "POST /v1/agents", "AgentCreate", "\"name\":\"A\",");
    tries(anna, contract, f("PATCH /v1/agents/%s", agent), "AgentUpdate", "");
    tries(anna, contract, f("POST /v1/agents/%s/invoke/async", agent), "AgentExecutionRequest", "\"run_locally\":true,\"input\":{\"text\":\"x\"},");
    sends(anna, f("GET /v1/agents/%s", agent), "");
    gets_status(anna, 200);
}

FLOW(every_provider_of_the_api_is_spoken_to_or_refused_by_name)
{
    struct client *anna = client(play);
    sends(anna, "GET /openapi.json", "");
    gets_status(anna, 200);
    struct json words = at(anna, "components.schemas.ModelProvider.enum");
    int spoken = 0, refused = 0;
    for (struct json_each e = json_each(words); json_next(&e);) {
        const char *word = str_z(test_arena(), json_text(e.item));
        sends(anna, "POST /v1/agents", q("{'name':'A','model_provider':'%s','model_name':'m'}", word));
        if (status_of(anna) == 201) {
            has_text(anna, "model_provider", word);
            spoken++;
        } else {
            has_fault(anna, "['body','model_provider']", "value_error");
            contains(anna, "detail[0].msg", word);
            refused++;
        }
    }
    CHECK(spoken >= 5 && refused >= 1);
}
