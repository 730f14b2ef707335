/* tests/crash/crash.c: histories and points.
 *
 * A history is a row of lives of one server. The first life is the scripted one, the same for all histories of
 * a script: it is cut off at a chosen write or sync, from the first of its start to the last of its end, by each
 * kind of death in turn. What it left begins the next life, which at random dies too, also in its start;
 * the last one lives on: all that was accepted comes to its end, and everything is looked at.
 *
 *   make crash N=1000 SEED=1    N points more; build/crash/done remembers how far each script has come */
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crash.h"
#include "store/power.h"

enum { ACTS = 24, LIVES = 4, START_STEPS = 80, PRIME = 7919 };

uint64_t dice_seed;
static char scratch[128], base[160], about[256];
static int64_t points, points_of[DEATH_KINDS], starts_cut, at_rest, broken_off, histories;

uint64_t dice(uint64_t sides) { return power_dice(&dice_seed, sides); }

const char *f(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) abort();
    va_end(args);
    const char *kept = str_z(test_arena(), str(text));
    free(text);
    return kept;
}

const char *child_log(void)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/log", scratch);
    return path;
}

/* What lies there now, beside those that are removed. */
static void keep_files(void)
{
    const char *top = getenv("TMPDIR"), *kept = f("%s/agentd-crash-%d", top ? top : "/tmp", (int)getpid());
    if (system(f("rm -rf '%s' && cp -r '%s' '%s'", kept, scratch, kept)) == 0) printf("\n  kept in %s\n", kept);
}

void trouble(const char *format, ...)
{
    va_list args;
    printf("  %s, life %d (%s at %lld of %lld%s):\n  ", about, generation, death_words[child.plan.kind],
           (long long)child.plan.step, (long long)child_steps(), child_is_alive() ? "" : ", dead");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    child_kill();
    keep_files();
    fflush(stdout);
    test_fail(__FILE__, __LINE__, "a promise was broken");
}

/* ---- directories ------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *t)
{
    (void)s, (void)type, (void)t;
    return remove(path);
}

static void remove_all(const char *directory) { nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void make_base(void)
{
    snprintf(scratch, sizeof scratch, "%s", power_dir());
    snprintf(base, sizeof base, "%s/base", scratch);
    peer_open();
    mkdir(f("%s/empty", scratch), 0700);
    child_start(base, f("%s/empty", scratch), &(struct plan){0});
    const char *made = child_command(f("%s/data", base), "create", "anna"), *at = strstr(made, "\"key\":\"");
    if (!at) trouble("no key: %s", made);
    static char key[64];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(at + 7, "\""), at + 7);
    peer_key = key;
    while (pump(50) && !child.is_up)
        ;
    life_agents();
    peer_close();
    child_stop();
}

/* ---- one life ----------------------------------------------------------------------- */

static void check_death(void)
{
    if (child.is_broken_off) {
        peer_close();
        return;
    }
    for (int64_t until = now_ms() + 5000; pump(5);) /* a line is cut before its end is known */
        if (now_ms() > until) trouble("it lives, and hung up without an answer");
    if (!child_has_died()) trouble("the server ended by itself with %x", (unsigned)child.status);
    points++;
    points_of[child.plan.kind]++;
    if (!child.is_up) starts_cut++;
    if (child.plan.kind != DEATH_KILL) keys_are_gone(f("%s/data", child_left()), "in what the power cut left");
    peer_close();
}

/* In the middle of things: by a kill at no write, or told to stop. */
static void break_off(void)
{
    model_holds = dice(2);
    if (dice(2)) child_kill();
    else child_stop();
    while (pump(0))
        ;
    child.is_broken_off = !child_has_died();
    broken_off += child.is_broken_off;
}

/* The whole life; false: it died as planned, or was broken off. */
static bool live(int acts, bool is_last)
{
    for (int64_t until = now_ms() + 30000; !child.is_up;) {
        if (!pump(50)) return false;
        if (now_ms() > until) trouble("the server does not start");
    }
    model_holds = false;
    if (!look_after_start()) return false;
    streams_again(is_last);
    life_acts(acts);
    if (generation > 1 && !is_last && dice(3) == 0) break_off();
    model_holds = false;
    model_release();
    if (!look_at_rest()) return false;
    if (is_last) streams_compare();
    return child_is_alive();
}

/* Nothing was written in its last moments that was not looked at: then it may be killed, or stopped, as well. */
static bool end_life(bool is_last)
{
    bool is_killed = !is_last && dice(2);
    if (is_killed) child_kill();
    else child_stop();
    peer_close();
    if (child_has_died()) return false; /* in its last steps */
    at_rest++;
    if (!is_killed) look_on_disk(f("%s/data", child.top));
    return true;
}

