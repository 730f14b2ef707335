#include "base/shape.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* MODE_LOAD reads back what shape_store wrote: times are there, rules for callers are not. */
enum { MODE_CREATE = SHAPE_CREATE, MODE_UPDATE = SHAPE_UPDATE, MODE_LOAD };
enum { FIELDS_MAX = 128, NAMES_MAX = 4, INDEX_SLOTS = 1024, LINEAR_KEYS_MAX = 12 };

static bool bit(const uint64_t *bits, int i) { return bits[i / 64] >> i % 64 & 1; }
static void set_bit(uint64_t *bits, int i) { bits[i / 64] |= UINT64_C(1) << i % 64; }

static bool has_flag(const uint64_t *bits, const struct shape *shape, size_t offset)
{
    for (int i = 0; i < shape->fields_count; i++)
        if (shape->fields[i].at == offset) return bit(bits, i);
    return false;
}

bool is_given(const struct given *g, const struct shape *shape, size_t offset) { return has_flag(g->there, shape, offset); }
bool is_given_null(const struct given *g, const struct shape *shape, size_t offset)
{
    return has_flag(g->null, shape, offset);
}

/* ---- defaults ------------------------------------------------------------------------------ */
static int word_index(const struct field *f, struct str word)
{
    for (int i = 0; f->words[i]; i++)
        if (str_is(word, f->words[i])) return i;
    return -1;
}

static void custom_default(struct arena *a, const struct field *f, void *whole, void *at)
{
    struct faults none = faults_new(a);
    struct reading r = {.arena = a, .faults = &none, .whole = whole};
    struct json value = {0};
    struct err e = json_parse_own(a, str(f->normal), &value);
    if (failed(e)) a->exhausted = true; /* the table's own text: only memory can be missing */
    else f->read(&r, value, LOC(NULL, f->name), at);
    assert(none.count == 0);
    faults_free(&none);
}

static void null_row(struct arena *a, const struct field *f, void *at)
{
    switch (f->kind) {
    case FIELD_BOOL: *(bool *)at = false; break;
    case FIELD_INT: *(int64_t *)at = f->flags & NULLABLE ? FIELD_INT_NULL : 0; break;
    case FIELD_NUMBER: *(double *)at = f->flags & NULLABLE ? (double)NAN : 0; break;
    case FIELD_TIME: *(int64_t *)at = 0; break;
    case FIELD_ENUM: *(int *)at = f->flags & NULLABLE ? -1 : 0; break;
    case FIELD_SHAPE: shape_defaults(a, f->inner, at); break; /* is_there is false in them */
    case FIELD_CUSTOM: break;
    default: *(struct str *)at = (struct str){0};
    }
}

/* A default is JSON, but nothing that needs a parser: texts without escapes, words, numbers. */
static void default_row(struct arena *a, const struct field *f, void *whole, void *at)
{
    struct str normal = str(f->normal);
    if (!f->normal || (str_is(normal, "null") && f->kind != FIELD_CUSTOM)) {
        null_row(a, f, at);
        return;
    }
    struct str inside = normal.count >= 2 ? str_cut(normal, 1, normal.count - 2) : S("");
    switch (f->kind) {
    case FIELD_TEXT:
        assert(normal.at[0] == '"' && !memchr(normal.at, '\\', normal.count));
        *(struct str *)at = inside;
        break;
    case FIELD_BOOL: *(bool *)at = normal.at[0] == 't'; break;
    case FIELD_INT:
    case FIELD_TIME: *(int64_t *)at = strtoll(normal.at, NULL, 10); break;
    case FIELD_NUMBER: *(double *)at = strtod(normal.at, NULL); break;
    case FIELD_ENUM:
        *(int *)at = word_index(f, inside);
        assert(*(int *)at >= 0);
        break;
    case FIELD_SHAPE:
        shape_defaults(a, f->inner, at);
        if (f->flags & NULLABLE) *(bool *)at = true;
        break;
    case FIELD_CUSTOM: custom_default(a, f, whole, at); break;
    default: *(struct str *)at = normal;
    }
}

void shape_defaults(struct arena *a, const struct shape *shape, void *out)
{
    assert(shape->fields_count <= FIELDS_MAX);
    memset(out, 0, shape->size);
    for (int i = 0; i < shape->fields_count; i++)
        default_row(a, &shape->fields[i], out, (char *)out + shape->fields[i].at);
}

