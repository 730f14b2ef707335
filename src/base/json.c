#include "base/json.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>
#include "base/clock.h"
#include "base/hash.h"

/* Our own text may be nested a little deeper: a body is stored inside of other documents. */
enum { OWN_DEPTH_MAX = 2 * JSON_DEPTH_MAX, SMALL_OBJECT_KEYS = 12, TOGETHER = 32 };

/* ---- before parsing: levels and a bound of the number of values ------------------
 * yyjson does not recurse, but takes 16 bytes per value, which a million brackets would
 * make expensive before they are refused; and knowing how many values there can be lets
 * its one growing block be lent once (an arena cannot give back what was outgrown). */
struct scan {
    size_t values;  /* at most so many */
    size_t deep_at; /* where it went too deep; SIZE_MAX = nowhere */
};

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS (ONES << 7)
#define HAS_BYTE(word, byte) ((((word) ^ ONES * (byte)) - ONES) & ~((word) ^ ONES * (byte)) & HIGHS)

/* From after the opening quote to after the closing one, or to the end. */
static const char *skip_text(const char *p, const char *end)
{
    while (p < end) {
        uint64_t word;
        while (end - p >= 8) {
            memcpy(&word, p, 8);
            if (HAS_BYTE(word, '"') | HAS_BYTE(word, '\\')) break;
            p += 8;
        }
        while (p < end && *p != '"' && *p != '\\') p++;
        if (p < end && *p == '"') return p + 1;
        p += end - p > 1 ? 2 : 1;
    }
    return end;
}

static struct scan scan(struct str text, int depth_max)
{
    static const unsigned char classes[256] = {['"'] = 1, ['['] = 2, ['{'] = 2, [']'] = 3, ['}'] = 3, [','] = 4, [':'] = 4};
    struct scan result = {.values = 1, .deep_at = SIZE_MAX};
    const char *p = text.at, *end = text.at + text.count;
    int depth = 0;
    while (p < end) {
        switch (classes[(unsigned char)*p++]) {
        case 1: p = skip_text(p, end); break;
        case 2:
            result.values++;
            if (++depth > depth_max) {
                result.deep_at = (size_t)(p - 1 - text.at);
                return result;
            }
            break;
        case 3: depth--; break;
        case 4: result.values++; break;
        default: break;
        }
    }
    return result;
}

/* ---- memory: yyjson asks the arena -------------------------------------------------- */
struct lender {
    struct arena *arena;
    size_t need; /* what all values will take at most */
    void *block; /* the values, and how far they may grow in place */
    size_t room;
};

static void *lend(void *cx, size_t size)
{
    struct lender *l = cx;
    size_t room = size, unit = sizeof(yyjson_val);
    while (room < l->need) room += (room / unit / 2 + (room < 2 * unit)) * unit; /* the steps in which yyjson grows */
    l->block = arena_try_alloc(l->arena, room);
    l->room = room;
    return l->block;
}

static void *lend_more(void *cx, void *old, size_t old_size, size_t size)
{
    struct lender *l = cx;
    if (old == l->block && size <= l->room) return old;
    void *block = arena_try_alloc(l->arena, size);
    if (block) memcpy(block, old, old_size < size ? old_size : size);
    return block;
}

static void lend_end(void *cx, void *block) { (void)cx, (void)block; }

/* ---- twins: no key twice in one object ------------------------------------------------
 * All values of a document stand in one row, so objects are found without descending. */
static bool keys_equal(yyjson_val *a, yyjson_val *b)
{
    return str_eq(str_n(a->uni.str, unsafe_yyjson_get_len(a)), str_n(b->uni.str, unsafe_yyjson_get_len(b)));
}

static yyjson_val *twin_in_small(yyjson_val *object, size_t count)
{
    yyjson_val *keys[SMALL_OBJECT_KEYS];
    yyjson_val *key = unsafe_yyjson_get_first(object);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            if (keys_equal(keys[j], key)) return key;
        keys[i] = key;
        key = unsafe_yyjson_get_next(key + 1);
    }
    return NULL;
}

