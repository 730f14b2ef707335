/* llhttp in its strict mode, and the rules that it leaves to us: the protocol's name, one
 * Host, one Transfer-Encoding, and every bound.
 *
 * Whether a request is taken, and as what, hangs on the bytes alone, not on where reads cut
 * them (which of two reasons to refuse is seen first may): the fuzz target feeds each
 * input in one piece and in many and compares. A parser of our own was
 * rejected: the grammar's corners are where requests are smuggled, and this one is
 * attacked and mended by many. */
#include "net/http.h"
#include <assert.h>
#include <llhttp.h>
#include <stdlib.h>
#include <time.h>

enum {
    HEADERS_MAX = 256,
    HEADERS_KEPT = 32,          /* of a parser that waits for its next request */
    TEXT_KEPT_BYTES = 4096,
    EXTENSIONS_BYTES_MAX = 4096, /* of all chunks of one body */
    FRAMING_BYTES_MAX = 65536,  /* what a chunked body may be around its data beside ... */
    FRAMING_BYTES_PER_CHUNK = 32,
    HEAD_SLACK_BYTES = 64,      /* method, version, spaces, an empty line in front */
    PROTOCOL_BYTES = 5,         /* "HTTP/" */
};

struct http {
    llhttp_t parser;
    const struct http_limits *limits;
    struct request request;
    struct buf text;            /* target, then name and value of each header, one after another */
    struct buf body;
    struct request_header *headers;
    int headers_count, headers_capacity;
    size_t name_bytes, value_bytes; /* of the header that is being read */
    int64_t head_bytes, fields_bytes, extension_bytes, trailer_bytes, framing_bytes, chunks_count;
    const char *fed;            /* the bytes of the running http_feed */
    char before[PROTOCOL_BYTES]; /* the last bytes before them: the version may begin in another read */
    enum http_state state;
    int refusal;
    bool has_version, is_in_fields, expects_continue;
};

/* ---- what llhttp tells --------------------------------------------------------- */

static int refuse(struct http *http, int status)
{
    if (http->state != HTTP_REFUSED) http->refusal = status;
    http->state = HTTP_REFUSED;
    return HPE_USER;
}

static int add(struct http *http, struct buf *to, const char *at, size_t count)
{
    buf_add(to, at, count);
    return to->is_failed ? refuse(http, 503) : HPE_OK;
}

static int on_url(llhttp_t *parser, const char *at, size_t count)
{
    struct http *http = parser->data;
    if ((int64_t)(http->text.count + count) > http->limits->target_bytes_max) return refuse(http, 414);
    return add(http, &http->text, at, count);
}

static int on_url_complete(llhttp_t *parser)
{
    struct http *http = parser->data;
    http->request.target.count = http->text.count;
    return HPE_OK;
}

/* llhttp also reads RTSP/1.0 and ICE/1.0 and does not tell: so look at what stands in front. */
static int on_version(llhttp_t *parser, const char *at, size_t count)
{
    struct http *http = parser->data;
    char name[PROTOCOL_BYTES];
    size_t here = (size_t)(at - http->fed);
    (void)count;
    if (http->has_version) return HPE_OK; /* its second piece */
    http->has_version = true;
    for (size_t i = 0; i < PROTOCOL_BYTES; i++)
        name[i] = here + i >= PROTOCOL_BYTES ? http->fed[here + i - PROTOCOL_BYTES] : http->before[here + i];
    return memcmp(name, "HTTP/", PROTOCOL_BYTES) == 0 ? HPE_OK : refuse(http, 400);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t count)
{
    struct http *http = parser->data;
    http->is_in_fields = true;
    if (http->state != HTTP_IN_HEAD) {
        http->trailer_bytes += (int64_t)count;
        return http->trailer_bytes > http->limits->head_bytes_max ? refuse(http, 431) : HPE_OK;
    }
    http->fields_bytes += (int64_t)count;
    if (http->fields_bytes > http->limits->head_bytes_max) return refuse(http, 431);
    if (!buf_reserve(&http->text, count)) return refuse(http, 503);
    char *to = http->text.at + http->text.count;
    for (size_t i = 0; i < count; i++) to[i] = (char)(at[i] >= 'A' && at[i] <= 'Z' ? at[i] | 0x20 : at[i]);
    http->text.count += count;
    http->name_bytes += count;
    return HPE_OK;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t count)
{
    struct http *http = parser->data;
    if (http->state != HTTP_IN_HEAD) {
        http->trailer_bytes += (int64_t)count;
        return http->trailer_bytes > http->limits->head_bytes_max ? refuse(http, 431) : HPE_OK;
    }
    http->fields_bytes += (int64_t)count;
    if (http->fields_bytes > http->limits->head_bytes_max) return refuse(http, 431);
    http->value_bytes += count;
    return add(http, &http->text, at, count);
}