void shape_keep(struct arena *a, const struct shape *shape, void *whole)
{
    for (int i = 0; i < shape->fields_count; i++) {
        const struct field *f = &shape->fields[i];
        struct str *text = (void *)((char *)whole + f->at);
        switch (f->kind) {
        case FIELD_BOOL:
        case FIELD_INT:
        case FIELD_NUMBER:
        case FIELD_TIME:
        case FIELD_ENUM:
        case FIELD_CUSTOM: break;
        case FIELD_SHAPE: shape_keep(a, f->inner, text); break;
        default:
            if (text->at) *text = str_copy(a, *text);
        }
    }
}

/* ---- which key is which field ---------------------------------------------------------------
 * Bodies with a few keys compare each with every name: the first byte settles nearly all of
 * them. A body of many keys (somebody sends back what was read, or a million unknown ones)
 * is worth a table on the stack. Measured: the two meet at about 12 keys. */
struct found {
    struct json value[FIELDS_MAX];
    unsigned char name[FIELDS_MAX]; /* which of its names was sent: 0, or an alias from 1 on */
    uint64_t differs[2];            /* two names were sent, with different values */
};

static const char *name_of(const struct field *f, int name) { return name ? f->aliases[name - 1] : f->name; }

static bool is_readable(const struct field *f, int mode)
{
    if (mode == MODE_LOAD) return !(f->flags & UNSTORED);
    unsigned not_now = READ_ONLY | (mode == MODE_CREATE ? UPDATE_ONLY : CREATE_ONLY);
    return !(f->flags & not_now) && f->kind != FIELD_TIME;
}

static bool is_name(struct str key, const char *name)
{
    return *name == *key.at && strlen(name) == key.count && memcmp(name, key.at, key.count) == 0;
}

/* The code of a name is its row * NAMES_MAX + which name; -1 = unknown. */
static int find_linear(const struct shape *shape, int mode, struct str key)
{
    int code = -1;
    if (key.count == 0) return -1;
    for (int i = 0; i < shape->fields_count; i++) {
        const struct field *f = &shape->fields[i];
        if (is_name(key, f->name) && is_readable(f, mode)) return i * NAMES_MAX;
        for (int n = 1; n < NAMES_MAX && f->aliases[n - 1] && code < 0; n++)
            if (is_name(key, f->aliases[n - 1]) && is_readable(f, mode)) code = i * NAMES_MAX + n;
    }
    return code;
}

struct name_index {
    uint16_t slots[INDEX_SLOTS]; /* code + 1; at most half are taken, whatever a caller sends */
};

static size_t slot_of(struct str key)
{
    uint32_t h = 2166136261;
    for (size_t i = 0; i < key.count && i < 64; i++) h = (h ^ (unsigned char)key.at[i]) * 16777619;
    return (h ^ h >> 15) % INDEX_SLOTS;
}

static int find_indexed(const struct name_index *index, const struct shape *shape, struct str key)
{
    if (key.count == 0) return -1;
    for (size_t slot = slot_of(key); index->slots[slot]; slot = (slot + 1) % INDEX_SLOTS) {
        int code = index->slots[slot] - 1;
        if (is_name(key, name_of(&shape->fields[code / NAMES_MAX], code % NAMES_MAX))) return code;
    }
    return -1;
}

static void index_names(struct name_index *index, const struct shape *shape, int mode)
{
    memset(index, 0, sizeof *index);
    for (int n = 0; n < NAMES_MAX; n++) { /* names first, so that they go before aliases */
        for (int i = 0; i < shape->fields_count; i++) {
            const struct field *f = &shape->fields[i];
            const char *name = name_of(f, n);
            if (!name || !is_readable(f, mode) || find_indexed(index, shape, str(name)) >= 0) continue;
            size_t slot = slot_of(str(name));
            while (index->slots[slot]) slot = (slot + 1) % INDEX_SLOTS;
            index->slots[slot] = (uint16_t)(i * NAMES_MAX + n + 1);
        }
    }
}

