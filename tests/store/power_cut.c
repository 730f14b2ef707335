/* The power is cut at every sync of some random lives of a store, and what is left is looked at: every
 * acknowledged batch is there whole, no other one is there half, every living owner's content opens, and no
 * destroyed key opens anything. Then life goes on from what was left.
 *
 * A kill of the process alone would prove nothing about syncs: the system still has all that was written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/crypto.h"
#include "house.h"
#include "power.h"
#include "store/disk.h"
#include "store/master.h"
#include "store/ring.h"
#include "store/sqlite.h"

enum { OWNERS_MAX = 160, SEALED_BYTES = 96, STEPS = 14, LIVES = 6 };

/* What the test was told, and so may expect of the disk. */
enum fate {
    SENT,      /* its batch was given to the store: there whole or not at all */
    LIVES_ON,  /* answered: there */
    LEAVING,   /* the batch that deletes it was given */
    GONE,      /* that was answered: not there */
    DESTROYED, /* its key too */
    NEVER,     /* refused or lost: not there */
};
struct owner {
    enum fate fate;
    int64_t slot;
    int pairs_sent, pairs_answered; /* of entries: two in each batch */
    int pairs_named;                /* so that no two have the same numbers, lost ones neither */
    size_t sealed_count;
    char sealed[SEALED_BYTES];
};
struct ledger {
    int count; /* owners[1..count] */
    bool has_org;
    struct owner owners[OWNERS_MAX];
};

static struct ledger ledger;
static const char *scratch;
static char image_dir[300];
static int64_t images;
static const char *trouble; /* found inside of a cut, where nothing may jump out */
static struct arena looking;

static struct seal_place place_of_owner(int64_t n) { return (struct seal_place){"task", "sealed", n, n, 0}; }
static struct str text_of_owner(struct arena *a, int64_t n) { return strf(a, "what a person wrote to %lld", (long long)n); }

/* ---- looking at what is left --------------------------------------------------------- */

static bool wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool wrong(const char *format, ...)
{
    static char text[512];
    if (trouble) return false;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trouble = text;
    return false;
}

static bool opens(const struct store *store, const struct secret *key, int64_t n)
{
    const struct owner *o = &ledger.owners[n];
    struct str plain;
    return !failed(unseal(&looking, store, key, place_of_owner(n), str_n(o->sealed, o->sealed_count), &plain)) &&
           str_eq(plain, text_of_owner(&looking, n));
}

/* With nothing but the files: what a thief of the disk finds after the cut, before anybody starts agentd on it. */
static bool look_at_keys(const char *installation)
{
    unsigned char master[32], key[32];
    struct ring ring;
    struct cells *cells = cells_open();
    struct store bare = {0};
    bool is_good = true;
    snprintf(bare.installation, sizeof bare.installation, "%s", installation);
    if (failed(master_read(arena_printf(&looking, "%s/data/master.key", image_dir), master)) ||
        failed(ring_open(&ring, arena_printf(&looking, "%s/data/keyring", image_dir), cells, master))) {
        cells_close(cells);
        return true; /* then nothing opens */
    }
    for (int64_t n = 1; n <= ledger.count; n++) {
        if (ledger.owners[n].fate != DESTROYED || !ring_unwrap(&ring, ledger.owners[n].slot, key)) continue;
        struct secret secret = {.key = key};
        if (opens(&bare, &secret, n)) is_good = wrong("the destroyed key of %lld still opens", (long long)n);
    }
    ring_close(&ring);
    cells_close(cells);
    return is_good;
}

