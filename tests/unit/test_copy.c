/* The receiver of `agentvm cp` against a sender that lies. */
#include "helpers.h"

#include <stdlib.h>
#include <unistd.h>

#include "channel/copy.h"
#include "channel/frame.h"

struct fixture {
    char *dir, *target;
    struct buf stream; /* records */
    unsigned notes;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    f->dir = scratch_make();
    f->target = mem_printf("%s/target", f->dir);
    assert_int_equal(mkdir(f->target, 0700), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    free(f->target);
    scratch_remove(f->dir);
    buf_free(&f->stream);
    free(f);
    return 0;
}

static void add(struct fixture *f, uint8_t type, const char *name, size_t name_len,
                const char *data, size_t len)
{
    uint8_t head[COPY_HEAD] = {type};

    put_u16(head + 2, (uint16_t)name_len);
    put_u32(head + 4, 06777);
    put_u32(head + 16, (uint32_t)len);
    buf_append(&f->stream, head, sizeof(head));
    buf_append(&f->stream, name, name_len);
    buf_append(&f->stream, data, len);
}

static void add_text(struct fixture *f, uint8_t type, const char *name, const char *data)
{
    add(f, type, name, strlen(name), data, strlen(data));
}

static void count(void *arg, const char *path, const char *why)
{
    (void)path;
    (void)why;
    ((struct fixture *)arg)->notes++;
}

/* Receives the records as the copy of one source, called "it". */
static int receive(struct fixture *f, struct err *e)
{
    char *const names[] = {"it", NULL};
    struct copy_target t = {.path = f->target,
                            .names = names,
                            .stream = -1,
                            .who = "the VM",
                            .keep_links_in = true,
                            .note = count,
                            .arg = f};
    int fd = file_memfd("records", f->stream.data, f->stream.len, NULL);
    int rc = copy_receive(fd, &t, e);

    close(fd);
    f->stream.len = 0;
    return rc;
}

/* left: entries of the target afterwards */
static void refuses(struct fixture *f, const char *why, size_t left)
{
    auto_err struct err e = ERR_INIT;

    assert_int_equal(receive(f, &e), -1);
    if (!strstr(e.msg, why))
        fail_msg("%s lacks %s", e.msg, why);
    assert_int_equal(count_entries(f->dir), 1); /* the target itself */
    assert_in_range(count_entries(f->target), 0, left);
    assert_int_equal(file_remove_tree_at(AT_FDCWD, f->target, NULL), 0);
    assert_int_equal(mkdir(f->target, 0700), 0);
}

static void refuses_names(void **state)
{
    static const struct {
        const char *name;
        size_t len;
    } bad[] = {{"..", 2}, {".", 1}, {"", 0}, {"a/b", 3}, {"/etc", 4}, {"a\0b", 3}, {"../x", 4}};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        add_text(f, COPY_FOLDER, "x", "");
        add(f, COPY_FILE, bad[i].name, bad[i].len, "", 0);
        add_text(f, COPY_DATA, "", "evil");
        add_text(f, COPY_COMPLETE, "", "");
        add_text(f, COPY_LEAVE, "", "");
        add_text(f, COPY_DONE, "", "");
        refuses(f, "malformed name", 1);
    }
}

/* The sender says what is in a source, not how it is called. */
static void names_the_source_itself(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/it", f->target);
    auto_free char *text = NULL;
    auto_err struct err e = ERR_INIT;
    struct stat st;

    add_text(f, COPY_FILE, "authorized_keys", "");
    add_text(f, COPY_DATA, "", "text");
    add_text(f, COPY_COMPLETE, "", "");
    add_text(f, COPY_DONE, "", "");
    ASSERT_OK(e, receive(f, &e));
    text = read_text(path);
    assert_string_equal(text, "text");
    assert_int_equal(count_entries(f->target), 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0777); /* no set-id bit */
}

static void refuses_disorder(void **state)
{
    static const uint8_t orders[][4] = {
        {COPY_DATA},
        {COPY_COMPLETE},
        {COPY_LEAVE},
        {COPY_DONE}, /* without the source */
        {COPY_FOLDER, COPY_DONE},
        {COPY_FILE, COPY_DONE},
        {COPY_FILE, COPY_FILE},
        {COPY_FILE, COPY_FOLDER},
        {COPY_FILE, COPY_COMPLETE, COPY_FILE}, /* a source too many */
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        for (size_t n = 0; n < 4 && orders[i][n]; n++)
            add_text(f, orders[i][n],
                     orders[i][n] == COPY_FOLDER || orders[i][n] == COPY_FILE ? "x" : "", "");
        refuses(f, "malformed copy", 1);
    }
}