/* A table of positions, empty = 0 (the object itself stands there), each with the upper half of
 * its key's hash, so that only twins are looked at themselves. Some keys together, because nearly all the time
 * of a million keys is spent waiting for the table's memory. False: no memory. */
static bool twin_in_large(struct arena *a, yyjson_val *object, size_t count, yyjson_val **twin)
{
    struct arena_mark mark = arena_mark(a);
    size_t slots = 32;
    while (slots < count * 2) slots *= 2;
    uint64_t *table = arena_try_alloc(a, slots * sizeof *table);
    if (!table) return false;
    yyjson_val *key = unsafe_yyjson_get_first(object), *keys[TOGETHER];
    uint64_t hashes[TOGETHER];
    for (size_t done = 0; done < count && !*twin; done += TOGETHER) {
        size_t n = count - done < TOGETHER ? count - done : TOGETHER;
        for (size_t i = 0; i < n; i++, key = unsafe_yyjson_get_next(key + 1)) {
            keys[i] = key;
            hashes[i] = hash_str(str_n(key->uni.str, unsafe_yyjson_get_len(key)));
            __builtin_prefetch(&table[hashes[i] & (slots - 1)], 1);
        }
        for (size_t i = 0; i < n && !*twin; i++) {
            uint64_t upper = hashes[i] >> 32 << 32;
            size_t slot = hashes[i] & (slots - 1);
            for (; table[slot] && !*twin; slot = (slot + 1) & (slots - 1))
                if ((table[slot] ^ upper) <= UINT32_MAX && keys_equal(object + (uint32_t)table[slot], keys[i])) *twin = keys[i];
            table[slot] = upper | (uint64_t)(keys[i] - object);
        }
    }
    arena_rewind(a, mark);
    return true;
}

static bool find_twin(struct arena *a, yyjson_doc *doc, yyjson_val **twin)
{
    *twin = NULL;
    for (size_t i = 0; i < doc->val_read && !*twin; i++) {
        yyjson_val *v = doc->root + i;
        if (!unsafe_yyjson_is_obj(v)) continue;
        size_t count = unsafe_yyjson_get_len(v);
        if (count <= SMALL_OBJECT_KEYS) *twin = twin_in_small(v, count);
        else if (!twin_in_large(a, v, count, twin)) return false;
    }
    return true;
}

/* ---- reading ---------------------------------------------------------------------------- */
static struct err refuse(struct json_fault *fault, size_t at, const char *why)
{
    *fault = (struct json_fault){at, why};
    return err(ERR_INVALID, why);
}

static struct err no_memory(struct json_fault *fault)
{
    *fault = (struct json_fault){0, "no memory for this text"};
    return err(ERR_MEMORY, fault->why);
}

static struct err parse(struct arena *a, struct str text, int depth_max, bool is_own, struct json *out,
                        struct json_fault *fault)
{
    if (text.count == 0) return refuse(fault, 0, "the text is empty");
    if (text.count > UINT32_MAX / 2) return refuse(fault, 0, "the text is too long");
    struct scan s = scan(text, depth_max);
    if (s.deep_at != SIZE_MAX) return refuse(fault, s.deep_at, "nested too deeply");

    /* A value takes two bytes, with its comma; only what is still open when it goes wrong takes one. */
    size_t values_max = text.count / 2 + (size_t)depth_max + 1;
    if (s.values > values_max) s.values = values_max;
    char *copy = arena_try_alloc(a, text.count + YYJSON_PADDING_SIZE);
    if (!copy) return no_memory(fault);
    memcpy(copy, text.at, text.count);
    struct lender lender = {.arena = a, .need = sizeof(yyjson_doc) + (s.values + 4) * sizeof(yyjson_val)};
    yyjson_alc alc = {lend, lend_more, lend_end, &lender};
    yyjson_read_err e = {0};
    yyjson_doc *doc = yyjson_read_opts(copy, text.count, YYJSON_READ_INSITU | YYJSON_READ_BIGNUM_AS_RAW, &alc, &e);
    if (!doc) return e.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? no_memory(fault) : refuse(fault, e.pos, e.msg);