/* Only lengths are kept until the head is whole, because the text may still move. */
static int on_header_value_complete(llhttp_t *parser)
{
    struct http *http = parser->data;
    if (http->state != HTTP_IN_HEAD) return HPE_OK;
    http->fields_bytes += 4; /* ": " and CRLF */
    if (http->fields_bytes > http->limits->head_bytes_max || http->headers_count == HEADERS_MAX) return refuse(http, 431);
    if (http->headers_count == http->headers_capacity) {
        int capacity = http->headers_capacity ? http->headers_capacity * 2 : 8;
        struct request_header *more = realloc(http->headers, (size_t)capacity * sizeof *more);
        if (!more) return refuse(http, 503);
        http->headers = more;
        http->headers_capacity = capacity;
    }
    http->headers[http->headers_count++] =
        (struct request_header){{NULL, http->name_bytes}, {NULL, http->value_bytes}};
    http->name_bytes = http->value_bytes = 0;
    return HPE_OK;
}

static void point_into_text(struct http *http)
{
    struct request *request = &http->request;
    const char *at = buf_str(&http->text).at;
    request->target.at = at;
    at += request->target.count;
    for (int i = 0; i < http->headers_count; i++) {
        struct request_header *header = &http->headers[i];
        header->name.at = at;
        header->value.at = at + header->name.count;
        at = header->value.at + header->value.count;
        header->value = str_trim(header->value);
    }
    request->headers = http->headers;
    request->headers_count = http->headers_count;
    request->method = str(llhttp_method_name((llhttp_method_t)http->parser.method));
}

/* A host of RFC 3986, perhaps with a port; a list or a path would be read otherwise elsewhere. */
static bool is_host(struct str host)
{
    for (size_t i = 0; i < host.count; i++) {
        unsigned char c = (unsigned char)host.at[i];
        bool is_word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_word && (!c || !strchr(".-_~%!$&'()*+;=:[]", c))) return false;
    }
    return true;
}

/* The rules about the whole head that llhttp does not know. */
static int check_head(const struct http *http)
{
    const struct request *request = &http->request;
    const llhttp_t *parser = &http->parser;
    bool is_1_1 = parser->http_major == 1 && parser->http_minor == 1;
    int hosts = 0, encodings = 0;

    if (!is_1_1 && !http_is_1_0(http)) return 400;
    if (!http->has_version || !request->target.count) return 400;
    for (int i = 0; i < request->headers_count; i++) {
        const struct request_header *header = &request->headers[i];
        if (str_eq(header->name, S("host"))) {
            if (++hosts > 1 || !is_host(header->value)) return 400;
        } else if (str_eq(header->name, S("transfer-encoding"))) {
            if (++encodings > 1 || !is_1_1 || !str_eq_nocase(header->value, S("chunked"))) return 400;
        }
    }
    if (hosts == 0 && is_1_1) return 400;
    if ((parser->flags & F_CONTENT_LENGTH) && parser->content_length > (uint64_t)http->limits->body_bytes_max) return 413;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http *http = parser->data;
    point_into_text(http);
    int status = check_head(http);
    if (status) return refuse(http, status);
    http->state = HTTP_IN_BODY;
    http->request.has_body = (parser->flags & F_CHUNKED) != 0 ||
                             ((parser->flags & F_CONTENT_LENGTH) && parser->content_length > 0);
    http->expects_continue = http->request.has_body && parser->http_minor == 1 &&
                             str_eq_nocase(request_header(&http->request, "expect"), S("100-continue"));
    /* A pause tells where chunks begin: what stands around them has a bound of its own. */
    return parser->flags & F_CHUNKED ? HPE_PAUSED : HPE_OK;
}

