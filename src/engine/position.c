#include "engine/position.h"

static bool number(struct str *s, char end, int64_t *out)
{
    size_t digits = 0;
    while (digits < s->count && s->at[digits] >= '0' && s->at[digits] <= '9') digits++;
    if (!digits || !str_to_int(str_n(s->at, digits), out)) return false;
    *s = str_cut(*s, digits, s->count);
    if (!end) return true;
    if (!s->count || s->at[0] != end) return false;
    *s = str_cut(*s, 1, s->count);
    return true;
}

bool position_read(struct str s, struct position *out)
{
    struct position_live *live = out->live;
    *out = (struct position){.live = live};
    if (s.count > POSITION_BYTES_MAX) return false;
    if (!number(&s, '-', &out->task) || !number(&s, '-', &out->n) || !number(&s, 0, &out->events)) return false;
    while (s.count) {
        if (s.at[0] != '_' || out->live_count == POSITION_LIVE_MAX) return false;
        s = str_cut(s, 1, s.count);
        struct position_live *l = &live[out->live_count++];
        if (!number(&s, '-', &l->step) || !number(&s, 0, &l->bytes)) return false;
    }
    return true;
}

static void put_number(struct buf *out, char before, int64_t n)
{
    char text[24], *at = text + sizeof text;
    do *--at = (char)('0' + n % 10);
    while (n /= 10);
    if (before) *--at = before;
    buf_add(out, at, (size_t)(text + sizeof text - at));
}

void position_write(struct buf *out, const struct position *p)
{
    put_number(out, 0, p->task);
    put_number(out, '-', p->n);
    put_number(out, '-', p->events);
    for (int i = 0; i < p->live_count; i++) {
        put_number(out, '_', p->live[i].step);
        put_number(out, '-', p->live[i].bytes);
    }
}

static int find(const struct position *p, int64_t step)
{
    int i = 0;
    while (i < p->live_count && p->live[i].step != step) i++;
    return i;
}

int64_t position_seen(const struct position *p, int64_t step)
{
    int i = find(p, step);
    return i < p->live_count ? p->live[i].bytes : 0;
}

void position_see(struct position *p, int64_t step, int64_t bytes)
{
    int i = find(p, step);
    if (!bytes) {
        if (i < p->live_count) p->live[i] = p->live[--p->live_count];
        return;
    }
    if (i == p->live_count) {
        if (i == POSITION_LIVE_MAX) return;
        p->live_count++;
    }
    p->live[i] = (struct position_live){step, bytes};
}