static bool look_at_owner(struct ctx *cx, struct store *store, int64_t n)
{
    const struct owner *o = &ledger.owners[n];
    struct rows row, entries;
    struct secret key;
    if (failed(db_read(cx, store->db, POINT("SELECT slot, sealed FROM task WHERE n = $1"), ARGS(num(n)), &row)) ||
        failed(db_read(cx, store->db, POINT("SELECT count(*), count(DISTINCT n / 2) FROM entry WHERE task = $1"), ARGS(num(n)), &entries)))
        return wrong("rows of %lld are not to be read", (long long)n);
    bool is_there = row.count == 1;
    if (is_there && (o->fate == GONE || o->fate == DESTROYED || o->fate == NEVER)) return wrong("%lld is back", (long long)n);
    if (!is_there && o->fate == LIVES_ON) return wrong("%lld was answered and is not there", (long long)n);
    int64_t each = row_num(&entries, 0, 0), pairs = row_num(&entries, 0, 1);
    if (each != 2 * pairs) return wrong("half a batch of %lld", (long long)n);
    if (!is_there) {
        if (each) return wrong("entries of %lld without it", (long long)n);
        bool is_open = !failed(keyring_key(store->keyring, o->slot, &key));
        bool is_bad = is_open && o->fate != SENT && o->fate != NEVER && opens(store, &key, n);
        secret_drop(store->keyring, &key);
        return is_bad ? wrong("%lld is deleted and its key opens", (long long)n) : true;
    }
    if (pairs < o->pairs_answered || pairs > o->pairs_sent) return wrong("%lld has %lld pairs", (long long)n, (long long)pairs);
    if (row_num(&row, 0, 0) != o->slot) return wrong("%lld has another slot", (long long)n);
    if (failed(keyring_key(store->keyring, o->slot, &key))) return wrong("the key of %lld is lost", (long long)n);
    bool is_open = str_eq(row_text(&row, 0, 1), str_n(o->sealed, o->sealed_count)) && opens(store, &key, n);
    secret_drop(store->keyring, &key);
    return is_open ? true : wrong("%lld lives and its content does not open", (long long)n);
}

/* Whatever is handed out next has sealed nothing, and is nobody's. */
static bool look_at_new_keys(struct ctx *cx, struct store *store)
{
    int64_t slots[10];
    for (int i = 0; i < 10; i++) {
        struct secret key;
        struct batch *b = batch_new(cx->arena);
        struct rows row;
        if (failed(keyring_take(cx, store->keyring, b, &slots[i], &key))) return wrong("no slot is to be had");
        for (int j = 0; j < i; j++)
            if (slots[i] == slots[j]) return wrong("a slot was handed out twice");
        for (int64_t n = 1; n <= ledger.count; n++)
            if (ledger.owners[n].slot == slots[i] && opens(store, &key, n)) return wrong("a used key was handed out again");
        secret_drop(store->keyring, &key);
        if (failed(db_read(cx, store->db, POINT("SELECT count(*) FROM task WHERE slot = $1"), ARGS(num(slots[i])), &row)))
            return wrong("tasks are not to be read");
        if (row_num(&row, 0, 0)) return wrong("a slot in use was handed out");
    }
    return true;
}

static void remove_image(void)
{
    const char *files[] = {"agentd.db", "agentd.db-wal", "agentd.db-shm", "agentd.db-journal", "keyring", "keyring.new", "master.key",
                           "master.key.new", "lock"};
    char path[400];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/data/%s", image_dir, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/data", image_dir);
    rmdir(path);
}

static char installation[40];
static bool by_command; /* the next life begins with `agentd key` */

static bool look_inside(struct ctx *cx, struct store *store, bool thoroughly)
{
    struct rows row;
    bool is_good = true;
    if (ledger.has_org && strcmp(store->installation, installation) != 0) return wrong("it is another installation");
    if (ledger.has_org && count_of(cx, store->db, "SELECT count(*) FROM organization") != 1) return wrong("the organisation is lost");
    for (int64_t n = 1; n <= ledger.count && is_good; n++) is_good = look_at_owner(cx, store, n);
    if (thoroughly && failed(db_read(cx, store->db, POINT("PRAGMA integrity_check"), NO_ARGS, &row))) return wrong("no check");
    if (thoroughly && !str_is(row_text(&row, 0, 0), "ok")) return wrong("the database is damaged");
    return is_good && look_at_new_keys(cx, store);
}

static void look(const struct world *left, bool thoroughly)
{
    struct ctx cx = {.arena = &looking};
    struct store *store;
    char data[320];
    snprintf(data, sizeof data, "%s/data", image_dir);
    remove_image();
    world_write(left, image_dir);
    images++;
    if (!look_at_keys(installation)) return;
    struct store_settings settings = house_settings(data);
    struct err e = store_open(&cx, &settings, &store);
    if (failed(e)) {
        wrong("it does not open: %s", e.what);
        return;
    }
    look_inside(&cx, store, thoroughly);
    store_close(&cx, store);
    arena_free(&looking);
}

/* ---- a life -------------------------------------------------------------------------- */

struct life {
    uint64_t dice;
    int64_t cuts, goes_on_after; /* which cut the next life begins with */
    bool is_killed;              /* the next life begins with a dead process, not with a cut */
    int steps;
    unsigned kinds;              /* of what a cut leaves: which are looked at */
    struct world *next;
    struct ledger next_ledger;
};