static int on_chunk_header(llhttp_t *parser)
{
    struct http *http = parser->data;
    http->chunks_count++;
    /* Announced is enough: what the chunk would bring is not waited for. */
    return parser->content_length > (uint64_t)http->limits->body_bytes_max - http->body.count ? refuse(http, 413) : HPE_OK;
}

static int on_extension(llhttp_t *parser, const char *at, size_t count)
{
    struct http *http = parser->data;
    (void)at;
    http->extension_bytes += (int64_t)count;
    return http->extension_bytes > EXTENSIONS_BYTES_MAX ? refuse(http, 400) : HPE_OK;
}

static int on_body(llhttp_t *parser, const char *at, size_t count)
{
    struct http *http = parser->data;
    http->expects_continue = false;
    return add(http, &http->body, at, count);
}

static int on_message_complete(llhttp_t *parser)
{
    struct http *http = parser->data;
    http->state = HTTP_WHOLE;
    http->expects_continue = false;
    http->request.body = buf_str(&http->body);
    return HPE_PAUSED; /* what follows is the next request's */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_version = on_version,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- bytes in ---------------------------------------------------------------------- */

struct http *http_new(const struct http_limits *limits)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http) return NULL;
    http->limits = limits;
    llhttp_init(&http->parser, HTTP_REQUEST, &settings);
    http->parser.data = http;
    return http;
}

void http_free(struct http *http)
{
    if (!http) return;
    buf_free(&http->text);
    buf_free(&http->body);
    free(http->headers);
    free(http);
}

void http_reset(struct http *http)
{
    struct http fresh = {.limits = http->limits, .text = http->text, .headers = http->headers,
                         .headers_capacity = http->headers_capacity};
    buf_free(&http->body);
    fresh.text.count = 0;
    if (fresh.text.is_failed || fresh.text.capacity > TEXT_KEPT_BYTES) buf_free(&fresh.text);
    if (fresh.headers_capacity > HEADERS_KEPT) {
        free(fresh.headers);
        fresh.headers = NULL;
        fresh.headers_capacity = 0;
    }
    *http = fresh;
    llhttp_init(&http->parser, HTTP_REQUEST, &settings);
    http->parser.data = http;
}

static void remember_tail(struct http *http, struct str bytes)
{
    if (bytes.count >= PROTOCOL_BYTES) {
        memcpy(http->before, bytes.at + bytes.count - PROTOCOL_BYTES, PROTOCOL_BYTES);
        return;
    }
    memmove(http->before, http->before + bytes.count, PROTOCOL_BYTES - bytes.count);
    memcpy(http->before + PROTOCOL_BYTES - bytes.count, bytes.at, bytes.count);
}

/* One call of llhttp. Returns how many bytes it took. */
static size_t feed_once(struct http *http, struct str bytes)
{
    size_t used = bytes.count, body_before = http->body.count;
    bool was_in_body = http->state == HTTP_IN_BODY;

    http->fed = bytes.at;
    llhttp_errno_t code = llhttp_execute(&http->parser, bytes.at, bytes.count);
    if (code == HPE_PAUSED) {
        used = (size_t)(llhttp_get_error_pos(&http->parser) - bytes.at);
        llhttp_resume(&http->parser);
    } else if (code != HPE_OK) {
        refuse(http, 400);
    }

    if (was_in_body) {
        http->framing_bytes += (int64_t)(used - (http->body.count - body_before));
        if (http->framing_bytes > FRAMING_BYTES_MAX + http->chunks_count * FRAMING_BYTES_PER_CHUNK) refuse(http, 400);
    } else {
        http->head_bytes += (int64_t)used;
        if (!http->has_version) remember_tail(http, bytes);
    }
    return used;
}

