#include "llm/headers.h"

static const char *const ours[] = {"host", "content-length", "content-type", "connection", "transfer-encoding", "te", "trailer",
                                   "upgrade", "expect", "keep-alive", "accept-encoding", NULL};

static bool is_ours(struct str name)
{
    for (int i = 0; ours[i]; i++)
        if (str_eq_nocase(name, str(ours[i]))) return true;
    return str_eq_nocase(str_cut(name, 0, 6), S("proxy-"));
}

static bool is_token(struct str name)
{
    for (size_t i = 0; i < name.count; i++) {
        unsigned char c = (unsigned char)name.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return name.count > 0;
}

/* No CR, no LF, no zero: a value that ends the line could add headers, or a request. */
static bool is_value(struct str value)
{
    for (size_t i = 0; i < value.count; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F) return false;
    }
    return true;
}

bool llm_is_secret_header(struct str name)
{
    static const char *const words[] = {"auth", "key", "token", "secret", "cookie"};
    for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
        for (size_t i = 0; i + strlen(words[w]) <= name.count; i++)
            if (str_eq_nocase(str_cut(name, i, strlen(words[w])), str(words[w]))) return true;
    return false;
}

struct err llm_check_key(struct str key)
{
    if (key.count > HEADERS_BYTES_MAX) return err(ERR_INVALID, "the model's key is too long");
    return is_value(key) ? OK : err(ERR_INVALID, "the model's key has a control character in it");
}

/* A name may have any byte in it until it was checked. */
static struct err refuse(struct arena *a, struct str name, const char *what)
{
    if (!is_token(name) || name.count > 100) name = S("?");
    return errf(a, ERR_INVALID, "the extra header %.*s %s", STR_ARGS(name), what);
}

static struct err check(struct arena *a, struct json object)
{
    size_t bytes = 0;
    if (json_type(object) != JSON_OBJECT) return err(ERR_INVALID, "the extra headers are no JSON object");
    if (json_count(object) > HEADERS_MAX) return errf(a, ERR_INVALID, "more than %d extra headers", HEADERS_MAX);
    for (struct json_each e = json_each(object); json_next(&e);) {
        if (!is_token(e.key)) return refuse(a, e.key, "has a name that HTTP does not know");
        if (json_type(e.item) != JSON_TEXT) return refuse(a, e.key, "has a value that is no text");
        if (!is_value(json_text(e.item))) return refuse(a, e.key, "has a control character in its value");
        bytes += e.key.count + json_text(e.item).count;
    }
    return bytes > HEADERS_BYTES_MAX ? errf(a, ERR_INVALID, "more than %d bytes of extra headers", HEADERS_BYTES_MAX) : OK;
}

static struct err parse(struct arena *a, struct str text, struct json *out)
{
    *out = (struct json){0};
    if (text.count == 0) return OK;
    if (failed(json_parse_own(a, text, out))) return err(ERR_INVALID, "the extra headers are no JSON object");
    if (json_is_null(*out)) *out = (struct json){0};
    return json_is_there(*out) ? check(a, *out) : OK;
}

struct err llm_check_headers(struct arena *a, struct str text)
{
    struct json object;
    return parse(a, text, &object);
}

static void add(struct headers *h, struct str name, struct str value)
{
    h->items[h->count++] = (struct header){name, value};
}

struct err headers_of(struct arena *a, const struct llm_model *model, struct headers *out)
{
    struct json extra;
    bool has_own_authorization = false;

    TRY(llm_check_key(model->key));
    TRY(parse(a, model->headers, &extra));
    size_t room = json_count(extra) + 4; /* ours */
    *out = (struct headers){.items = arena_alloc(a, room * sizeof(struct header)), .secrets = arena_alloc(a, room * sizeof(struct str))};
    add(out, S("Content-Type"), S("application/json"));
    add(out, S("User-Agent"), S("agentd"));
    bool has_accept = false;
    for (struct json_each e = json_each(extra); json_is_there(extra) && json_next(&e);) {
        struct str value = str_trim(json_text(e.item));
        if (is_ours(e.key)) continue;
        if (str_eq_nocase(e.key, S("user-agent"))) out->items[1].value = value;
        else add(out, e.key, value);
        has_own_authorization = has_own_authorization || str_eq_nocase(e.key, S("authorization"));
        has_accept = has_accept || str_eq_nocase(e.key, S("accept"));
        if (llm_is_secret_header(e.key)) out->secrets[out->secrets_count++] = value;
    }
    if (!has_accept) add(out, S("Accept"), S("text/event-stream, application/json"));
    if (model->key.count == 0) return OK;
    out->secrets[out->secrets_count++] = model->key;
    if (!has_own_authorization) add(out, S("Authorization"), strf(a, "Bearer %.*s", STR_ARGS(model->key)));
    return OK;
}
