#include "base/log.h"

#include <unistd.h>
#include "base/clock.h"
#include "base/str.h"
#include "test.h"

static struct str logged(const char *format, const char *word)
{
    static char line[4096];
    int ends[2];

    CHECK(pipe(ends) == 0);
    log_open(ends[1]);
    clock_test_freeze(1600000000000000);
    if (word)
        log_line(LOG_ERROR, "task.failed", "why=%s", word);
    else
        log_line(LOG_INFO, "task.done", "%s", format);
    clock_test_thaw();
    log_open(STDERR_FILENO);
    close(ends[1]);
    ssize_t got = read(ends[0], line, sizeof line);
    close(ends[0]);
    CHECK(got > 0);
    return str_n(line, (size_t)got);
}

TEST(a_line_has_a_time_a_level_a_name_and_pairs)
{
    CHECK(str_is(logged(0, "x"), "2020-09-13T12:26:40.000000Z error task.failed why=x\n"));
    CHECK(str_is(logged("a=1", 0), "2020-09-13T12:26:40.000000Z info task.done a=1\n"));
}

TEST(one_event_is_one_line_however_long_it_is)
{
    char word[5000];

    CHECK(str_is(logged(0, "a\nb\tc"), "2020-09-13T12:26:40.000000Z error task.failed why=a b c\n"));
    memset(word, 'w', sizeof word);
    word[sizeof word - 1] = 0;
    struct str line = logged(0, word);
    CHECK(line.count == 2048 || line.count == 2047);
    CHECK(line.at[line.count - 1] == '\n');
    CHECK(line.at[line.count - 2] == 'w');
}