enum http_state http_feed(struct http *http, struct str bytes, size_t *used)
{
    assert(http->state == HTTP_IN_HEAD || http->state == HTTP_IN_BODY);
    *used = 0;
    while (*used < bytes.count && (http->state == HTTP_IN_HEAD || http->state == HTTP_IN_BODY)) {
        struct str piece = str_n(bytes.at + *used, bytes.count - *used);
        /* White space is in no callback, so the head as a whole is bounded here: exactly, wherever reads cut it. */
        if (http->state == HTTP_IN_HEAD) {
            int64_t left = http->limits->target_bytes_max + http->limits->head_bytes_max + HEAD_SLACK_BYTES - http->head_bytes;
            if (left <= 0) {
                refuse(http, http->is_in_fields ? 431 : 400);
                break;
            }
            if ((int64_t)piece.count > left) piece.count = (size_t)left;
        }
        *used += feed_once(http, piece);
    }
    return http->state;
}

int http_refusal(const struct http *http) { return http->refusal; }
const struct request *http_request(const struct http *http) { return &http->request; }
bool http_expects_continue(const struct http *http) { return http->expects_continue; }
bool http_is_1_0(const struct http *http) { return http->parser.http_major == 1 && http->parser.http_minor == 0; }
bool http_keeps_alive(const struct http *http) { return llhttp_should_keep_alive(&http->parser) != 0; }
size_t http_body_bytes(const struct http *http) { return http->body.capacity; }
bool http_is_in_body(const struct http *http) { return http->state == HTTP_IN_BODY; }

void http_drop_body(struct http *http)
{
    buf_free(&http->body);
    http->request.body = S("");
}

struct str request_header(const struct request *request, const char *name)
{
    struct str want = str(name);
    for (int i = request->headers_count - 1; i >= 0; i--)
        if (str_eq(request->headers[i].name, want)) return request->headers[i].value;
    return (struct str){NULL, 0};
}

int request_header_count(const struct request *request, const char *name)
{
    struct str want = str(name);
    int count = 0;
    for (int i = 0; i < request->headers_count; i++)
        if (str_eq(request->headers[i].name, want)) count++;
    return count;
}

/* ---- bytes out ----------------------------------------------------------------------- */

static struct str status_line(int status)
{
    switch (status) {
    case 200: return S("HTTP/1.1 200 OK\r\n");
    case 201: return S("HTTP/1.1 201 Created\r\n");
    case 202: return S("HTTP/1.1 202 Accepted\r\n");
    case 204: return S("HTTP/1.1 204 No Content\r\n");
    case 304: return S("HTTP/1.1 304 Not Modified\r\n");
    case 400: return S("HTTP/1.1 400 Bad Request\r\n");
    case 401: return S("HTTP/1.1 401 Unauthorized\r\n");
    case 403: return S("HTTP/1.1 403 Forbidden\r\n");
    case 404: return S("HTTP/1.1 404 Not Found\r\n");
    case 405: return S("HTTP/1.1 405 Method Not Allowed\r\n");
    case 408: return S("HTTP/1.1 408 Request Timeout\r\n");
    case 409: return S("HTTP/1.1 409 Conflict\r\n");
    case 410: return S("HTTP/1.1 410 Gone\r\n");
    case 413: return S("HTTP/1.1 413 Content Too Large\r\n");
    case 414: return S("HTTP/1.1 414 URI Too Long\r\n");
    case 415: return S("HTTP/1.1 415 Unsupported Media Type\r\n");
    case 422: return S("HTTP/1.1 422 Unprocessable Content\r\n");
    case 429: return S("HTTP/1.1 429 Too Many Requests\r\n");
    case 431: return S("HTTP/1.1 431 Request Header Fields Too Large\r\n");
    case 500: return S("HTTP/1.1 500 Internal Server Error\r\n");
    case 501: return S("HTTP/1.1 501 Not Implemented\r\n");
    case 503: return S("HTTP/1.1 503 Service Unavailable\r\n");
    case 507: return S("HTTP/1.1 507 Insufficient Storage\r\n");
    default: return (struct str){NULL, 0};
    }
}