static void keep_for_next(struct life *life, struct world *w)
{
    life->next = w;
    life->next_ledger = ledger;
}

static void at_cut(void *arg)
{
    struct life *life = arg;
    if (trouble) return;
    uint64_t seed = power_dice(&life->dice, UINT64_MAX);
    bool is_last = life->cuts++ == life->goes_on_after;
    for (int kind = 0; kind < LEFT_KINDS && !trouble; kind++) {
        if (!(life->kinds >> kind & 1)) continue;
        struct world *left = power_cut((enum power_left)kind, seed);
        look(left, (life->cuts + kind) % 7 == 0);
        bool keep = is_last && !life->is_killed && kind == (int)(seed % LEFT_KINDS);
        if (keep) keep_for_next(life, left);
        else world_free(left);
    }
    if (is_last && life->is_killed) keep_for_next(life, power_kill());
}

/* What the next life finds is what the ledger is from then on. */
static void learn(struct ctx *cx, struct store *store)
{
    for (int64_t n = 1; n <= ledger.count; n++) {
        struct owner *o = &ledger.owners[n];
        struct rows row;
        CHECK_OK(db_read(cx, store->db, POINT("SELECT count(*), (SELECT count(*) FROM entry WHERE task = $1) FROM task WHERE n = $1"),
                         ARGS(num(n)), &row));
        bool is_there = row_num(&row, 0, 0);
        if (o->fate == SENT) o->fate = is_there ? LIVES_ON : NEVER;
        if (o->fate == LEAVING || o->fate == GONE) o->fate = is_there ? LIVES_ON : DESTROYED; /* swept when it opened */
        if (is_there) o->pairs_sent = o->pairs_answered = (int)row_num(&row, 0, 1) / 2;
    }
}

static int64_t any_living(struct life *life)
{
    int64_t start = (int64_t)power_dice(&life->dice, (uint64_t)ledger.count + 1);
    for (int64_t i = 0; i <= ledger.count; i++) {
        int64_t n = (start + i) % (ledger.count + 1);
        if (n > 0 && ledger.owners[n].fate == LIVES_ON) return n;
    }
    return 0;
}

static void entries_of(struct batch *b, int64_t n)
{
    int64_t first = 2 * (1000 * n + ledger.owners[n].pairs_named++);
    ledger.owners[n].pairs_sent++;
    entry_batch(b, n, first, 1, S("one"));
    entry_batch(b, n, first + 1, 1, S("other"));
}

static struct batch *create(struct ctx *cx, struct store *store, int64_t n)
{
    struct owner *o = &ledger.owners[n];
    struct secret key;
    struct str sealed;
    struct batch *b = batch_new(cx->arena);
    *o = (struct owner){.fate = SENT};
    CHECK_OK(keyring_take(cx, store->keyring, b, &o->slot, &key));
    CHECK_OK(seal(cx->arena, store, &key, place_of_owner(n), text_of_owner(cx->arena, n), &sealed));
    secret_drop(store->keyring, &key);
    CHECK(sealed.count <= SEALED_BYTES);
    memcpy(o->sealed, sealed.at, o->sealed_count = sealed.count);
    task_batch(b, n, o->slot, sealed);
    entries_of(b, n);
    return b;
}

/* Now and then a write or a sync fails. A group that was lost is told so, and yet may be found after a cut: until
 * the next commit stands in its place. */
static bool has_lost;
static int64_t fails_before;

static void fail_perhaps(struct life *life)
{
    if (power_dice(&life->dice, 5) == 0) power_fail_at(1 + (int64_t)power_dice(&life->dice, 8), EIO);
    fails_before = power_failures();
}

/* Was anything lost since? */
static bool fail_no_more(void)
{
    power_fail_at(0, 0);
    if (power_failures() == fails_before) return false;
    return has_lost = true;
}

static void settle_lost(void)
{
    for (int64_t n = 1; n <= ledger.count && has_lost; n++) {
        struct owner *o = &ledger.owners[n];
        if (o->fate == SENT) o->fate = NEVER;
        if (o->fate == LEAVING) o->fate = LIVES_ON;
        o->pairs_sent = o->pairs_answered;
    }
    has_lost = false;
}