static bool is_same(struct json a, struct json b)
{
    struct buf left = {0}, right = {0};
    json_put(&left, a);
    json_put(&right, b);
    bool same = str_eq(buf_str(&left), buf_str(&right));
    buf_free(&left);
    buf_free(&right);
    return same;
}

static void note(struct found *found, int code, struct json value)
{
    int row = code / NAMES_MAX;
    struct json *seen = &found->value[row];
    if (json_is_there(*seen) && json_is_null(value)) return; /* a null beside a value is nothing */
    if (json_is_there(*seen) && !json_is_null(*seen)) {
        if (!is_same(*seen, value)) set_bit(found->differs, row);
        return;
    }
    *seen = value;
    found->name[row] = (unsigned char)(code % NAMES_MAX);
}

static void __attribute__((noinline)) find_many(const struct shape *shape, int mode, struct json body, struct found *found)
{
    struct name_index index;
    index_names(&index, shape, mode);
    for (struct json_each e = json_each(body); json_next(&e);) {
        int code = find_indexed(&index, shape, e.key);
        if (code >= 0) note(found, code, e.item);
    }
}

/* What shape_store wrote has its keys in the table's order: one comparison for each. False: somebody else
 * wrote it, or another version of the table. */
static bool find_in_order(const struct shape *shape, struct json body, struct found *found)
{
    int row = 0;
    for (struct json_each e = json_each(body); json_next(&e); row++) {
        if (e.key.count == 0) return false;
        while (row < shape->fields_count &&
               (shape->fields[row].flags & UNSTORED || !is_name(e.key, shape->fields[row].name)))
            row++;
        if (row == shape->fields_count) return false;
        found->value[row] = e.item;
    }
    return true;
}

static void find_all(const struct shape *shape, int mode, struct json body, struct found *found)
{
    memset(found, 0, sizeof *found);
    if (mode == MODE_LOAD) {
        if (find_in_order(shape, body, found)) return;
        memset(found, 0, sizeof *found);
    }
    if (json_count(body) > LINEAR_KEYS_MAX) {
        find_many(shape, mode, body, found);
        return;
    }
    for (struct json_each e = json_each(body); json_next(&e);) {
        int code = find_linear(shape, mode, e.key);
        if (code >= 0) note(found, code, e.item);
    }
}

/* ---- reading one value ------------------------------------------------------------------------ */
struct place {
    struct reading *reading;
    const struct field *field;
    int mode;
    struct json value;
    const struct loc *loc;
    void *at;
};

static bool wrong(const struct place *p, const char *type)
{
    fault_plain(p->reading->faults, type, p->loc, fault_input(p->reading->faults, p->value));
    return false;
}

static bool read_text(const struct place *p)
{
    const struct field *f = p->field;
    struct faults *faults = p->reading->faults;
    if (json_type(p->value) != JSON_TEXT) return wrong(p, "string_type");
    struct str text = json_text(p->value);
    if (f->high > 0 && p->mode != MODE_LOAD) {
        int64_t length = (int64_t)str_code_points(text);
        if (length < f->low) fault_text_short(faults, p->loc, fault_input(faults, p->value), f->low);
        if (length > f->high) fault_text_long(faults, p->loc, fault_input(faults, p->value), f->high);
        if (length < f->low || length > f->high) return false;
    }
    *(struct str *)p->at = text;
    return true;
}

static bool read_int(const struct place *p)
{
    const struct field *f = p->field;
    struct faults *faults = p->reading->faults;
    bool has_bounds = (f->low || f->high) && p->mode != MODE_LOAD;
    enum json_type type = json_type(p->value);
    if (type != JSON_INT && type != JSON_NUMBER) return wrong(p, "int_type");
    double number = type == JSON_NUMBER ? json_number(p->value) : 0;
    if (number != trunc(number)) return wrong(p, "int_from_float");
    int64_t v = json_int(p->value);
    if (type == JSON_NUMBER) { /* whole and beyond int64: so it is beyond the bounds */
        if (!has_bounds) return wrong(p, "int_parsing_size");
        v = number < 0 ? INT64_MIN : INT64_MAX;
    }
    bool is_low = has_bounds && (v < f->low || (type == JSON_NUMBER && number < 0));
    bool is_high = has_bounds && (v > f->high || (type == JSON_NUMBER && number > 0));
    if (is_low) fault_low(faults, p->loc, fault_input(faults, p->value), f->low);
    if (is_high) fault_high(faults, p->loc, fault_input(faults, p->value), f->high);
    if (is_low || is_high) return false;
    *(int64_t *)p->at = v;
    return true;
}

