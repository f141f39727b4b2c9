/* Runs a fuzz target without libFuzzer: every file of a corpus, then a bounded number of random
 * mutations of them, the same ones each time.
 *
 *     fuzz_NAME [-runs N] [-seed N] [-max_len N] FILE-OR-FOLDER...
 *
 * The input that is being run stands in PROGRAM.input, so that it is there after a crash; that file
 * given as the only argument runs it again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"

enum { REPEATED_MAX = 128 * 1024 };

struct inputs {
    struct buf *v;
    size_t n;
};

struct options {
    uint64_t runs, seed, max_len;
};

static uint64_t random_state;

/* xorshift64*: all that is needed is to be fast and the same everywhere. */
static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return n ? (random_state * 0x2545f4914f6cdd1dull >> 16) % n : 0;
}

static void die(const char *what, const char *name)
{
    fprintf(stderr, "fuzz driver: %s %s\n", what, name);
    exit(2);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void load(struct inputs *all, const char *path);

/* In the order of names: that of the folder differs between machines. */
static void load_folder(struct inputs *all, const char *path)
{
    DIR *dir = opendir(path);
    auto_strv struct strv names = STRV_INIT;
    struct dirent *entry;

    if (!dir)
        die("cannot open", path);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            strv_pushf(&names, "%s/%s", path, entry->d_name);
    closedir(dir);
    if (names.n)
        qsort(names.v, names.n, sizeof(*names.v), compare_names);
    for (size_t i = 0; i < names.n; i++)
        load(all, names.v[i]);
}

static void load(struct inputs *all, const char *path)
{
    auto_err struct err e = ERR_INIT;
    struct buf bytes = BUF_INIT;
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        load_folder(all, path);
        return;
    }
    if (file_read_at(AT_FDCWD, path, 64 << 20, &bytes, &e) != 0)
        die("cannot read", path);
    all->v = mem_realloc(all->v, all->n + 1, sizeof(*all->v));
    all->v[all->n++] = bytes;
}

static void insert(struct buf *b, size_t at, const void *data, size_t len)
{
    buf_reserve(b, len);
    memmove(b->data + at + len, b->data + at, b->len - at);
    memcpy(b->data + at, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

static void erase(struct buf *b, size_t at, size_t len)
{
    memmove(b->data + at, b->data + at + len, b->len - at - len);
    b->len -= len;
}

/* A range of other goes somewhere into b, now and then many times. */
static void insert_range(struct buf *b, const struct buf *other)
{
    size_t from = random_below(other->len), len = 1 + random_below(other->len - from);
    size_t times = random_below(8) ? 1 : 1 + random_below((uint64_t)1 << random_below(13));
    auto_buf struct buf piece = BUF_INIT;

    if (other->len == 0)
        return;
    for (; times > 0 && piece.len < REPEATED_MAX; times--)
        buf_append(&piece, other->data + from, len);
    insert(b, random_below(b->len + 1), piece.data, piece.len);
}

static void mutate(struct buf *b, const struct inputs *corpus)
{
    static const unsigned char extremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '\n', '\r', ' ', '='};
    unsigned char byte = (unsigned char)random_below(256);
    size_t at = random_below(b->len);

    switch (random_below(b->len ? 7 : 2)) {
    case 0:
        insert(b, random_below(b->len + 1), &byte, 1);
        break;
    case 1:
        insert_range(b, &corpus->v[random_below(corpus->n)]);
        break;
    case 2:
        b->data[at] = (char)(b->data[at] ^ (1 << random_below(8)));
        break;
    case 3:
        b->data[at] = (char)extremes[random_below(sizeof(extremes))];
        break;
    case 4:
        b->data[at] = (char)(b->data[at] + 1 - 2 * (int)random_below(2));
        break;
    case 5:
        erase(b, at, 1 + random_below(b->len - at));
        break;
    case 6:
        b->data[at] = (char)byte;
        break;
    }
}

/* The copy is exactly as large as the input, so that the sanitizer sees a read beyond it. */
static void run_one(int save, const struct buf *input)
{
    auto_free uint8_t *exact = malloc(input->len ? input->len : 1);

    if (!exact || ftruncate(save, 0) < 0 ||
        pwrite(save, input->data, input->len, 0) != (ssize_t)input->len)
        die("cannot save", "the input");
    memcpy(exact, input->data, input->len);
    LLVMFuzzerTestOneInput(exact, input->len);
}

static void run_mutations(int save, const struct inputs *corpus, const struct options *o)
{
    random_state = o->seed * 0x9e3779b97f4a7c15ull + 1;
    for (uint64_t i = 0; i < o->runs; i++) {
        const struct buf *start = &corpus->v[random_below(corpus->n)];
        auto_buf struct buf b = BUF_INIT;

        buf_append(&b, start->data, start->len);
        for (uint64_t n = 1 + random_below(8); n > 0; n--)
            mutate(&b, corpus);
        if (b.len > o->max_len)
            b.len = o->max_len;
        run_one(save, &b);
    }
}

/* Both "-runs N" and libFuzzer's "-runs=N"; returns how many arguments it took. */
static int parse_option(char **argv, struct options *o)
{
    const struct {
        const char *name;
        uint64_t *value;
    } known[] = {{"-runs", &o->runs}, {"-seed", &o->seed}, {"-max_len", &o->max_len}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t len = strlen(known[i].name);
        bool joined = strncmp(argv[0], known[i].name, len) == 0 && argv[0][len] == '=';
        const char *text = joined ? argv[0] + len + 1 : argv[1];

        if (!joined && strcmp(argv[0], known[i].name) != 0)
            continue;
        if (!text || str_to_u64(text, 0, UINT64_MAX, known[i].value) < 0)
            die("needs a number:", known[i].name);
        return joined ? 1 : 2;
    }
    if (argv[0][0] == '-')
        die("unknown option", argv[0]);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.runs = 0, .seed = 1, .max_len = 256 * 1024};
    struct inputs corpus = {0};
    auto_free char *name = mem_printf("%s.input", argv[0]);
    auto_close int save = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (save < 0)
        die("cannot create", name);
    for (int i = 1; i < argc;) {
        int taken = parse_option(argv + i, &o);

        if (taken == 0)
            load(&corpus, argv[i]);
        i += taken ? taken : 1;
    }
    if (corpus.n == 0)
        die("no input in", "the files and folders named");
    printf("%s: %zu inputs, %llu mutations, seed %llu; the one that runs is in %s\n", argv[0],
           corpus.n, (unsigned long long)o.runs, (unsigned long long)o.seed, name);
    fflush(stdout);
    for (size_t i = 0; i < corpus.n; i++)
        run_one(save, &corpus.v[i]);
    run_mutations(save, &corpus, &o);
    for (size_t i = 0; i < corpus.n; i++)
        buf_free(&corpus.v[i]);
    free(corpus.v);
    unlink(name);
    return 0;
}
