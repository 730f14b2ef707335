#include "base/log.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/json.h"

/* Below PIPE_BUF, so that lines of several processes on one pipe do not mix either. */
enum { LINE_BYTES = 2048, VALUE_BYTES_MAX = 256 };

const char *const log_level_words[] = {"debug", "info", "warning", "error", "off", NULL};

static const struct {
    const char *name;
    enum log_level level;
    const char *sentence;
} rows[] = {
#define EVENT(noun, what, level, sentence) {#noun "." #what, LOG_##level, sentence},
#include "base/log.def"
#undef EVENT
};

static _Atomic int least_level = LOG_INFO, line_format = LOG_AS_TEXT;

static int log_fd = STDERR_FILENO;
static pthread_mutex_t capture_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buf *_Atomic captured;

void log_setup(enum log_level least, enum log_format format)
{
    atomic_store(&least_level, (int)least);
    atomic_store(&line_format, (int)format);
}

void log_open(int fd) { log_fd = fd; }

bool log_is_on(enum log_level level) { return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed); }

void log_test_capture(struct buf *b)
{
    pthread_mutex_lock(&capture_lock);
    atomic_store(&captured, b);
    pthread_mutex_unlock(&capture_lock);
}

static bool is_bare(struct str text)
{
    for (size_t i = 0; i < text.count; i++) {
        char c = text.at[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && !memchr("-_.:/@+[]%", c, 10)) return false;
    }
    return text.count > 0;
}

/* Nothing that a terminal would obey, and no bytes that are no text. */
static void put_quoted(struct buf *b, struct str text)
{
    char clean[VALUE_BYTES_MAX];
    bool is_utf8 = str_is_utf8(text);
    for (size_t i = 0; i < text.count; i++) {
        unsigned char c = (unsigned char)text.at[i], before = i ? (unsigned char)text.at[i - 1] : 0;
        bool is_control = c == 0x7F || (before == 0xC2 && c < 0xA0 && c >= 0x80);
        clean[i] = (c >= 0x80 && !is_utf8) || c == 0x7F ? '?' : (char)c;
        if (is_control && c != 0x7F) clean[i - 1] = clean[i] = '?';
    }
    json_put_text(b, str_n(clean, text.count));
}

static size_t escaped_count(struct str text)
{
    size_t count = 2;
    for (size_t i = 0; i < text.count; i++) {
        unsigned char c = (unsigned char)text.at[i];
        count += c < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : 1;
    }
    return count;
}

/* `b` stands on a fixed place: what might not fit is left out, so it never grows. */
static void put_pair(struct buf *b, const struct log_pair *p, bool is_json)
{
    struct str text = p->text;
    if (text.count > VALUE_BYTES_MAX) text.count = str_utf8_floor(text, VALUE_BYTES_MAX);
    if (b->capacity - b->count < strlen(p->key) + escaped_count(text) + 32) return;
    buf_add(b, is_json ? ",\"" : " ", is_json ? 2 : 1);
    buf_add_str(b, str(p->key));
    buf_add(b, is_json ? "\":" : "=", is_json ? 2 : 1);
    if (p->is_number) json_put_int(b, p->number);
    else if (!is_json && is_bare(text)) buf_add_str(b, text);
    else put_quoted(b, text);
}

static void emit(struct str line)
{
    if (atomic_load(&captured)) {
        pthread_mutex_lock(&capture_lock);
        struct buf *b = atomic_load(&captured);
        if (b) buf_add_str(b, line);
        pthread_mutex_unlock(&capture_lock);
    } else if (log_fd >= 0 && write(log_fd, line.at, line.count) < 0) {
        return; /* there is nowhere left to say so */
    }
}

static void put_head(struct buf *b, bool is_json, enum log_level level, const char *name)
{
    char time[CLOCK_TEXT_BYTES];
    clock_print(clock_peek_us(), time);
    buf_addf(b, is_json ? "{\"time\":\"%.*s\",\"level\":\"%s\",\"event\":\"%.100s\"" : "%.*s %s %.100s", CLOCK_TEXT_BYTES,
             time, log_level_words[level], name);
}

void log_pairs(enum event event, const struct log_pair *pairs, size_t count)
{
    if (!log_is_on(rows[event].level)) return;
    bool is_json = atomic_load(&line_format) == LOG_AS_JSON;
    char place[LINE_BYTES];
    struct buf b = {.at = place, .capacity = sizeof place - 160}; /* the sentence and the end always fit */
    put_head(&b, is_json, rows[event].level, rows[event].name);
    for (size_t i = 0; i < count; i++) put_pair(&b, &pairs[i], is_json);
    b.capacity = sizeof place;
    if (is_json) buf_add_str(&b, S("}\n"));
    else buf_addf(&b, "  # %.150s\n", rows[event].sentence);
    emit(buf_str(&b));
}

void log_plain(enum event event) { log_pairs(event, NULL, 0); }

void log_print_table(FILE *out)
{
    fputs("# Events\n\nPrinted from `src/base/log.def` by `make docs`. An event is a line on standard error; `--log-level` says from which level\n"
          "on, `--log-format` whether as text or as JSON. Lines carry ids, counts and words from tables, never text from outside.\n\n"
          "| event | level | meaning |\n|---|---|---|\n", out);
    for (int i = 0; i < EVENT_COUNT; i++)
        fprintf(out, "| `%s` | %s | %s |\n", rows[i].name, log_level_words[rows[i].level], rows[i].sentence);
}
