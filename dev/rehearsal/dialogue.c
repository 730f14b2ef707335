/* dev/rehearsal/dialogue.c: the messages and tools of a request. */
#include "script.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A message's content is a string, or an array of parts of which texts count. */
static void read_content(const struct json *json, int node, struct text *out)
{
    int content = json_get(json, node, "content");
    if (content < 0) return;
    if (json->nodes[content].kind == JSON_STRING) {
        json_text(json, content, out);
        return;
    }
    if (json->nodes[content].kind != JSON_ARRAY) return;
    for (int part = json_first(json, content); part >= 0; part = json_next(json, part))
        json_text(json, json_get(json, part, "text"), out);
}

bool dialogue_read(struct dialogue *dialogue, const char *body, size_t len)
{
    *dialogue = (struct dialogue){.last_user = -1};
    if (!json_read(&dialogue->json, body, len)) return false;

    const struct json *json = &dialogue->json;
    int messages = json_get(json, 0, "messages");
    if (messages < 0 || json->nodes[messages].kind != JSON_ARRAY) return false;

    int room = 0;
    for (int node = json_first(json, messages); node >= 0; node = json_next(json, node)) room++;
    dialogue->messages = calloc((size_t)room + 1, sizeof dialogue->messages[0]);
    if (!dialogue->messages) abort();

    for (int node = json_first(json, messages); node >= 0; node = json_next(json, node)) {
        struct message *message = &dialogue->messages[dialogue->count];
        int role = json_get(json, node, "role");
        message->node = node;
        message->from_user = json_is(json, role, "user");
        message->from_model = json_is(json, role, "assistant");
        message->from_tool = json_is(json, role, "tool");
        read_content(json, node, &message->text);
        if (message->from_user) {
            dialogue->last_user = dialogue->count;
            dialogue->answers_since = 0;
        }
        if (message->from_model) dialogue->answers_since++;
        dialogue->count++;
    }
    return true;
}

void dialogue_free(struct dialogue *dialogue)
{
    for (int i = 0; i < dialogue->count; i++) text_free(&dialogue->messages[i].text);
    free(dialogue->messages);
    json_free(&dialogue->json);
}

/* "Fact Finder" and "agent_fact_finder" are the same tool: compare what is
 * left when only letters and digits count, with or without the prefix. */
static void plain_name(const char *name, size_t len, struct text *out)
{
    for (size_t i = 0; i < len; i++) {
        char c = (char)tolower((unsigned char)name[i]);
        if (isalnum((unsigned char)c)) text_add(out, &c, 1);
    }
    text_add(out, "", 0);
}

bool dialogue_tool(const struct dialogue *dialogue, const char *name, size_t len, struct text *out)
{
    const struct json *json = &dialogue->json;
    struct text wanted = {0};
    bool found = false;

    plain_name(name, len, &wanted);
    int tools = json_get(json, 0, "tools");
    for (int tool = json_first(json, tools); tool >= 0 && !found; tool = json_next(json, tool)) {
        struct text own = {0}, short_own = {0};
        json_text(json, json_get(json, json_get(json, tool, "function"), "name"), &own);
        plain_name(own.data ? own.data : "", own.len, &short_own);
        const char *bare = strncmp(short_own.data, "agent", 5) == 0 ? short_own.data + 5 : short_own.data;
        if (wanted.len && (strcmp(wanted.data, short_own.data) == 0 || strcmp(wanted.data, bare) == 0)) {
            text_add(out, own.data, own.len);
            found = true;
        }
        text_free(&own);
        text_free(&short_own);
    }
    text_free(&wanted);
    return found;
}