static struct plan plan_for(int life, const struct plan *first)
{
    if (life == 0) return *first;
    struct plan plan = {.kind = DEATH_NONE, .runs_max = first->runs_max};
    if (life == LIVES - 1 || dice(4) == 0) return plan;
    plan.kind = (enum death)(1 + dice(DEATH_KINDS - 1));
    plan.step = 1 + (int64_t)dice(dice(2) ? START_STEPS : 900);
    plan.seed = dice(UINT64_MAX);
    return plan;
}

/* False: the first life is shorter than that. */
static bool history(uint64_t script, int64_t number, const struct plan *first)
{
    char from[200];
    struct arena_mark mark = arena_mark(test_arena());
    dice_seed = script;
    life_begin();
    snprintf(from, sizeof from, "%s", base);
    bool was_cut = true;
    for (int life = 0; life < LIVES; life++) {
        bool is_last = life == LIVES - 1;
        struct plan plan = plan_for(life, first);
        snprintf(about, sizeof about, "script %llu, point %lld", (unsigned long long)script, (long long)number);
        generation = life + 1;
        child_start(f("%s/%lld.%d", scratch, (long long)number, life), from, &plan);
        bool is_dead = !live(life == 0 ? ACTS : is_last ? 0 : (int)dice(ACTS / 2), is_last);
        if (life == 0) dice_seed = script ^ (uint64_t)(number + 1) * PRIME; /* from here on each history has its own */
        if (!is_dead) is_dead = !end_life(is_last);
        if (is_dead) check_death();
        else if (life == 0) was_cut = false;
        snprintf(from, sizeof from, "%s", child_left());
        if (life == 0 && !was_cut) break;
    }
    for (int life = 0; life < LIVES; life++) {
        remove_all(f("%s/%lld.%d", scratch, (long long)number, life));
        remove_all(f("%s/%lld.%d.cut", scratch, (long long)number, life));
    }
    arena_rewind(test_arena(), mark);
    histories++;
    return was_cut;
}

/* ---- points ---------------------------------------------------------------------------- */

static int64_t setting(const char *name, int64_t normal)
{
    const char *text = getenv(name);
    return text && *text ? atoll(text) : normal;
}

/* How many writes and syncs has the scripted life, undisturbed? About: threads vary. */
static int64_t measure(uint64_t script)
{
    struct plan none = {.kind = DEATH_NONE};
    history(script, -1, &none);
    return child_steps();
}

/* The n-th point of a script: all steps, spread, with the kinds in turn. */
static struct plan point(int64_t n, int64_t steps, uint64_t script)
{
    int64_t all = steps * (DEATH_KINDS - 1), at = n * PRIME % all;
    return (struct plan){.kind = (enum death)(1 + at % (DEATH_KINDS - 1)), .step = 1 + at / (DEATH_KINDS - 1),
                         .seed = script * PRIME + (uint64_t)n, .runs_max = n % 8 == 7 ? 12 : 0};
}

/* "SEED HOW_FAR POINTS" in the file, the last line counts. */
static int64_t done_before(uint64_t script, int64_t *sum)
{
    const char *path = getenv("AGENTD_CRASH_DONE");
    FILE *file = path && *path ? fopen(path, "r") : NULL;
    unsigned long long seed;
    long long far, made;
    int64_t reached = 0;
    while (file && fscanf(file, "%llu %lld %lld", &seed, &far, &made) == 3) {
        *sum += made;
        if (seed == script) reached = far;
    }
    if (file) fclose(file);
    return reached;
}

static void note_done(uint64_t script, int64_t reached, int64_t made)
{
    const char *path = getenv("AGENTD_CRASH_DONE");
    FILE *file = path && *path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%llu %lld %lld\n", (unsigned long long)script, (long long)reached, (long long)made);
    fclose(file);
}

TEST(what_was_promised_survives_a_death_at_any_write)
{
    int64_t wanted = setting("AGENTD_CRASH_POINTS", 1000), sum = 0, only = setting("AGENTD_CRASH_ONLY", -1);
    uint64_t script = (uint64_t)setting("AGENTD_CRASH_SEED", 1);
    int64_t n = done_before(script, &sum), noted = 0;
    points = 0;
    make_base();
    int64_t steps = measure(script);
    if (only >= 0) n = only, wanted = 1;
    while (points < wanted) {
        struct plan plan = point(n, steps, script);
        history(script, n++, &plan);
        if (n % 50 == 0 || points >= wanted) {
            note_done(script, n, points - noted);
            noted = points;
        }
        if (n < steps * (DEATH_KINDS - 1)) continue;
        n = done_before(++script, &(int64_t){0});
        steps = measure(script);
    }
    printf("  %lld points (kill %lld, power cut %lld; %lld in a start) in %lld histories of %lld steps; %lld ended at rest, %lld broken off\n",
           (long long)points, (long long)points_of[DEATH_KILL], (long long)(points - points_of[DEATH_KILL]), (long long)starts_cut,
           (long long)histories, (long long)steps, (long long)at_rest, (long long)broken_off);
    if (sum) printf("  with those before: %lld points\n", (long long)(sum + points));
}
