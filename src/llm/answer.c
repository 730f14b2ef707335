/* llm/answer.c
 *
 * Which call a piece belongs to is the one thing that servers do not agree upon: most count with an
 * index, some leave it out, some send every whole call with index 0. So a piece begins a new call when
 * nothing collected so far can go on with it. */
#include "llm/answer.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/id.h"

static void fail(struct answer *a, enum err_code code, const char *what)
{
    if (!failed(a->fault)) a->fault = err(code, what);
}

/* Count what is kept; false = no more of it. */
static bool has_room(struct answer *a, size_t more)
{
    a->bytes_count += (int64_t)more;
    if (a->bytes_count > a->bytes_max) fail(a, ERR_LIMIT, "the model's answer is longer than answer_bytes_max");
    return !failed(a->fault);
}

static void grow(struct answer *a, struct buf *where, struct characters *end, struct str piece)
{
    if (piece.count == 0 || !has_room(a, piece.count)) return;
    a->has_begun = true;
    characters_add(end, piece, false, where);
    if (where->is_failed) fail(a, ERR_MEMORY, "no memory for the model's answer");
}

static void say(struct answer *a, size_t from)
{
    if (!a->say || failed(a->fault) || a->text.count == from) return;
    a->say(a->arg, str_n(a->text.at + from, a->text.count - from));
}

/* ---- calls ------------------------------------------------------------------------------ */
static bool is_object(struct str text)
{
    struct arena scratch = arena_new();
    struct json value;
    bool is = !failed(json_parse(&scratch, text, &value, NULL)) && json_type(value) == JSON_OBJECT;
    arena_free(&scratch);
    return is;
}

/* May this piece go on with this call? Not if it has another id. If it names a function: some servers
 * repeat id and name with every piece, so the same name may go on, until the arguments are whole (then
 * it is the next call of a server that does not count). Before the arguments, it may be a piece of the name. */
static bool may_go_on(const struct answer_call *call, const struct llm_delta *d)
{
    bool has_other_id = d->call_id.count > 0 && call->id.count > 0 && !str_eq(buf_str(&call->id), d->call_id);
    if (has_other_id) return false;
    if (d->call_name.count == 0 || call->name.count == 0) return true;
    bool is_same_id = d->call_id.count > 0 && str_eq(buf_str(&call->id), d->call_id);
    if (is_same_id) return true;
    if (call->arguments.count == 0) return d->call_index != LLM_SOME_CALL;
    return str_eq(buf_str(&call->name), d->call_name) && !is_object(buf_str(&call->arguments));
}

/* The newest that fits, so that a server that reuses an index goes on with what it began last. */
static struct answer_call *find_call(struct answer *a, const struct llm_delta *d)
{
    for (int i = a->calls_count - 1; i >= 0; i--) {
        struct answer_call *call = &a->calls[i];
        if (d->call_index == LLM_SOME_CALL) {
            bool is_known = d->call_id.count > 0 && str_eq(buf_str(&call->id), d->call_id);
            if (is_known || (i == a->calls_count - 1 && may_go_on(call, d))) return call;
        } else if (call->index == d->call_index) {
            return may_go_on(call, d) ? call : NULL;
        }
    }
    return NULL;
}

static struct answer_call *new_call(struct answer *a, int index)
{
    if (a->calls_count >= a->calls_max) {
        fail(a, ERR_UPSTREAM, "it asked for more tool calls at once than calls_max");
        return NULL;
    }
    if (a->calls_count == a->calls_capacity) {
        int capacity = a->calls_capacity ? a->calls_capacity * 2 : 4;
        struct answer_call *calls = realloc(a->calls, (size_t)capacity * sizeof *calls);
        if (!calls) {
            fail(a, ERR_MEMORY, "no memory for the model's answer");
            return NULL;
        }
        a->calls = calls;
        a->calls_capacity = capacity;
    }
    struct answer_call *call = &a->calls[a->calls_count++];
    *call = (struct answer_call){.index = index};
    return call;
}

static void hear_call(struct answer *a, const struct llm_delta *d)
{
    if (d->call_id.count + d->call_name.count + d->call_arguments.count == 0) return;
    if (!has_room(a, d->call_id.count + d->call_name.count + d->call_arguments.count)) return;
    a->has_begun = true;
    struct answer_call *call = find_call(a, d);
    if (!call) call = new_call(a, d->call_index);
    if (!call) return;
    if (call->id.count == 0) buf_add_str(&call->id, d->call_id);
    /* A name may come in pieces; one that is only repeated adds nothing. */
    if (!str_eq(buf_str(&call->name), d->call_name) && call->arguments.count == 0) buf_add_str(&call->name, d->call_name);
    buf_add_str(&call->arguments, d->call_arguments);
    if (call->id.is_failed || call->name.is_failed || call->arguments.is_failed)
        fail(a, ERR_MEMORY, "no memory for the model's answer");
}

