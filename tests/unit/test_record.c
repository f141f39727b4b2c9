/* state/record: what is written is read again; whatever else is in the file is skipped. */
#include "helpers.h"

#include <string.h>
#include <unistd.h>

#include "proc/spawn.h"
#include "session/stage.h"
#include "state/record.h"

#define HEAD "{\"time\":\"2026-11-25T04:01:01Z\",\"kind\":\"run\",\"project\":"
#define TAIL ",\"duration_ms\":1.5,\"exit_code\":0}"
#define GOOD HEAD "\"/a\"" TAIL

static size_t parse(const char *text, size_t len, const char *project)
{
    cJSON *list = cJSON_CreateArray();
    size_t n;

    record_parse(text, len, project, list);
    n = (size_t)cJSON_GetArraySize(list);
    cJSON_Delete(list);
    return n;
}

static size_t count(const char *text)
{
    return parse(text, strlen(text), NULL);
}

static void test_lines(void **state)
{
    (void)state;
    assert_int_equal(count(""), 0);
    assert_int_equal(count(GOOD), 1);
    assert_int_equal(count(GOOD "\n"), 1);
    assert_int_equal(count("\n\n" GOOD "\n\n" GOOD "\n"), 2);
    assert_int_equal(count(GOOD "\ngarbage\n" GOOD "\n{\"time\":\"2026"), 2);
    assert_int_equal(count(GOOD GOOD), 0); /* glued: nobody knows what it was */
    assert_int_equal(count(GOOD " x\n" GOOD), 1);
}

