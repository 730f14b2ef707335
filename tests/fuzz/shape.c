/* The first byte chooses: create or update, and which allocation fails. The rest is the body. Faults are always
 * JSON and bounded; what is read without faults can be written, stored and loaded, and is the same. */
#include "base/shape.h"
#include "fuzz.h"

static const char *const words[] = {"a", "b", NULL};
struct part {
    bool is_there;
    struct str t;
    int64_t n;
};
static const struct field part_fields[] = {
    {.name = "t", .aliases = {"u"}, .kind = FIELD_TEXT, .flags = REQUIRED, .at = offsetof(struct part, t)},
    {.name = "n", .kind = FIELD_INT, .at = offsetof(struct part, n)},
};
static const struct shape part_shape = {"part", sizeof(struct part), part_fields, 2};
struct thing {
    struct str t, o, l, s, r, j;
    bool b;
    int64_t i, m;
    double d;
    int e, f;
    struct part p, q;
};
#define AT(member) .at = offsetof(struct thing, member)
static const struct field fields[] = {
    {.name = "t", .aliases = {"tt", "ttt", "T"}, .kind = FIELD_TEXT, .flags = REQUIRED, AT(t), .low = 1, .high = 4},
    {.name = "o", .kind = FIELD_OBJECT, .flags = NULLABLE, AT(o)},
    {.name = "l", .kind = FIELD_LIST, AT(l), .normal = "[]", .high = 3},
    {.name = "s", .kind = FIELD_TEXTS, AT(s), .normal = "[]"},
    {.name = "r", .kind = FIELD_OBJECTS, .flags = NULLABLE, AT(r)},
    {.name = "j", .kind = FIELD_JSON, .flags = NULLABLE, AT(j)},
    {.name = "b", .kind = FIELD_BOOL, AT(b), .normal = "true"},
    {.name = "i", .aliases = {"m"}, .kind = FIELD_INT, AT(i), .low = -5, .high = 5},
    {.name = "m", .kind = FIELD_INT, .flags = NULLABLE | CREATE_ONLY, AT(m)},
    {.name = "d", .kind = FIELD_NUMBER, .flags = NULLABLE, AT(d)},
    {.name = "e", .kind = FIELD_ENUM, AT(e), .words = words, .normal = "\"b\""},
    {.name = "f", .kind = FIELD_ENUM, .flags = NULLABLE | LITERAL, AT(f), .words = words},
    {.name = "p", .kind = FIELD_SHAPE, AT(p), .inner = &part_shape},
    {.name = "q", .kind = FIELD_SHAPE, .flags = NULLABLE, AT(q), .inner = &part_shape},
};
static const struct shape shape = {"thing", sizeof(struct thing), fields, sizeof fields / sizeof *fields};

/* A row from outside may hold twins in what is kept as it is; a request may not. */
static void check_good(struct arena *a, const struct thing *thing, bool is_row)
{
    struct buf first = {0}, second = {0};
    struct thing again;
    struct json j;
    shape_write(&first, &shape, thing);
    MUST(!failed(is_row ? json_parse_own(a, buf_str(&first), &j) : json_parse(a, buf_str(&first), &j, NULL)));
    MUST(json_count(j) == (size_t)shape.fields_count);
    first.count = 0;
    shape_store(&first, &shape, thing);
    shape_defaults(a, &shape, &again);
    MUST(!failed(shape_load(a, &shape, buf_str(&first), &again)));
    shape_store(&second, &shape, &again);
    MUST(str_eq(buf_str(&first), buf_str(&second)));
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0) return 0;
    struct arena a = arena_new();
    struct json body = {0}, j;
    struct thing thing;
    struct given given;
    struct faults f = faults_new(&a);
    arena_fail_at = bytes[0] >> 2;
    bool may_fail = arena_fail_at > 0;
    struct err e = json_parse(&a, str_n((const char *)bytes + 1, count - 1), &body, NULL);
    if (!failed(e)) {
        shape_defaults(&a, &shape, &thing);
        shape_read(&a, &shape, bytes[0] & 1 ? SHAPE_CREATE : SHAPE_UPDATE, body, LOC(NULL, "body"), &thing, &given, &f);
        struct str text = faults_body(&f);
        arena_fail_at = 0;
        MUST(f.count <= FAULTS_MAX);
        if (!a.exhausted) {
            MUST(!failed(json_parse(&a, text, &j, NULL)) && json_count(json_get(j, "detail")) == (size_t)f.count);
            if (f.count == 0) check_good(&a, &thing, false);
        }
        MUST(!a.exhausted || may_fail);
    }
    arena_fail_at = 0;
    faults_free(&f);

    /* As a row it is good, or refused. */
    shape_defaults(&a, &shape, &thing);
    if (!failed(shape_load(&a, &shape, str_n((const char *)bytes + 1, count - 1), &thing)) && !a.exhausted)
        check_good(&a, &thing, true);
    arena_free(&a);
    return 0;
}