/* ---- deltas ------------------------------------------------------------------------------- */
void answer_hear(void *arg, const struct llm_delta *d)
{
    struct answer *a = arg;
    if (failed(a->fault) || a->has_failed || a->is_ended) return;

    if (d->text.count > 0) {
        size_t from = a->text.count;
        grow(a, &a->text, &a->text_end, d->text);
        say(a, from);
    }
    grow(a, &a->thought, &a->thought_end, d->thought);
    grow(a, &a->refusal, &a->refusal_end, d->refusal);
    if (d->call_index != LLM_NO_CALL) hear_call(a, d);
    if (d->has_usage) a->usage = d->usage; /* servers that count as they go send it often: the last holds */
    if (d->finish.count > 0) {
        a->is_finished = true;
        snprintf(a->finish, sizeof a->finish, "%.*s", (int)(d->finish.count < 31 ? d->finish.count : 31), d->finish.at);
    }
    a->is_ended = d->is_end;
    if (d->error.count > 0) {
        a->has_failed = true;
        buf_add_str(&a->failure, str_cut(d->error, 0, 4096));
    }
}

/* ---- the turn ------------------------------------------------------------------------------- */

/* What came as text in pieces, as UTF-8 in the arena. */
static struct str whole(struct arena *arena, struct str text)
{
    struct buf out = {0};
    characters_add(&(struct characters){0}, text, true, &out);
    struct str copy = str_copy(arena, buf_str(&out));
    if (out.is_failed) arena->exhausted = true;
    buf_free(&out);
    return copy;
}

static bool is_id_used(const struct llm_turn *turn, struct str id)
{
    for (const struct llm_call *call = turn->calls; call; call = call->next)
        if (str_eq(call->id, id)) return true;
    return false;
}

static struct str new_id(struct arena *arena)
{
    unsigned char chance[12];
    char text[2 * sizeof chance + 1];
    random_bytes(chance, sizeof chance);
    for (size_t i = 0; i < sizeof chance; i++) snprintf(text + 2 * i, 3, "%02x", chance[i]);
    return strf(arena, "call_%s", text);
}

/* Results find their calls by id, so each call has one, and no other call the same. */
static void add_calls(struct arena *arena, const struct answer *a, struct llm_turn *turn)
{
    struct llm_call **last = &turn->calls;
    for (int i = 0; i < a->calls_count; i++) {
        struct llm_call *call = NEW(arena, struct llm_call);
        struct str id = whole(arena, buf_str(&a->calls[i].id));
        call->id = id.count == 0 || is_id_used(turn, id) ? new_id(arena) : id;
        call->name = whole(arena, buf_str(&a->calls[i].name));
        call->arguments = whole(arena, str_trim(buf_str(&a->calls[i].arguments)));
        call->is_broken = call->arguments.count > 0 && !is_object(call->arguments);
        *last = call;
        last = &call->next;
        turn->calls_count++;
    }
}

struct err answer_turn(struct arena *arena, struct answer *a, struct llm_turn *out)
{
    size_t from = a->text.count;
    characters_add(&a->text_end, S(""), true, &a->text);
    characters_add(&a->thought_end, S(""), true, &a->thought);
    characters_add(&a->refusal_end, S(""), true, &a->refusal);
    say(a, from);
    *out = (struct llm_turn){.usage = a->usage};
    out->text = str_copy(arena, buf_str(&a->text));
    out->thought = str_copy(arena, buf_str(&a->thought));
    out->refusal = str_copy(arena, buf_str(&a->refusal));
    out->finish = whole(arena, str(a->finish));
    add_calls(arena, a, out);
    bool is_short = arena->exhausted || a->text.is_failed || a->thought.is_failed || a->refusal.is_failed;
    return is_short ? err(ERR_MEMORY, "no memory for the model's answer") : OK;
}

void answer_free(struct answer *a)
{
    buf_free(&a->text);
    buf_free(&a->thought);
    buf_free(&a->refusal);
    buf_free(&a->failure);
    for (int i = 0; i < a->calls_count; i++) {
        buf_free(&a->calls[i].id);
        buf_free(&a->calls[i].name);
        buf_free(&a->calls[i].arguments);
    }
    free(a->calls);
    *a = (struct answer){0};
}