/* Several at once in one group; one of them sometimes refused, half way. */
static void create_some(struct life *life, struct ctx *cx, struct store *store)
{
    struct batch *batches[4];
    struct err outcomes[4];
    int count = 1 + (int)power_dice(&life->dice, 4);
    if (ledger.count + count >= OWNERS_MAX) return;
    int64_t first = ledger.count + 1;
    for (int i = 0; i < count; i++) {
        ledger.count++;
        batches[i] = create(cx, store, first + i);
        if (power_dice(&life->dice, 6) == 0) entry_batch(batches[i], first + i, 1, 99, S("stale"));
    }
    fail_perhaps(life);
    db_write_together(cx, store->db, batches, count, outcomes);
    bool is_lost = fail_no_more(), was_written = false;
    for (int i = 0; i < count; i++) {
        struct owner *o = &ledger.owners[first + i];
        was_written = was_written || !failed(outcomes[i]);
        if (!failed(outcomes[i])) o->fate = LIVES_ON;
        else if (!is_lost) o->fate = NEVER;
        if (!failed(outcomes[i])) o->pairs_answered = o->pairs_sent;
        else keyring_untake(store->keyring, o->slot);
    }
    if (!is_lost && was_written) settle_lost(); /* one of refusals alone writes nothing */
}

static void append(struct life *life, struct ctx *cx, struct store *store)
{
    int64_t n = any_living(life);
    if (!n) return;
    struct batch *b = batch_new(cx->arena);
    entries_of(b, n);
    fail_perhaps(life);
    struct err e = db_write(cx, store->db, b);
    bool is_lost = fail_no_more();
    CHECK(is_lost || !failed(e));
    if (failed(e)) return;
    ledger.owners[n].pairs_answered++;
    settle_lost();
}

static void delete_some(struct life *life, struct ctx *cx, struct store *store, bool destroys)
{
    int64_t owners[3], slots[3];
    int count = 0;
    struct batch *b = batch_new(cx->arena);
    for (int i = 0; i < 3; i++) {
        int64_t n = any_living(life);
        if (!n) break;
        ledger.owners[n].fate = LEAVING;
        owners[count] = n;
        slots[count++] = ledger.owners[n].slot;
        batch_add(b, "DELETE FROM task WHERE n = $1", ARGS(num(n)), 1);
        batch_add(b, "INSERT INTO slot (n, state) VALUES ($1, 1)", ARGS(num(ledger.owners[n].slot)), 1);
    }
    if (count == 0) return;
    fail_perhaps(life);
    struct err e = db_write(cx, store->db, b);
    bool is_lost = fail_no_more();
    CHECK(is_lost || !failed(e));
    if (failed(e)) return;
    for (int i = 0; i < count; i++) ledger.owners[owners[i]].fate = GONE;
    settle_lost();
    if (!destroys) return;
    fail_perhaps(life);
    e = keyring_destroy(cx, store->keyring, slots, count);
    if (fail_no_more() && failed(e)) e = keyring_destroy(cx, store->keyring, slots, count); /* ask again */
    CHECK_OK(e);
    for (int i = 0; i < count; i++) ledger.owners[owners[i]].fate = DESTROYED;
}

static void make_org(struct ctx *cx, struct store *store)
{
    if (ledger.has_org) return;
    if (count_of(cx, store->db, "SELECT count(*) FROM organization") == 0) add_org(cx, store->db, 1);
    memcpy(installation, store->installation, sizeof installation);
    ledger.has_org = true;
}

/* The organisation is made by the server, or by `agentd key` before any server ran. */
static struct store *begin(struct ctx *cx, const char *top)
{
    char *data = arena_printf(cx->arena, "%s/data", top);
    struct store_settings settings = house_settings(data);
    settings.checkpoint_pages = 24;
    struct store *store;
    if (by_command) {
        CHECK_OK(store_open_rows(cx, &settings, &store));
        make_org(cx, store);
        store_close(cx, store);
        by_command = false;
    }
    CHECK_OK(store_open(cx, &settings, &store));
    make_org(cx, store);
    learn(cx, store);
    return store;
}

static void live(struct life *life, const char *top)
{
    struct ctx cx = plain_cx();
    struct store *store = begin(&cx, top);
    for (int step = 0; step < life->steps && !trouble; step++) {
        struct arena_mark mark = arena_mark(cx.arena);
        uint64_t what = power_dice(&life->dice, 12);
        if (what < 5) create_some(life, &cx, store);
        else if (what < 8) append(life, &cx, store);
        else if (what < 11) delete_some(life, &cx, store, what != 10);
        else {
            store_close(&cx, store);
            store = begin(&cx, top);
        }
        arena_rewind(cx.arena, mark);
    }
    store_close(&cx, store);
}

