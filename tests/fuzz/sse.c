/* Event streams: whatever the bytes and however they are cut, the same frames come out, and each
 * frame that is written again is read back the same. The first byte chooses where to cut. */
#include "net/sse.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void must(bool holds)
{
    if (!holds) abort();
}

static struct err note(void *arg, const struct sse_frame *frame)
{
    struct buf *out = arg;
    for (size_t i = 0; i < frame->data.count; i++) must(frame->data.at[i] != '\r');
    buf_addf(out, "%zu %zu %zu ", frame->name.count, frame->data.count, frame->id.count);
    buf_add_str(out, frame->name);
    buf_add_str(out, frame->id);
    sse_event(out, frame->id, frame->data);
    return OK;
}

static struct err data_only(void *arg, const struct sse_frame *frame)
{
    buf_add_str(arg, frame->data);
    return OK;
}

/* What was written is one event with the same data. */
static struct err again(void *arg, const struct sse_frame *frame)
{
    (void)arg;
    struct buf text = {0}, data = {0};
    struct sse_parser parser = {0};
    sse_event(&text, frame->id, frame->data);
    must(!failed(sse_feed(&parser, buf_str(&text), data_only, &data)));
    must(str_eq(buf_str(&data), frame->data));
    sse_parser_free(&parser);
    buf_free(&text);
    buf_free(&data);
    return OK;
}

static struct err parse(struct str stream, size_t step, sse_fn *fn, struct buf *out)
{
    struct sse_parser parser = {.event_bytes_max = 4096};
    struct err e = OK;
    for (size_t at = 0; at < stream.count && !failed(e); at += step) e = sse_feed(&parser, str_cut(stream, at, step), fn, out);
    if (!failed(e)) e = sse_end(&parser, fn, out);
    sse_parser_free(&parser);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0) return 0;
    struct str stream = {(const char *)bytes + 1, count - 1};
    struct buf whole = {0}, pieces = {0};
    struct err a = parse(stream, SIZE_MAX / 2, note, &whole), b = parse(stream, bytes[0] % 16 + 1u, note, &pieces);
    /* A line that came whole is never kept, so only pieces can be beyond the bound alone. */
    if (!failed(a) && !failed(b)) must(str_eq(buf_str(&whole), buf_str(&pieces)));
    must(failed(a) ? failed(b) : true);
    if (count < 4096) must(!failed(a) && !failed(b) && !failed(parse(stream, 7, again, 0)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
