#include "base/log.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/json.h"
#include "test.h"

static struct buf lines;

static void capture(enum log_level least, enum log_format format)
{
    buf_free(&lines);
    log_setup(least, format);
    clock_test_freeze(1775847682898813);
    log_test_capture(&lines);
}
static struct str said(void)
{
    log_test_capture(NULL);
    log_setup(LOG_INFO, LOG_AS_TEXT);
    clock_test_thaw();
    struct str text = str_copy(test_arena(), buf_str(&lines));
    buf_free(&lines);
    return text;
}

TEST(an_event_is_one_line_of_text)
{
    capture(LOG_DEBUG, LOG_AS_TEXT);
    log_event(EVENT_task_finished, LOG_TEXT("task", S("a-1")), LOG_NUM("ms", -12), LOG_WORD("status", "completed"));
    log_plain(EVENT_server_stopped);
    CHECK(str_is(said(), "2026-04-10T19:01:22.898813Z debug task.finished task=a-1 ms=-12 status=completed  # A turn of a task "
                         "has ended\n2026-04-10T19:01:22.898813Z info server.stopped  # The server has ended\n"));
}

TEST(an_event_is_one_line_of_json)
{
    capture(LOG_INFO, LOG_AS_JSON);
    log_event(EVENT_model_retry, LOG_TEXT("task", S("a\"\n")), LOG_NUM("attempt", 2));
    CHECK(str_is(said(), "{\"time\":\"2026-04-10T19:01:22.898813Z\",\"level\":\"warning\",\"event\":\"model.retry\","
                         "\"task\":\"a\\\"\\n\",\"attempt\":2}\n"));
}

TEST(below_the_threshold_nothing_is_logged)
{
    capture(LOG_ERROR, LOG_AS_TEXT);
    log_plain(EVENT_server_stopped);
    log_plain(EVENT_store_not_tidied);
    CHECK(!log_is_on(LOG_WARNING) && log_is_on(LOG_ERROR));
    log_setup(LOG_OFF, LOG_AS_TEXT);
    log_plain(EVENT_store_full);
    CHECK(said().count == 0);
}

TEST(an_id_from_outside_can_neither_break_a_line_nor_command_a_terminal)
{
    static const char *const ids[] = {"a b", "x\ny=1", "\x1b[31m", "a\x7f", "a\xC2\x9B[31m", "a\xFF\x80", "", "\"", "caf\xC3\xA9"};
    static const char *const want[] = {"\"a b\"", "\"x\\ny=1\"", "\"\\u001b[31m\"", "\"a?\"", "\"a?\?[31m\"", "\"a?\?\"", "\"\"",
                                       "\"\\\"\"", "\"caf\xC3\xA9\""};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        capture(LOG_INFO, LOG_AS_TEXT);
        log_event(EVENT_task_erased, LOG_TEXT("task", str(ids[i])));
        struct str line = said();
        struct str wanted = strf(test_arena(), "task.erased task=%s  #", want[i]);
        if (!memmem(line.at, line.count, wanted.at, wanted.count)) test_fail(__FILE__, __LINE__, line.at);
        CHECK(memchr(line.at, '\n', line.count) == line.at + line.count - 1);
    }
}

TEST(a_line_stays_whole_however_much_it_is_given)
{
    char text[5000];
    for (int kind = 0; kind < 2; kind++) {
        memset(text, kind ? 1 : 'x', sizeof text);
        capture(LOG_INFO, LOG_AS_JSON);
        struct str s = str_n(text, sizeof text);
        log_event(EVENT_task_erased, LOG_TEXT("a", s), LOG_TEXT("b", s), LOG_TEXT("c", s), LOG_TEXT("d", s), LOG_TEXT("e", s),
                  LOG_TEXT("f", s), LOG_TEXT("g", s), LOG_TEXT("h", s), LOG_TEXT("i", s), LOG_NUM("n", 1));
        struct str line = said();
        struct json j;
        CHECK(line.count < 2048);
        CHECK_OK(json_parse(test_arena(), line, &j, NULL));
        CHECK(json_text(json_get(j, "a")).count == 256 && json_int(json_get(j, "n")) == 1);
        CHECK(json_is_there(json_get(j, "f")) == (kind == 0));
    }
}

static void *log_many(void *arg)
{
    for (int i = 0; i < 200; i++) log_event(EVENT_task_finished, LOG_NUM("thread", *(int *)arg), LOG_NUM("i", i));
    return NULL;
}

TEST(lines_of_many_threads_do_not_mix)
{
    pthread_t threads[4];
    int names[4] = {0, 1, 2, 3}, count = 0;
    capture(LOG_DEBUG, LOG_AS_JSON);
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, log_many, &names[i]) == 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    struct str rest = said();
    for (bool more = true; more;) {
        struct json j;
        struct str line = str_split(rest, '\n', &rest, &more);
        if (!line.count) continue;
        CHECK_OK(json_parse(test_arena(), line, &j, NULL));
        count++;
    }
    CHECK(count == 800);
}

TEST(the_table_of_events_is_printed)
{
    char *text = NULL;
    size_t count = 0;
    FILE *f = open_memstream(&text, &count);
    CHECK(f);
    log_print_table(f);
    fclose(f);
    bool has_row = strstr(text, "| `keyring.master_made` | warning | A master key was made at first start") != NULL;
    bool has_head = strncmp(text, "# Events\n", 9) == 0 && strstr(text, "| event | level | meaning |\n|---|---|---|\n");
    free(text);
    CHECK(has_row && has_head);
}
