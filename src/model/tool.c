#include "model/tool.h"

const char tool_parameters[] =
    "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\"},\"files\":{\"type\":\"array\",\"items\":"
    "{\"type\":\"string\"}}},\"required\":[\"query\"]}";

/* A buffer's text moves to the arena; at = null: no memory. */
static struct str kept(struct arena *arena, struct buf *out)
{
    struct str copy = out->is_failed ? (struct str){0} : str_copy(arena, buf_str(out));

    if (out->is_failed) arena->exhausted = true;
    buf_free(out);
    return copy;
}

/* ---- the list as it is kept ---------------------------------------------------------- */

#define ROW(kind_, name_, ...) \
    {.name = #name_, .kind = FIELD_##kind_, .at = offsetof(struct attachment, name_), __VA_ARGS__}
static const struct field attachment_fields[] = {
    ROW(TEXT, id, .normal = "\"\""),
    ROW(TEXT, target_id, .normal = "\"\""),
    ROW(TEXTS, targets, .normal = "[]"),
    ROW(OBJECT, settings, .flags = NULLABLE, .normal = "null"),
    ROW(OBJECTS, llm_settings, .normal = "[]"),
    ROW(BOOL, is_first, .normal = "false"),
    ROW(OBJECT, verbatim, .flags = NULLABLE, .normal = "null"),
};
#undef ROW
static const struct shape attachment_shape = {"Attachment", sizeof(struct attachment), attachment_fields,
                                              sizeof attachment_fields / sizeof *attachment_fields};

struct err attachments_load(struct arena *arena, struct str stored, struct attachments *out)
{
    struct json list;

    out->count = 0;
    TRY(json_parse_own(arena, stored, &list));
    size_t count = json_count(list) < ATTACHMENTS_MAX ? json_count(list) : ATTACHMENTS_MAX;
    out->items = arena_alloc(arena, (count + 1) * sizeof *out->items);
    for (struct json_each each = json_each(list); json_next(&each);) {
        if (out->count == ATTACHMENTS_MAX) return err(ERR_IO, "a stored list of attachments is too long");
        struct attachment *item = &out->items[out->count++];
        shape_defaults(arena, &attachment_shape, item);
        TRY(shape_load(arena, &attachment_shape, json_compact(arena, each.item), item));
    }
    return OK;
}

struct str attachments_store(struct arena *arena, const struct attachments *list)
{
    struct buf out = {0};

    buf_add_str(&out, S("["));
    for (int i = 0; i < list->count; i++) {
        json_put_comma(&out);
        shape_store(&out, &attachment_shape, &list->items[i]);
    }
    buf_add_str(&out, S("]"));
    return kept(arena, &out);
}

struct attachment *attachment_of(const struct attachments *list, struct str target_id)
{
    for (int i = 0; i < list->count; i++)
        if (target_id.count && str_eq(list->items[i].target_id, target_id)) return &list->items[i];
    return 0;
}

struct attachment *attachment_named(const struct attachments *list, struct str id)
{
    for (int i = 0; i < list->count; i++)
        if (list->items[i].target_id.count && str_eq(list->items[i].id, id)) return &list->items[i];
    return 0;
}

/* ---- the view of /tools ------------------------------------------------------------------ */

#define ROW(kind_, name_, ...) \
    {.name = #name_, .kind = FIELD_##kind_, .at = offsetof(struct agent_tool, name_), __VA_ARGS__}
static const struct field tool_fields[] = {
    ROW(TEXT, id, .flags = READ_ONLY),
    ROW(TEXT, type, .flags = READ_ONLY),
    ROW(TEXT, name, .flags = READ_ONLY),
    ROW(TEXT, connection_id, .flags = READ_ONLY | NULLABLE),
    ROW(TEXT, operation_id, .flags = READ_ONLY | NULLABLE),
    ROW(TEXT, operation_name, .flags = READ_ONLY | NULLABLE),
    ROW(TEXT, custom_function_id, .flags = READ_ONLY | NULLABLE),
    ROW(TEXT, mcp_id, .flags = READ_ONLY | NULLABLE),
    ROW(TEXTS, allowed_tools, .flags = READ_ONLY | NULLABLE, .normal = "null"),
    ROW(TEXT, target_id, .flags = READ_ONLY | NULLABLE),
    ROW(TEXT, method, .flags = READ_ONLY),
    ROW(TEXT, path, .flags = READ_ONLY),
    ROW(TEXT, description, .flags = READ_ONLY),
    ROW(OBJECT, parameters, .flags = READ_ONLY),
};
#undef ROW
const struct shape agent_tool_shape = {"AgentTool", sizeof(struct agent_tool), tool_fields, sizeof tool_fields / sizeof *tool_fields};

struct str attachments_tools(struct arena *arena, const struct attachments *list, const struct tool_target *targets)
{
    struct buf out = {0};

    buf_add_str(&out, S("["));
    for (int i = 0; i < list->count; i++) {
        const struct attachment *item = &list->items[i];
        if (!item->target_id.count || !targets[i].is_there) continue;
        struct agent_tool tool;
        shape_defaults(arena, &agent_tool_shape, &tool);
        tool.id = item->id;
        tool.type = S("agent");
        tool.name = targets[i].name;
        tool.target_id = item->target_id;
        tool.method = S("post");
        tool.path = strf(arena, "/agents/%.*s", STR_ARGS(item->target_id));
        tool.description = targets[i].description;
        tool.parameters = str(tool_parameters);
        json_put_comma(&out);
        shape_write(&out, &agent_tool_shape, &tool);
    }
    buf_add_str(&out, S("]"));
    return kept(arena, &out);
}

/* ---- the view of `graph`, which can also be written ----------------------------------------- */

enum graph_type { GRAPH_AGENT, GRAPH_SOURCE };
static const char *const graph_words[] = {"agent", "source_node", 0};

/* Other kinds are known to the API, and come later. */
static void read_graph_type(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    struct str word = json_text(value);

    if (json_type(value) == JSON_TEXT)
        for (int i = 0; graph_words[i]; i++)
            if (str_is(word, graph_words[i])) {
                *(int *)at = i;
                return;
            }
    if (json_type(value) != JSON_TEXT) {
        fault_enum(reading->faults, loc, fault_input(reading->faults, value), graph_words, false);
        return;
    }
    fault_value(reading->faults, loc, fault_input(reading->faults, value),
                arena_printf(reading->arena, "graph items of type '%.*s' are not available yet",
                             STR_ARGS(str_cut(word, 0, str_utf8_floor(word, 64)))));
}

static void write_graph_type(struct buf *out, const void *at)
{
    json_put_text(out, str(graph_words[*(const int *)at]));
}

#define ROW(kind_, name_, ...) \
    {.name = #name_, .kind = FIELD_##kind_, .at = offsetof(struct graph_item, name_), __VA_ARGS__}
static const struct field graph_fields[] = {
    ROW(TEXT, id, .flags = READ_ONLY),
    ROW(TEXT, item_id, .flags = READ_ONLY),
    ROW(TEXT, name, .flags = READ_ONLY),
    ROW(CUSTOM, type, .flags = READ_ONLY, .read = read_graph_type, .write = write_graph_type),
    ROW(TEXT, sub_type, .flags = READ_ONLY | NULLABLE),
    ROW(TEXTS, targets, .flags = READ_ONLY, .normal = "[]"),
    ROW(OBJECT, settings, .flags = READ_ONLY | NULLABLE, .normal = "null"),
    ROW(OBJECTS, llm_settings, .flags = READ_ONLY, .normal = "[]"),
    ROW(BOOL, is_first, .flags = READ_ONLY, .normal = "false"),
};
static const struct field graph_in_fields[] = {
    ROW(TEXT, id, .flags = NULLABLE),
    ROW(TEXT, item_id, .flags = REQUIRED),
    ROW(TEXT, name, .normal = "\"\""),
    ROW(CUSTOM, type, .flags = REQUIRED, .read = read_graph_type, .write = write_graph_type),
    ROW(TEXT, sub_type, .flags = NULLABLE),
    ROW(TEXTS, targets, .normal = "[]"),
    ROW(OBJECT, settings, .flags = NULLABLE, .normal = "null"),
    ROW(OBJECTS, llm_settings, .normal = "[]"),
    ROW(BOOL, is_first, .normal = "false"),
};
#undef ROW
const struct shape graph_item_shape = {"AgentGraphItem", sizeof(struct graph_item), graph_fields,
                                       sizeof graph_fields / sizeof *graph_fields};
const struct shape graph_item_in_shape = {"GraphItemInput", sizeof(struct graph_item), graph_in_fields,
                                          sizeof graph_in_fields / sizeof *graph_in_fields};

struct str attachments_graph(struct arena *arena, const struct attachments *list, const struct tool_target *targets)
{
    struct buf out = {0};

    buf_add_str(&out, S("["));
    for (int i = 0; i < list->count; i++) {
        const struct attachment *item = &list->items[i];
        struct graph_item node;

        if (!item->target_id.count) {
            json_put_comma(&out);
            json_put_raw(&out, item->verbatim);
            continue;
        }
        if (!targets[i].is_there) continue;
        shape_defaults(arena, &graph_item_shape, &node);
        node.id = item->id;
        node.item_id = item->target_id;
        node.name = targets[i].name;
        node.type = GRAPH_AGENT;
        node.targets = item->targets;
        node.settings = item->settings;
        node.llm_settings = item->llm_settings;
        node.is_first = item->is_first;
        json_put_comma(&out);
        shape_write(&out, &graph_item_shape, &node);
    }
    buf_add_str(&out, S("]"));
    return kept(arena, &out);
}

static struct attachment attachment_from(struct arena *arena, const struct graph_item *item, const struct attachments *old,
                                         struct str (*new_id)(struct arena *))
{
    const struct attachment *same = item->id.count ? attachment_named(old, item->id) : 0;

    return (struct attachment){.id = same ? same->id : new_id(arena),
                               .target_id = item->item_id,
                               .targets = item->targets,
                               .settings = item->settings,
                               .llm_settings = item->llm_settings,
                               .is_first = item->is_first};
}

struct attachments graph_apply(struct arena *arena, struct str graph, const struct attachments *old,
                               struct str (*new_id)(struct arena *))
{
    struct attachments now = {.items = arena_alloc(arena, ATTACHMENTS_MAX * sizeof *now.items)};
    struct faults none = faults_new(arena); /* it was read before, and had none */
    struct given given;
    struct json items;

    if (failed(json_parse_own(arena, graph, &items))) items.value = 0;
    for (struct json_each each = json_each(items); json_next(&each) && now.count < ATTACHMENTS_MAX;) {
        struct graph_item item;
        struct attachment *next = &now.items[now.count];
        shape_defaults(arena, &graph_item_in_shape, &item);
        shape_read(arena, &graph_item_in_shape, SHAPE_CREATE, each.item, 0, &item, &given, &none);
        if (item.type == GRAPH_SOURCE) {
            shape_defaults(arena, &attachment_shape, next);
            next->verbatim = json_compact(arena, each.item);
            now.count++;
            continue;
        }
        if (attachment_of(&now, item.item_id)) continue;
        *next = attachment_from(arena, &item, old, new_id);
        /* Two items that claim the same attachment are two. */
        if (attachment_named(&now, next->id)) next->id = new_id(arena);
        now.count++;
    }
    faults_free(&none);
    return now;
}

/* ---- what the model calls ---------------------------------------------------------------------- */

struct str tool_function_name(struct arena *arena, struct str agent_name, const struct str *taken, int taken_count)
{
    enum { NUMBER_BYTES = 4 }; /* "_200" */
    char name[FUNCTION_NAME_BYTES_MAX + 1] = "agent_";
    size_t used = 6;
    bool is_gap = false;

    for (size_t i = 0; i < agent_name.count && used + 1 < FUNCTION_NAME_BYTES_MAX - NUMBER_BYTES; i++) {
        char c = agent_name.at[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (is_word && is_gap && used > 6) name[used++] = '_';
        is_gap = !is_word;
        if (is_word) name[used++] = c;
    }
    if (used == 6) used = (size_t)(stpcpy(name + used, "x") - name); /* nothing of the name is left */
    name[used] = 0;

    struct str free_name = str_copy(arena, str_n(name, used));
    for (int number = 2, i = 0; i < taken_count; i++) {
        if (!str_eq(taken[i], free_name)) continue;
        free_name = strf(arena, "%s_%d", name, number++);
        i = -1;
    }
    return free_name;
}
