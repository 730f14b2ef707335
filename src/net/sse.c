#include "net/sse.h"
#include <assert.h>

/* What is kept of the event being read, name and id included. */
static bool has_room(const struct sse_parser *p, size_t more)
{
    size_t most = p->event_bytes_max ? p->event_bytes_max : SSE_EVENT_BYTES_MAX;
    size_t kept = p->line.count + p->name.count + p->data.count + p->id.count;
    return more <= most && kept <= most - more;
}

static struct err keep(struct sse_parser *p, struct buf *where, struct str bytes)
{
    if (!has_room(p, bytes.count)) return err(ERR_LIMIT, "an event of the stream is too large");
    buf_add_str(where, bytes);
    return where->is_failed ? err(ERR_MEMORY, "there is no memory for an event of the stream") : OK;
}

/* A blank line. An event without any data line is none. */
static struct err dispatch(struct sse_parser *p, sse_fn *fn, void *arg)
{
    struct err e = OK;
    if (p->data.count > 0) {
        struct sse_frame frame = {buf_str(&p->name), str_cut(buf_str(&p->data), 0, p->data.count - 1),
                                  buf_str(&p->id)};
        e = fn(arg, &frame);
    }
    p->name.count = p->data.count = 0;
    return e;
}

static struct err field(struct sse_parser *p, struct str name, struct str value)
{
    if (str_is(name, "data")) {
        TRY(keep(p, &p->data, value));
        return keep(p, &p->data, S("\n"));
    }
    if (str_is(name, "event")) {
        p->name.count = 0;
        return keep(p, &p->name, value);
    }
    if (str_is(name, "id") && (value.count == 0 || !memchr(value.at, 0, value.count))) {
        p->id.count = 0;
        return keep(p, &p->id, value);
    }
    return OK;
}

static struct err whole_line(struct sse_parser *p, struct str line, sse_fn *fn, void *arg)
{
    if (!p->is_past_first_line) {
        p->is_past_first_line = true;
        if (str_starts(line, S("\xEF\xBB\xBF"))) line = str_cut(line, 3, line.count);
    }
    if (line.count == 0) return dispatch(p, fn, arg);
    if (line.at[0] == ':') return OK;
    struct str value;
    bool has_colon;
    struct str name = str_split(line, ':', &value, &has_colon);
    if (!has_colon) value = S("");
    if (str_starts(value, S(" "))) value = str_cut(value, 1, value.count);
    return field(p, name, value);
}

/* A comment is never kept, however long it is: only its first byte is. */
static struct err keep_part(struct sse_parser *p, struct str part)
{
    bool is_comment = p->line.count > 0 ? p->line.at[0] == ':' : part.count > 0 && part.at[0] == ':';
    if (is_comment) part = str_cut(part, 0, p->line.count > 0 ? 0 : 1);
    return keep(p, &p->line, part);
}

static struct err line_end(struct sse_parser *p, struct str last_part, sse_fn *fn, void *arg)
{
    if (p->line.count == 0) return whole_line(p, last_part, fn, arg); /* the usual case: no copy */
    TRY(keep_part(p, last_part));
    struct buf line = p->line;
    p->line.count = 0; /* its bytes stay until something is kept in it again, which a callback cannot do */
    return whole_line(p, buf_str(&line), fn, arg);
}

static const char *find(const char *at, const char *end, char c)
{
    const char *hit = memchr(at, c, (size_t)(end - at));
    return hit ? hit : end;
}

static struct err feed(struct sse_parser *p, struct str bytes, sse_fn *fn, void *arg)
{
    const char *at = bytes.at, *end = bytes.at + bytes.count;
    /* The next of each, looked for only when it was passed: no stream makes this look twice at a byte. */
    const char *lf = find(at, end, '\n'), *cr = find(at, end, '\r');
    while (at < end) {
        if (p->is_after_cr && *at == '\n') at++;
        p->is_after_cr = false;
        if (lf < at) lf = find(at, end, '\n');
        if (cr < at) cr = find(at, end, '\r');
        const char *stop = lf < cr ? lf : cr;
        struct str part = str_n(at, (size_t)(stop - at));
        if (stop == end) return keep_part(p, part);
        p->is_after_cr = *stop == '\r';
        TRY(line_end(p, part, fn, arg));
        at = stop + 1;
    }
    return OK;
}

struct err sse_feed(struct sse_parser *p, struct str bytes, sse_fn *fn, void *arg)
{
    if (!failed(p->failure) && bytes.count > 0) p->failure = feed(p, bytes, fn, arg);
    return p->failure;
}

struct err sse_end(struct sse_parser *p, sse_fn *fn, void *arg)
{
    if (!failed(p->failure) && p->line.count > 0) p->failure = line_end(p, S(""), fn, arg);
    if (!failed(p->failure)) p->failure = dispatch(p, fn, arg);
    return p->failure;
}

void sse_parser_free(struct sse_parser *p)
{
    buf_free(&p->line);
    buf_free(&p->name);
    buf_free(&p->data);
    buf_free(&p->id);
    *p = (struct sse_parser){.event_bytes_max = p->event_bytes_max};
}

static size_t line_count(struct str text)
{
    size_t n = 0;
    while (n < text.count && text.at[n] != '\n' && text.at[n] != '\r') n++;
    return n;
}

void sse_event(struct buf *b, struct str id, struct str data)
{
    assert(line_count(id) == id.count);
    if (id.count > 0) {
        buf_add_str(b, S("id: "));
        buf_add_str(b, id);
        buf_add_str(b, S("\n"));
    }
    for (bool more = true; more;) {
        size_t n = line_count(data);
        buf_add_str(b, S("data: "));
        buf_add(b, data.at, n);
        buf_add_str(b, S("\n"));
        more = n < data.count;
        bool is_crlf = more && data.at[n] == '\r' && n + 1 < data.count && data.at[n + 1] == '\n';
        data = str_cut(data, n + (is_crlf ? 2 : 1), data.count);
    }
    buf_add_str(b, S("\n"));
}