static void test_bad_records(void **state)
{
    static const char *const bad[] = {
        "null",
        "[]",
        "1",
        "\"text\"",
        "{}",
        HEAD "1" TAIL,
        HEAD "{\"base64\":1}" TAIL,
        "{\"time\":\"2026-11-25T04:01:01Z\",\"kind\":1,\"project\":\"/a\"" TAIL,
        "{\"time\":1,\"kind\":\"run\",\"project\":\"/a\"" TAIL,
        "{\"time\":\"yesterday\",\"kind\":\"run\",\"project\":\"/a\"" TAIL,
        "{\"time\":\"2026-11-25T04:01:01Zx\",\"kind\":\"run\",\"project\":\"/a\"" TAIL,
        HEAD "\"/a\",\"duration_ms\":1,\"exit_code\":256}",
        HEAD "\"/a\",\"duration_ms\":1e300,\"exit_code\":0}",
        HEAD "\"/a\",\"duration_ms\":-1,\"exit_code\":0}",
        HEAD "\"/a\",\"duration_ms\":1,\"exit_code\":\"0\"}",
        HEAD "\"/a\",\"duration_ms\":1}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (count(bad[i]) != 0)
            fail_msg("taken for a record: %s", bad[i]);
    assert_int_equal(count(HEAD "{\"base64\":\"/w==\"},\"later\":[1]" TAIL), 1);
}

/* Bytes that are no text, a nest without end, a line that is too long. */
static void test_hostile(void **state)
{
    static const char zeros[] = "\0\0\n" GOOD "\n\0" GOOD "\n\xff\xfe\n" GOOD;
    auto_buf struct buf deep = BUF_INIT, wide = BUF_INIT;

    (void)state;
    assert_int_equal(parse(zeros, sizeof(zeros) - 1, NULL), 3); /* zeros are a gap in a file */
    for (int i = 0; i < RECORD_LINE_MAX - 1; i++)
        buf_puts(&deep, "[");
    buf_puts(&deep, "\n" GOOD);
    assert_int_equal(parse(deep.data, deep.len, NULL), 1);
    buf_puts(&wide, HEAD "\"/");
    for (int i = 0; i < RECORD_LINE_MAX; i++)
        buf_puts(&wide, "a");
    buf_puts(&wide, "\"" TAIL "\n" GOOD);
    assert_int_equal(parse(wide.data, wide.len, NULL), 1);
}

static void test_project(void **state)
{
    static const char text[] = GOOD "\n" HEAD "\"/b\"" TAIL "\n" HEAD "{\"base64\":\"L/8=\"}" TAIL;

    (void)state;
    assert_int_equal(parse(text, sizeof(text) - 1, NULL), 3);
    assert_int_equal(parse(text, sizeof(text) - 1, "/a"), 1);
    assert_int_equal(parse(text, sizeof(text) - 1, "/A"), 0);
    assert_int_equal(parse(text, sizeof(text) - 1, "/\xff"), 1);
    assert_int_equal(parse(text, sizeof(text) - 1, "/"), 0);
}

/* ---- the file ---- */

static void test_format(void **state)
{
    struct record r = {.project = "/odd\n\xff", .kind = "run", .vm = "01234567", .start = "warm"};
    struct stages stages = {0};
    auto_err struct err e = ERR_INIT;
    auto_free char *good = NULL, *failed = NULL, *missing = NULL;

    (void)state;
    stages_start(&stages);
    good = record_format(&r, stages_to_json(&stages), 1500, 3, NULL);
    assert_int_equal(parse(good, strlen(good), r.project), 1);
    assert_non_null(strstr(good, "\"exit_code\":3"));
    assert_null(strstr(good, "error"));
    assert_null(strstr(good, "agent"));
    assert_null(strstr(good, "ports"));
    assert_null(strstr(good, "bytes"));
    assert_string_equal(strchr(good, '\n'), "\n");
    err_set(&e, "it broke\nin two");
    failed = record_format(&r, stages_to_json(&stages), 1500, -1, &e);
    assert_non_null(strstr(failed, "\"exit_code\":125"));
    assert_non_null(strstr(failed, "\"error\":\"it broke\\\\nin two\""));
    err_exit(&e, EXIT_NOT_FOUND); /* the message names a word of the command line */
    missing = record_format(&r, stages_to_json(&stages), 1500, -1, &e);
    assert_null(strstr(missing, "broke"));
}

struct folder {
    char *dir;
    struct paths paths;
    char *file, *old;
};

static int set_up(void **state)
{
    struct folder *f = mem_zalloc(1, sizeof(*f));

    f->dir = scratch_make();
    f->paths.data = f->dir;
    f->file = mem_printf("%s/" PATHS_RUNS, f->dir);
    f->old = mem_printf("%s/" PATHS_RUNS_OLD, f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *f = *state;

    scratch_remove(f->dir);
    free(f->file);
    free(f->old);
    free(f);
    return 0;
}

static size_t count_read(const struct folder *f, size_t max)
{
    cJSON *list = record_read(&f->paths, NULL, max);
    size_t n = (size_t)cJSON_GetArraySize(list);

    cJSON_Delete(list);
    return n;
}

static void test_append(void **state)
{
    struct folder *f = *state;
    auto_err struct err e = ERR_INIT;
    auto_free char *text = NULL;
    struct stat st;

    assert_int_equal(count_read(f, 10), 0);
    ASSERT_OK(e, record_append(&f->paths, GOOD "\n", &e));
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    write_text(f->file, GOOD "\n{\"time\":"); /* as a crash leaves it */
    ASSERT_OK(e, record_append(&f->paths, GOOD "\n", &e));
    text = read_text(f->file);
    assert_string_equal(text, GOOD "\n{\"time\":\n" GOOD "\n");
    assert_int_equal(count_read(f, 10), 2);
    assert_int_equal(count_read(f, 1), 1);
}

static void test_no_file(void **state)
{
    struct folder *f = *state;
    auto_err struct err e = ERR_INIT;

    assert_int_equal(symlink("elsewhere", f->file), 0);
    assert_int_equal(record_append(&f->paths, GOOD "\n", &e), -1);
    assert_int_equal(count_entries(f->dir), 1);
    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(mkfifo(f->file, 0600), 0);
    assert_int_equal(record_append(&f->paths, GOOD "\n", &e), -1);
    assert_non_null(strstr(e.msg, "no regular file"));
    assert_int_equal(count_read(f, 10), 0);
}

enum { WRITERS = 4, LINES = 6000 };

/* Enough for several files. */
static int append_many(void *arg)
{
    const struct folder *f = arg;

    for (int i = 0; i < LINES; i++)
        if (record_append(&f->paths, GOOD "\n", NULL) < 0)
            return 1;
    return 0;
}

/* Those that are not empty. */
static size_t count_lines(const struct buf *text)
{
    size_t n = 0;

    for (size_t i = 0; i < text->len; i++)
        n += text->data[i] != '\n' && (i == 0 || text->data[i - 1] == '\n');
    return n;
}

/* Appending at once tears no line, and the files stay bounded. */
static void test_rotation(void **state)
{
    struct folder *f = *state;
    auto_err struct err e = ERR_INIT;
    struct child writers[WRITERS];
    auto_buf struct buf old = BUF_INIT, text = BUF_INIT;

    for (int i = 0; i < WRITERS; i++)
        ASSERT_OK(e, spawn_fork(append_many, f, NULL, 0, &writers[i], &e));
    for (int i = 0; i < WRITERS; i++) {
        struct exit_status status;

        ASSERT_OK(e, spawn_wait(&writers[i], -1, &status, &e));
        assert_int_equal(exit_status_code(status), 0);
    }
    assert_in_range(count_entries(f->dir), 1, 2);
    assert_int_equal(file_read_at(AT_FDCWD, f->old, 2 * RECORD_FILE_MAX, &old, &e), 0);
    assert_true(file_read_at(AT_FDCWD, f->file, 2 * RECORD_FILE_MAX, &text, &e) >= 0);
    assert_in_range(old.len, RECORD_FILE_MAX, RECORD_FILE_MAX + WRITERS * 2 * strlen(GOOD "\n"));
    assert_int_equal(count_read(f, 1000000), count_lines(&old) + count_lines(&text));
}

static void test_ports(void **state)
{
    struct record r = {
        .project = "/a",
        .kind = "run",
        .ports = {
            .pairs = {{80, 8080}, {3000, 3000}}, .n = 2, .to_guest = 5, .from_guest = 6000000000}};
    auto_free char *line = record_format(&r, NULL, 1500, 0, NULL);

    (void)state;
    assert_non_null(strstr(line, "\"ports\":[{\"guest\":80,\"host\":8080},{\"guest\":3000,"
                                 "\"host\":3000}],\"bytes_in\":5,\"bytes_out\":6000000000,"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_project),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_ports),
        cmocka_unit_test_setup_teardown(test_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rotation, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