static bool read_number(const struct place *p)
{
    enum json_type type = json_type(p->value);
    if (type != JSON_INT && type != JSON_NUMBER) return wrong(p, "float_type");
    double v = json_number(p->value);
    if (!isfinite(v)) return wrong(p, "finite_number");
    *(double *)p->at = v;
    return true;
}

static bool read_enum(const struct place *p)
{
    int i = json_type(p->value) == JSON_TEXT ? word_index(p->field, json_text(p->value)) : -1;
    if (i >= 0) {
        *(int *)p->at = i;
        return true;
    }
    struct faults *faults = p->reading->faults;
    fault_enum(faults, p->loc, fault_input(faults, p->value), p->field->words, p->field->flags & LITERAL);
    return false;
}

/* A list, whose items are of one type unless item_type is JSON_ABSENT. */
static bool read_list(const struct place *p, enum json_type item_type, const char *item_fault)
{
    const struct field *f = p->field;
    struct faults *faults = p->reading->faults;
    if (json_type(p->value) != JSON_LIST) return wrong(p, "list_type");
    size_t count = json_count(p->value);
    bool has_bounds = f->high > 0 && p->mode != MODE_LOAD;
    if (has_bounds && (int64_t)count > f->high) {
        fault_list_long(faults, p->loc, fault_input(faults, p->value), f->high, count);
        return false;
    }
    bool is_good = true;
    int64_t i = 0;
    for (struct json_each e = json_each(p->value); item_type != JSON_ABSENT && json_next(&e); i++) {
        if (json_type(e.item) == item_type) continue;
        is_good = false;
        fault_plain(faults, item_fault, LOC_INDEX(p->loc, i), fault_input(faults, e.item));
        if (faults->count >= FAULTS_MAX) break;
    }
    if (is_good && has_bounds && (int64_t)count < f->low) {
        fault_list_short(faults, p->loc, fault_input(faults, p->value), f->low, count);
        return false;
    }
    if (is_good) *(struct str *)p->at = json_compact(p->reading->arena, p->value);
    return is_good;
}

static bool read_time(const struct place *p)
{
    if (json_type(p->value) != JSON_INT) return wrong(p, "int_type");
    *(int64_t *)p->at = json_int(p->value);
    return true;
}

static bool read_object(struct reading *, const struct shape *, int mode, struct json, const struct loc *, void *out,
                        struct given *);

static bool read_shape(const struct place *p)
{
    const struct field *f = p->field;
    int mode = p->mode;
    if (json_type(p->value) != JSON_OBJECT) return wrong(p, "model_attributes_type");
    if (f->flags & NULLABLE) {
        shape_defaults(p->reading->arena, f->inner, p->at);
        *(bool *)p->at = true;
        if (mode == MODE_UPDATE) mode = MODE_CREATE;
    }
    return read_object(p->reading, f->inner, mode, p->value, p->loc, p->at, NULL);
}

static bool read_kind(const struct place *p)
{
    switch (p->field->kind) {
    case FIELD_TEXT: return read_text(p);
    case FIELD_BOOL:
        if (json_type(p->value) != JSON_BOOL) return wrong(p, "bool_type");
        *(bool *)p->at = json_bool(p->value);
        return true;
    case FIELD_INT: return read_int(p);
    case FIELD_NUMBER: return read_number(p);
    case FIELD_TIME: return read_time(p);
    case FIELD_ENUM: return read_enum(p);
    case FIELD_OBJECT:
        if (json_type(p->value) != JSON_OBJECT) return wrong(p, "dict_type");
        *(struct str *)p->at = json_compact(p->reading->arena, p->value);
        return true;
    case FIELD_LIST: return read_list(p, JSON_ABSENT, NULL);
    case FIELD_TEXTS: return read_list(p, JSON_TEXT, "string_type");
    case FIELD_OBJECTS: return read_list(p, JSON_OBJECT, "dict_type");
    case FIELD_JSON: *(struct str *)p->at = json_compact(p->reading->arena, p->value); return true;
    case FIELD_SHAPE: return read_shape(p);
    case FIELD_CUSTOM: break;
    }
    return true;
}

