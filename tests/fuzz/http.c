/* Any bytes, cut anywhere, through the parser that stands in front of everything.
 *
 * The first byte seeds where the rest is cut. The same bytes in one piece must come to
 * the same requests, and to a refusal at the same one (which of two reasons is seen first
 * may differ); and no text may point outside. */
#include <stdlib.h>
#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

enum { REQUESTS_MAX = 64 };
struct seen {
    int count;
    enum http_state state[REQUESTS_MAX];
    size_t used[REQUESTS_MAX];
    uint64_t sum[REQUESTS_MAX];
};

static uint64_t sum_of(uint64_t sum, struct str text)
{
    for (size_t i = 0; i < text.count; i++) sum = (sum ^ (unsigned char)text.at[i]) * 1099511628211u;
    return sum + text.count;
}

static uint64_t sum_of_request(const struct request *request)
{
    uint64_t sum = sum_of(sum_of(sum_of(14695981039346656037u, request->method), request->target), request->body);
    for (int i = 0; i < request->headers_count; i++)
        sum = sum_of(sum_of(sum, request->headers[i].name), request->headers[i].value);
    return sum + (uint64_t)request->has_body;
}

static void read_all(struct str bytes, unsigned cuts, struct seen *seen)
{
    static const struct http_limits limits = {.target_bytes_max = 200, .head_bytes_max = 600, .body_bytes_max = 1000};
    struct http *http = http_new(&limits);
    size_t at = 0;
    if (!http) abort();
    while (seen->count < REQUESTS_MAX) {
        enum http_state state = HTTP_IN_HEAD;
        while (at < bytes.count && (state == HTTP_IN_HEAD || state == HTTP_IN_BODY)) {
            size_t used, count = bytes.count - at;
            if (cuts) {
                cuts = cuts * 1664525u + 1013904223u;
                if (count > 1 + (cuts >> 16) % 7) count = 1 + (cuts >> 16) % 7;
            }
            char *piece = malloc(count);
            if (!piece) abort();
            memcpy(piece, bytes.at + at, count);
            state = http_feed(http, str_n(piece, count), &used);
            free(piece);
            if (used > count) abort();
            at += used;
        }
        int i = seen->count++;
        seen->state[i] = state;
        if (state == HTTP_REFUSED && (http_refusal(http) < 400 || http_refusal(http) > 599)) abort();
        if (state != HTTP_WHOLE) break;
        seen->used[i] = at;
        seen->sum[i] = sum_of_request(http_request(http));
        (void)http_keeps_alive(http);
        http_reset(http);
    }
    http_free(http);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count == 0) return 0;
    struct str bytes = str_n((const char *)data + 1, count - 1);
    struct seen whole = {0}, cut = {0};
    read_all(bytes, 0, &whole);
    read_all(bytes, data[0] + 1u, &cut);
    if (memcmp(&whole, &cut, sizeof whole) != 0) abort();
    return 0;
}
