/* base/log.h: what happened, a line each, on standard error.
 *
 * A line is a time, a level, a name ("task.finished") and key=value pairs: ids, counts and words
 * from our own tables, never a text from outside. A failure is logged once, by whoever
 * can say something useful about it.
 *
 * Threads   Any: a line is one write. Errors: none; a log that cannot be written is not waited for. */
#pragma once

enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };
void log_line(enum log_level, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Where lines go: a descriptor; below 0: nowhere. Set before threads start. */
void log_open(int fd);