static void read_row(const struct place *p)
{
    const struct field *f = p->field;
    bool is_custom = f->kind == FIELD_CUSTOM;
    if (json_is_null(p->value) && !(is_custom && (p->mode == MODE_LOAD || !f->normal))) {
        if (p->mode == MODE_LOAD) null_row(p->reading->arena, f, p->at);
        else default_row(p->reading->arena, f, p->reading->whole, p->at);
        return;
    }
    bool is_good = read_kind(p);
    if (f->read && (is_custom || (is_good && p->mode != MODE_LOAD))) f->read(p->reading, p->value, p->loc, p->at);
}

/* ---- reading an object ------------------------------------------------------------------------- */
static bool read_object(struct reading *r, const struct shape *shape, int mode, struct json body, const struct loc *loc,
                        void *out, struct given *given)
{
    struct found found;
    int faults_before = r->faults->count;
    assert(shape->fields_count <= FIELDS_MAX);
    find_all(shape, mode, body, &found);
    for (int i = 0; i < shape->fields_count; i++) {
        const struct field *f = &shape->fields[i];
        struct json value = found.value[i];
        bool is_null = json_is_null(value), is_there = json_is_there(value) && (!is_null || f->flags & NULLABLE);
        if (given && is_null) set_bit(given->null, i);
        if (!is_there) {
            if (mode == MODE_CREATE && f->flags & REQUIRED && is_readable(f, mode))
                fault_missing(r->faults, LOC(loc, f->name), fault_input(r->faults, body));
            if (mode == MODE_LOAD && is_readable(f, mode) && f->kind != FIELD_CUSTOM)
                default_row(r->arena, f, r->whole, (char *)out + f->at);
            continue;
        }
        if (given) set_bit(given->there, i);
        struct loc here = {.up = loc, .name = name_of(f, found.name[i])};
        if (bit(found.differs, i)) {
            fault_value(r->faults, &here, fault_input(r->faults, value),
                        arena_printf(r->arena, "%s was given under two names with different values", f->name));
            continue;
        }
        read_row(&(struct place){r, f, mode, value, &here, (char *)out + f->at});
    }
    return r->faults->count == faults_before;
}

void shape_read(struct arena *a, const struct shape *shape, enum shape_mode mode, struct json body, const struct loc *loc,
                void *out, struct given *given, struct faults *faults)
{
    struct reading r = {.arena = a, .faults = faults, .whole = out};
    if (given) *given = (struct given){0};
    if (!json_is_there(body)) {
        fault_missing(faults, loc, S("null"));
    } else if (json_type(body) != JSON_OBJECT) {
        fault_plain(faults, "model_attributes_type", loc, fault_input(faults, body));
    } else {
        read_object(&r, shape, (int)mode, body, loc, out, given);
    }
    if (faults->items.is_failed) a->exhausted = true;
}

struct err shape_load(struct arena *a, const struct shape *shape, struct str stored, void *out)
{
    struct json body;
    struct err e = json_parse_own(a, stored, &body);
    if (failed(e)) return e.code == ERR_MEMORY ? e : err(ERR_IO, "what was stored is no JSON");
    if (json_type(body) != JSON_OBJECT) return err(ERR_IO, "what was stored is no object");
    struct faults faults = faults_new(a);
    struct reading r = {.arena = a, .faults = &faults, .whole = out, .is_stored = true};
    bool is_good = read_object(&r, shape, MODE_LOAD, body, NULL, out, NULL);
    faults_free(&faults);
    return is_good ? OK : err(ERR_IO, "what was stored does not fit its shape");
}

/* ---- writing --------------------------------------------------------------------------------------- */
static void put_word(struct buf *b, const char *word)
{
    size_t count = strlen(word);
    if (!buf_reserve(b, count + 2)) return;
    char *p = b->at + b->count;
    *p = '"';
    memcpy(p + 1, word, count);
    p[count + 1] = '"';
    b->count += count + 2;
}