static char *put(char *to, struct str s)
{
    memcpy(to, s.at, s.count);
    return to + s.count;
}

static char *put_number(char *to, uint64_t number, unsigned base)
{
    char digits[20];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[number % base];
    while ((number /= base) > 0);
    while (count > 0) *to++ = digits[--count];
    return to;
}

/* Written by hand, not by printf: this is on the way of every request. */
void http_put_head(struct buf *out, const struct http_head *head)
{
    enum { FIXED_BYTES_MAX = 320 }; /* all lines below and the longest status line */
    struct str line = status_line(head->status), headers = str(head->headers);
    assert(head->status >= 200 && head->status <= 999 && head->date.count <= HTTP_DATE_BYTES);
    if (!buf_reserve(out, FIXED_BYTES_MAX + headers.count)) return;

    char *to = out->at + out->count;
    if (line.at) {
        to = put(to, line);
    } else {
        to = put(to, S("HTTP/1.1 "));
        to = put_number(to, (uint64_t)head->status, 10);
        to = put(to, S(" \r\n"));
    }
    if (head->date.count) {
        to = put(to, S("Date: "));
        to = put(to, head->date);
        to = put(to, S("\r\n"));
    }
    if (head->flags & HTTP_JSON) to = put(to, S("Content-Type: application/json\r\n"));
    if (head->body_bytes >= 0) {
        to = put(to, S("Content-Length: "));
        to = put_number(to, (uint64_t)head->body_bytes, 10);
        to = put(to, S("\r\n"));
    }
    if (head->flags & HTTP_CHUNKED) to = put(to, S("Transfer-Encoding: chunked\r\n"));
    if (head->flags & HTTP_CLOSE) to = put(to, S("Connection: close\r\n"));
    else if (head->flags & HTTP_KEEP_ALIVE) to = put(to, S("Connection: keep-alive\r\n"));
    to = put(to, headers);
    to = put(to, S("\r\n"));
    out->count = (size_t)(to - out->at);
}

void http_put_chunk(struct buf *out, struct str bytes)
{
    enum { AROUND_BYTES = 20 };
    if (!bytes.count || !buf_reserve(out, bytes.count + AROUND_BYTES)) return;
    char *to = put_number(out->at + out->count, bytes.count, 16);
    to = put(to, S("\r\n"));
    to = put(to, bytes);
    to = put(to, S("\r\n"));
    out->count = (size_t)(to - out->at);
}

void http_put_last_chunk(struct buf *out) { buf_add_str(out, S("0\r\n\r\n")); }

static char *put_two(char *to, int number)
{
    *to++ = (char)('0' + number / 10);
    *to++ = (char)('0' + number % 10);
    return to;
}

/* By hand, because strftime speaks the locale's language. */
void http_date(char out[HTTP_DATE_BYTES], int64_t now_us)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char *to = put(out, str_n(days + 3 * tm.tm_wday, 3));
    to = put(to, S(", "));
    to = put_two(to, tm.tm_mday);
    *to++ = ' ';
    to = put(to, str_n(months + 3 * tm.tm_mon, 3));
    *to++ = ' ';
    to = put_two(to, (tm.tm_year + 1900) / 100 % 100);
    to = put_two(to, (tm.tm_year + 1900) % 100);
    *to++ = ' ';
    to = put_two(to, tm.tm_hour);
    *to++ = ':';
    to = put_two(to, tm.tm_min);
    *to++ = ':';
    to = put_two(to, tm.tm_sec);
    put(to, S(" GMT"));
}