    yyjson_val *twin = NULL;
    if (!is_own && !find_twin(a, doc, &twin)) return no_memory(fault);
    /* Texts are unescaped where they stand, so a key still begins after its own quote. */
    if (twin) return refuse(fault, (size_t)(twin->uni.str - copy) - 1, "the same key twice in one object");
    out->value = doc->root;
    return OK;
}

struct err json_parse(struct arena *a, struct str text, struct json *out, struct json_fault *fault)
{
    struct arena_mark mark = arena_mark(a);
    struct json_fault unused;
    *out = (struct json){0};
    struct err e = parse(a, text, JSON_DEPTH_MAX, false, out, fault ? fault : &unused);
    if (failed(e)) arena_rewind(a, mark);
    return e;
}

struct err json_parse_own(struct arena *a, struct str text, struct json *out)
{
    struct arena_mark mark = arena_mark(a);
    struct json_fault unused;
    *out = (struct json){0};
    struct err e = parse(a, text, OWN_DEPTH_MAX, true, out, &unused);
    if (failed(e)) arena_rewind(a, mark);
    return e;
}

/* ---- looking ------------------------------------------------------------------------------- */
static yyjson_val *val(struct json j) { return (yyjson_val *)(uintptr_t)j.value; }

static bool is_whole_int64(double v) { return v >= -0x1p63 && v < 0x1p63 && v == trunc(v); }

enum json_type json_type(struct json j)
{
    if (!j.value) return JSON_ABSENT;
    switch (yyjson_get_type(val(j))) {
    case YYJSON_TYPE_NULL: return JSON_NULL;
    case YYJSON_TYPE_BOOL: return JSON_BOOL;
    case YYJSON_TYPE_STR: return JSON_TEXT;
    case YYJSON_TYPE_ARR: return JSON_LIST;
    case YYJSON_TYPE_OBJ: return JSON_OBJECT;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_sint(val(j))) return JSON_INT;
        if (yyjson_is_uint(val(j))) return yyjson_get_uint(val(j)) <= INT64_MAX ? JSON_INT : JSON_NUMBER;
        return is_whole_int64(yyjson_get_real(val(j))) ? JSON_INT : JSON_NUMBER;
    default: return JSON_NUMBER; /* kept as text: beyond 64 bits */
    }
}

bool json_is_null(struct json j) { return yyjson_is_null(val(j)); }
bool json_is_there(struct json j) { return j.value != NULL; }

struct json json_get(struct json object, const char *name)
{
    return (struct json){yyjson_obj_getn(val(object), name, strlen(name))};
}

bool json_bool(struct json j) { return yyjson_get_bool(val(j)); }

int64_t json_int(struct json j)
{
    if (json_type(j) != JSON_INT) return 0;
    return yyjson_is_real(val(j)) ? (int64_t)yyjson_get_real(val(j)) : yyjson_get_sint(val(j));
}

double json_number(struct json j)
{
    if (yyjson_is_raw(val(j))) return strtod(yyjson_get_raw(val(j)), NULL);
    return yyjson_get_num(val(j));
}

struct str json_text(struct json j)
{
    if (!yyjson_is_str(val(j))) return S("");
    return str_n(yyjson_get_str(val(j)), yyjson_get_len(val(j)));
}

size_t json_count(struct json j) { return yyjson_is_ctn(val(j)) ? yyjson_get_len(val(j)) : 0; }

struct json_each json_each(struct json of)
{
    struct json_each e = {.of = of};
    if (json_count(of)) e.place = unsafe_yyjson_get_first(val(of));
    return e;
}