static void begin_history(bool with_command)
{
    ledger = (struct ledger){0};
    installation[0] = 0;
    by_command = with_command;
    trouble = NULL;
    has_lost = false;
    scratch = power_dir();
    snprintf(image_dir, sizeof image_dir, "%s/image", scratch);
    mkdir(image_dir, 0700);
}

/* A row of lives, each beginning with what a cut or a kill in the one before left. */
static void live_and_die(uint64_t seed)
{
    struct world *from = NULL;
    begin_history(seed % 2 == 0);
    uint64_t dice = seed;
    for (int number = 0; number < LIVES && !trouble; number++) {
        static struct life life; /* large */
        life = (struct life){.dice = power_dice(&dice, UINT64_MAX), .goes_on_after = (int64_t)power_dice(&dice, number < 2 ? 8 : 40),
                             .is_killed = power_dice(&dice, 4) == 0, .steps = STEPS, .kinds = ~0u};
        char *top = arena_printf(test_arena(), "%s/%llu.%d", scratch, (unsigned long long)seed, number);
        power_on(top, from, at_cut, &life);
        world_free(from);
        live(&life, top);
        from = life.next;
        bool was_early = !from; /* it had fewer cuts than that: begin anew where it ended */
        if (was_early) from = power_kill();
        else ledger = life.next_ledger;
        power_off();
        if (trouble) printf("  seed %llu, life %d, cut %lld: %s\n", (unsigned long long)seed, number, (long long)life.cuts, trouble);
    }
    world_free(from);
    CHECK(!trouble);
}

/* Two rows of lives here; AGENTD_LIVES=100 for a night. */
TEST(a_power_cut_at_any_sync_loses_nothing_answered_and_brings_nothing_back)
{
    const char *more = getenv("AGENTD_LIVES");
    uint64_t rows = more ? (uint64_t)atoi(more) : 2;
    images = 0;
    for (uint64_t seed = getenv("AGENTD_FROM") ? (uint64_t)atoi(getenv("AGENTD_FROM")) : 1; seed <= rows; seed++) live_and_die(seed);
    if (!getenv("AGENTD_FROM")) CHECK(images > 600 * (int64_t)rows);
}

/* The process dies (the system does not) at the n-th sync of a start; the power goes during the next one, which found what
 * was not on the disk yet. */
static bool dies_and_starts_again(struct world *from, int64_t nth, const char *name)
{
    static struct life first, second; /* large */
    first = (struct life){.goes_on_after = nth, .is_killed = true};
    power_on(arena_printf(test_arena(), "%s/%s%lld", scratch, name, (long long)nth), from, at_cut, &first);
    live(&first, arena_printf(test_arena(), "%s/%s%lld", scratch, name, (long long)nth));
    power_off();
    if (!first.next) return false;
    ledger = first.next_ledger;
    second = (struct life){.goes_on_after = -1, .kinds = 1u << LEFT_NONE | 1u << LEFT_TORN, .steps = 1};
    char *top = arena_printf(test_arena(), "%s/%s%lld.again", scratch, name, (long long)nth);
    power_on(top, first.next, at_cut, &second);
    world_free(first.next);
    live(&second, top);
    power_off();
    if (trouble) printf("  %s start, killed at sync %lld, cut %lld: %s\n", name, (long long)nth, (long long)second.cuts, trouble);
    CHECK(!trouble);
    return true;
}

TEST(a_start_that_was_killed_at_any_sync_is_made_good_by_the_next)
{
    int64_t kills = 0;
    begin_history(false);
    while (dies_and_starts_again(NULL, kills, "first")) {
        begin_history(false);
        kills++;
    }
    CHECK(kills > 10);

    static struct life quiet;
    quiet = (struct life){.goes_on_after = -1, .steps = 6};
    begin_history(false);
    power_on(house_path(scratch, "before"), NULL, at_cut, &quiet);
    live(&quiet, house_path(scratch, "before"));
    struct world *before = power_kill();
    struct ledger as_it_was = ledger;
    power_off();
    for (kills = 0; dies_and_starts_again(before, kills, "second"); kills++) ledger = as_it_was;
    world_free(before);
    CHECK(kills > 4);
}
