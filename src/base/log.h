/* base/log.h: what happened, one line per event, on stderr.
 *
 * Every line has a name from base/log.def (task.finished) and carries ids, counts and words
 * from tables, never text from outside; ids that a caller chose are escaped and cut.
 *
 *     log_event(EVENT_task_finished, LOG_TEXT("task", id), LOG_NUM("ms", 12));
 *
 * Threads   Any thread may log; a line is one write.
 * Memory    None is taken, so that its want can be logged. A value that does not fit is left out.
 * Errors    None: a line that cannot be written is lost. */
#pragma once
#include <stdio.h>
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_OFF };
enum log_format { LOG_AS_TEXT, LOG_AS_JSON };
extern const char *const log_level_words[]; /* "debug" …, "off"; ends with null */

enum event {
#define EVENT(noun, what, level, sentence) EVENT_##noun##_##what,
#include "base/log.def"
#undef EVENT
    EVENT_COUNT
};

struct log_pair {
    const char *key;
    bool is_number;
    int64_t number;
    struct str text;
};
#define LOG_NUM(key_, number_) {.key = (key_), .is_number = true, .number = (number_)}
#define LOG_TEXT(key_, text_) {.key = (key_), .text = (text_)} /* a struct str */
#define LOG_WORD(key_, word_) {.key = (key_), .text = str(word_)}

#define log_event(event_, ...)                                 \
    log_pairs((event_), (const struct log_pair[]){__VA_ARGS__}, \
              sizeof((const struct log_pair[]){__VA_ARGS__}) / sizeof(struct log_pair))
void log_plain(enum event); /* without pairs */
void log_pairs(enum event, const struct log_pair *, size_t count);

/* At start: what is below `least` is not written. */
void log_setup(enum log_level least, enum log_format);
/* Where lines go: a descriptor; below 0: nowhere. Set before threads start. */
void log_open(int fd);
bool log_is_on(enum log_level);
/* The table, as the manual shows it: Markdown. */
void log_print_table(FILE *);

/* Tests: lines go to this buffer instead; null = to stderr again. */
void log_test_capture(struct buf *);