bool json_next(struct json_each *e)
{
    if (e->at >= json_count(e->of)) return false;
    yyjson_val *v = (yyjson_val *)(uintptr_t)e->place;
    if (yyjson_is_obj(val(e->of))) {
        e->key = str_n(v->uni.str, unsafe_yyjson_get_len(v));
        v++;
    }
    e->item.value = v;
    e->place = unsafe_yyjson_get_next(v);
    e->at++;
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------- */
static const char escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    [0] = 'u', [1] = 'u', [2] = 'u', [3] = 'u', [4] = 'u', [5] = 'u', [6] = 'u', [7] = 'u', [11] = 'u', [14] = 'u',
    [15] = 'u', [16] = 'u', [17] = 'u', [18] = 'u', [19] = 'u', [20] = 'u', [21] = 'u', [22] = 'u', [23] = 'u',
    [24] = 'u', [25] = 'u', [26] = 'u', [27] = 'u', [28] = 'u', [29] = 'u', [30] = 'u', [31] = 'u',
};

/* How many bytes from here on need no escape. */
static size_t plain_run(const char *at, size_t count)
{
    size_t i = 0;
    uint64_t word;
    for (; i + 8 <= count; i += 8) {
        memcpy(&word, at + i, 8);
        uint64_t controls = (word - ONES * 0x20) & ~word & HIGHS;
        if (controls | HAS_BYTE(word, '"') | HAS_BYTE(word, '\\')) break;
    }
    while (i < count && !escapes[(unsigned char)at[i]]) i++;
    return i;
}

void json_put_text_inner(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.count;) {
        size_t run = plain_run(s.at + i, s.count - i);
        buf_add(b, s.at + i, run);
        i += run;
        if (i == s.count) break;
        unsigned char c = (unsigned char)s.at[i++];
        char e = escapes[c];
        if (e == 'u') {
            char six[6] = {'\\', 'u', '0', '0', (char)('0' + (c >> 4)), "0123456789abcdef"[c & 15]};
            buf_add(b, six, 6);
        } else {
            buf_add(b, (char[2]){'\\', e}, 2);
        }
    }
}

void json_put_text(struct buf *b, struct str s)
{
    if (!buf_reserve(b, s.count + 2)) return; /* the usual case needs no more */
    b->at[b->count++] = '"';
    json_put_text_inner(b, s);
    buf_add(b, "\"", 1);
}

void json_put_text_or_null(struct buf *b, struct str s)
{
    if (s.at) json_put_text(b, s);
    else buf_add(b, "null", 4);
}

void json_put_int(struct buf *b, int64_t v)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (v < 0) *--p = '-';
    buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

/* The shortest text that reads back as the same number is yyjson's craft. */
static void put_real(struct buf *b, yyjson_val *v)
{
    char room[1024];
    yyjson_alc pool;
    size_t count = 0;
    yyjson_alc_pool_init(&pool, room, sizeof room);
    const char *text = yyjson_val_write_opts(v, YYJSON_WRITE_NOFLAG, &pool, &count, NULL);
    if (text) buf_add(b, text, count);
    else b->is_failed = true;
}

void json_put_number(struct buf *b, double number)
{
    assert(isfinite(number));
    yyjson_val v = {0};
    unsafe_yyjson_set_real(&v, number);
    put_real(b, &v);
}

void json_put_bool(struct buf *b, bool is_true) { buf_add(b, is_true ? "true" : "false", is_true ? 4 : 5); }
void json_put_raw(struct buf *b, struct str json) { buf_add_str(b, json); }

void json_put_time(struct buf *b, int64_t us)
{
    char text[CLOCK_TEXT_BYTES + 2];
    if (us == 0) {
        buf_add(b, "null", 4);
        return;
    }
    text[0] = text[CLOCK_TEXT_BYTES + 1] = '"';
    clock_print(us, text + 1);
    buf_add(b, text, sizeof text);
}

void json_put_comma(struct buf *b)
{
    if (b->count == 0) return;
    char last = b->at[b->count - 1];
    if (last != '{' && last != '[' && last != ':') buf_add(b, ",", 1);
}

