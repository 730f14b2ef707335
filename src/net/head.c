#include "net/head.h"

/* "HTTP/1.1 200 OK" */
static int status_of(struct str line)
{
    struct str rest;
    bool has_space;
    int64_t status = 0;
    if (!str_starts(line, S("HTTP/"))) return 0;
    str_split(line, ' ', &rest, &has_space);
    return str_to_int(str_cut(rest, 0, 3), &status) && status >= 100 && status <= 999 ? (int)status : 0;
}

struct err head_add(struct head *head, struct str line)
{
    if (head->is_whole) return OK;
    if (head->status == 0) {
        head->status = status_of(line);
        return head->status ? OK : err(ERR_UPSTREAM, "the answer is not HTTP");
    }
    if (str_trim(line).count == 0) {
        head->is_whole = head->status >= 200;
        if (!head->is_whole) {
            head->status = 0;
            head->fields.count = 0;
        }
        return OK;
    }
    if (head->fields.count + line.count > HEAD_BYTES_MAX) return err(ERR_LIMIT, "the head of the answer is too large");
    buf_add_str(&head->fields, line);
    return head->fields.is_failed ? err(ERR_MEMORY, "there is no memory for the head of an answer") : OK;
}

struct str head_field(const struct head *head, const char *name)
{
    struct str rest = buf_str(&head->fields);
    for (bool more = true; more;) {
        struct str value;
        bool has_colon;
        struct str line = str_split(rest, '\n', &rest, &more);
        if (str_eq_nocase(str_split(line, ':', &value, &has_colon), str(name)) && has_colon) return str_trim(value);
    }
    return S("");
}

void head_free(struct head *head)
{
    buf_free(&head->fields);
    *head = (struct head){0};
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.count; i++) {
        char c = s.at[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return s.count > 0;
}

bool head_may_send(struct str name, struct str value)
{
    static const char *const ours[] = {"host",    "content-length", "transfer-encoding", "connection", "keep-alive", "expect",
                                       "upgrade", "te",             "trailer",           "proxy-connection", "accept-encoding"};
    if (!is_token(name)) return false;
    for (size_t i = 0; i < value.count; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) return false;
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (str_eq_nocase(name, str(ours[i]))) return false;
    return true;
}