static void drops_what_is_cut(void **state)
{
    struct fixture *f = *state;

    add_text(f, COPY_FILE, "x", "");
    add_text(f, COPY_DATA, "", "half of");
    refuses(f, "ended in the middle", 0);
    add_text(f, COPY_FILE, "x", "");
    add_text(f, COPY_DATA, "", "half of");
    add_text(f, COPY_FAILED, "", "disk\nbroken \033[31m");
    refuses(f, "the VM: disk broken \\x1b[31m", 0);
}

static void bounds(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i <= COPY_DEPTH_MAX; i++)
        add_text(f, COPY_FOLDER, "d", "");
    refuses(f, "folders within each other", 1);
    add_text(f, COPY_FILE, "x", "");
    add_text(f, COPY_DATA, "", "");
    put_u32(f->stream.data + f->stream.len - 4, COPY_DATA_MAX + 1);
    refuses(f, "malformed copy", 1);
}

static bool makes_link(struct fixture *f, const char *target)
{
    auto_free char *path = mem_printf("%s/it/sub/link", f->target);
    auto_err struct err e = ERR_INIT;
    struct stat st;

    add_text(f, COPY_FOLDER, "it", "");
    add_text(f, COPY_FOLDER, "sub", "");
    add_text(f, COPY_LINK, "link", target);
    add_text(f, COPY_LEAVE, "", "");
    add_text(f, COPY_LEAVE, "", "");
    add_text(f, COPY_DONE, "", "");
    f->notes = 0;
    unlink(path);
    ASSERT_OK(e, receive(f, &e));
    assert_int_equal(f->notes, lstat(path, &st) != 0);
    return f->notes == 0;
}

static void keeps_links_in(void **state)
{
    struct fixture *f = *state;

    assert_true(makes_link(f, "x"));
    assert_true(makes_link(f, "../x/y"));
    assert_true(makes_link(f, "./.././x"));
    assert_false(makes_link(f, "/x"));
    assert_false(makes_link(f, "../../x"));
    assert_false(makes_link(f, "x/../y")); /* x may be a link itself */
    assert_false(makes_link(f, "..//../x"));
}

/* One that the sender put there before, or anybody. */
/* It could lead anywhere in the target's folder, and the next copy through it. */
static void makes_no_link_alone(void **state)
{
    struct fixture *f = *state;
    auto_err struct err e = ERR_INIT;

    add_text(f, COPY_LINK, "it", "there");
    add_text(f, COPY_DONE, "", "");
    assert_int_equal(receive(f, &e), 0);
    assert_int_equal(f->notes, 1);
    assert_int_equal(count_entries(f->target), 0);
}

static void writes_through_no_link(void **state)
{
    struct fixture *f = *state;
    auto_free char *outside = mem_printf("%s/outside", f->dir);
    auto_free char *link = mem_printf("%s/it", f->target);
    auto_err struct err e = ERR_INIT;

    assert_int_equal(mkdir(outside, 0700), 0);
    assert_int_equal(symlink(outside, link), 0);
    add_text(f, COPY_FOLDER, "it", "");
    add_text(f, COPY_LEAVE, "", "");
    add_text(f, COPY_DONE, "", "");
    assert_int_equal(receive(f, &e), -1);
    assert_non_null(strstr(e.msg, link));
    assert_int_equal(count_entries(outside), 0);
}

/* Of two folders that others write in, each. */
static void follows_no_link_of_others(void **state)
{
    struct fixture *f = *state;
    auto_free char *mine = mem_printf("%s/mine", f->dir), *theirs = mem_printf("%s/theirs", f->dir);
    auto_free char *link = mem_printf("%s/link", theirs), *way = mem_printf("%s/way", mine);
    auto_free char *real = realpath(f->dir, NULL), *folder = mem_printf("%s/theirs", real);
    char *const hostile[] = {(char[]){"/nowhere"}, folder, NULL};
    auto_err struct err e = ERR_INIT;
    int fd;

    assert_int_equal(mkdir(mine, 0700), 0);
    assert_int_equal(mkdir(theirs, 0700), 0);
    assert_int_equal(symlink(theirs, way), 0);
    assert_int_equal(symlink(mine, link), 0);
    fd = copy_open_folder(link, NULL, &e);
    assert_true(fd >= 0);
    close(fd);
    fd = copy_open_folder(way, hostile, &e);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(copy_open_folder(link, hostile, &e), -1);
    assert_non_null(strstr(err_msg(&e), "link is a symbolic link where a VM can write"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refuses_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_the_source_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_disorder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drops_what_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_links_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(makes_no_link_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_through_no_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(follows_no_link_of_others, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