/* `empty` stands for a text that is null where the contract has no null. */
static void put_kept(struct buf *b, const struct field *f, struct str json, const char *empty)
{
    if (json.at) buf_add_str(b, json);
    else buf_add_str(b, f->flags & NULLABLE ? S("null") : str(empty));
}

static void put_shape(struct buf *, const struct shape *, const void *, unsigned left_out);

static void put_value(struct buf *b, const struct field *f, const void *at, unsigned left_out)
{
    bool is_nullable = f->flags & NULLABLE;
    switch (f->kind) {
    case FIELD_TEXT:
        if (is_nullable) json_put_text_or_null(b, *(const struct str *)at);
        else json_put_text(b, *(const struct str *)at);
        break;
    case FIELD_BOOL: json_put_bool(b, *(const bool *)at); break;
    case FIELD_INT:
        if (is_nullable && *(const int64_t *)at == FIELD_INT_NULL) buf_add(b, "null", 4);
        else json_put_int(b, *(const int64_t *)at);
        break;
    case FIELD_NUMBER:
        if (is_nullable && isnan(*(const double *)at)) buf_add(b, "null", 4);
        else json_put_number(b, *(const double *)at);
        break;
    case FIELD_TIME: /* as a number where only we read it: cheaper, and exact for any year */
        if (left_out & UNSTORED) json_put_int(b, *(const int64_t *)at);
        else json_put_time(b, *(const int64_t *)at);
        break;
    case FIELD_ENUM:
        if (*(const int *)at < 0) buf_add(b, "null", 4);
        else put_word(b, f->words[*(const int *)at]);
        break;
    case FIELD_OBJECT: put_kept(b, f, *(const struct str *)at, "{}"); break;
    case FIELD_LIST:
    case FIELD_TEXTS:
    case FIELD_OBJECTS: put_kept(b, f, *(const struct str *)at, "[]"); break;
    case FIELD_JSON: put_kept(b, f, *(const struct str *)at, "null"); break;
    case FIELD_SHAPE:
        if (is_nullable && !*(const bool *)at) buf_add(b, "null", 4);
        else put_shape(b, f->inner, at, left_out);
        break;
    case FIELD_CUSTOM: f->write(b, at); break;
    }
}

/* What a row need not keep, because shape_load finds it in the defaults: exactly that, null and empty are two. */
static bool is_default(const struct field *f, const void *at);

static bool is_all_default(const struct shape *shape, const void *from)
{
    for (int i = 0; i < shape->fields_count; i++) {
        const struct field *f = &shape->fields[i];
        if (!(f->flags & UNSTORED) && !is_default(f, (const char *)from + f->at)) return false;
    }
    return true;
}

static bool is_default(const struct field *f, const void *at)
{
    union {
        struct str text;
        int64_t number;
        double real;
        int index;
        bool is_true;
    } normal;
    if (f->kind == FIELD_CUSTOM) return false;
    if (f->kind == FIELD_SHAPE) return f->flags & NULLABLE ? !f->normal && !*(const bool *)at : is_all_default(f->inner, at);
    default_row(NULL, f, NULL, &normal);
    switch (f->kind) {
    case FIELD_BOOL: return *(const bool *)at == normal.is_true;
    case FIELD_INT:
    case FIELD_TIME: return *(const int64_t *)at == normal.number;
    case FIELD_NUMBER: return memcmp(at, &normal.real, sizeof normal.real) == 0;
    case FIELD_ENUM: return *(const int *)at == normal.index;
    default: break;
    }
    const struct str *text = at;
    return !text->at == !normal.text.at && str_eq(*text, normal.text);
}

static void put_shape(struct buf *b, const struct shape *shape, const void *from, unsigned left_out)
{
    buf_add(b, "{", 1);
    for (int i = 0; i < shape->fields_count; i++) {
        const struct field *f = &shape->fields[i];
        if (f->flags & left_out) continue;
        if (left_out & UNSTORED && is_default(f, (const char *)from + f->at)) continue;
        json_put_key(b, f->name);
        put_value(b, f, (const char *)from + f->at, left_out);
    }
    buf_add(b, "}", 1);
}

void shape_write(struct buf *b, const struct shape *shape, const void *from) { put_shape(b, shape, from, HIDDEN); }
void shape_store(struct buf *b, const struct shape *shape, const void *from) { put_shape(b, shape, from, UNSTORED); }