void json_put_key(struct buf *b, const char *name)
{
    size_t count = strlen(name);
    if (!buf_reserve(b, count + 4)) return;
    json_put_comma(b);
    char *p = b->at + b->count;
    *p++ = '"';
    memcpy(p, name, count);
    memcpy(p + count, "\":", 2);
    b->count += count + 3;
}

/* ---- compact ---------------------------------------------------------------------------------- */
static void put_scalar(struct buf *b, yyjson_val *v)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_STR: json_put_text(b, str_n(v->uni.str, unsafe_yyjson_get_len(v))); break;
    case YYJSON_TYPE_BOOL: json_put_bool(b, yyjson_get_bool(v)); break;
    case YYJSON_TYPE_RAW: buf_add(b, v->uni.str, unsafe_yyjson_get_len(v)); break;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_sint(v) || (yyjson_is_uint(v) && v->uni.u64 <= INT64_MAX)) json_put_int(b, v->uni.i64);
        else put_real(b, v);
        break;
    default: buf_add(b, "null", 4);
    }
}

/* Values stand in a row in the order of the text; what is open is kept in `open`, as twice
 * the number of items to come plus one for an object. False: longer than bytes_max. */
static bool put_container(struct buf *b, yyjson_val *v, size_t bytes_max)
{
    uint64_t open[OWN_DEPTH_MAX];
    int depth = 0;
    bool is_key = false, is_first = true;
    do {
        if (b->count > bytes_max || (yyjson_is_str(v) && unsafe_yyjson_get_len(v) > bytes_max)) return false;
        if (depth && (is_key || !(open[depth - 1] & 1)) && !is_first) buf_add(b, ",", 1);
        is_first = false;
        if (is_key) {
            json_put_text(b, str_n(v->uni.str, unsafe_yyjson_get_len(v)));
            buf_add(b, ":", 1);
            is_key = false;
            v++;
            continue;
        }
        if (depth) open[depth - 1] -= 2;
        if (unsafe_yyjson_is_ctn(v)) {
            bool is_object = unsafe_yyjson_is_obj(v);
            buf_add(b, is_object ? "{" : "[", 1);
            assert(depth < OWN_DEPTH_MAX);
            open[depth++] = (uint64_t)unsafe_yyjson_get_len(v) * 2 + is_object;
            is_first = true;
        } else {
            put_scalar(b, v);
        }
        for (; depth && open[depth - 1] < 2; depth--, is_first = false) buf_add(b, open[depth - 1] ? "}" : "]", 1);
        is_key = depth && (open[depth - 1] & 1);
        v++;
    } while (depth);
    return true;
}

void json_put(struct buf *b, struct json j)
{
    if (!j.value) buf_add(b, "null", 4);
    else if (unsafe_yyjson_is_ctn(val(j))) put_container(b, val(j), SIZE_MAX);
    else put_scalar(b, val(j));
}

/* Copied once more, because an arena cannot give back the growth of a buffer. */
static struct str into_arena(struct arena *a, struct buf *b)
{
    char *at = b->is_failed ? NULL : arena_try_alloc(a, b->count + 1);
    if (at) memcpy(at, b->at, b->count);
    else a->exhausted = true;
    struct str text = at ? str_n(at, b->count) : (struct str){0};
    buf_free(b);
    return text;
}

struct str json_compact(struct arena *a, struct json j)
{
    struct buf b = {0};
    json_put(&b, j);
    return into_arena(a, &b);
}

struct str json_compact_short(struct arena *a, struct json j, size_t bytes_max)
{
    struct buf b = {0};
    if (json_text(j).count > bytes_max) return (struct str){0};
    bool is_whole = true;
    if (j.value && unsafe_yyjson_is_ctn(val(j))) is_whole = put_container(&b, val(j), bytes_max);
    else json_put(&b, j);
    if (b.count <= bytes_max && !b.is_failed && is_whole) return into_arena(a, &b);
    buf_free(&b);
    return (struct str){0};
}
