#include "model/trust.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/show.h"

/* A store is one JSON file per project: {"project": path, "files": {name: sha256 of its bytes}}. */
enum { STORE_MAX_BYTES = 64 * 1024 };

static void cleanup_json(cJSON **json)
{
    cJSON_Delete(*json);
}
#define auto_json __attribute__((cleanup(cleanup_json)))

int trust_read(const char *project, const char *name, struct trust_file *out, struct err *e)
{
    auto_close int dir = open(project, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_free char *shown = show_text(project, 0);
    int rc;

    *out = (struct trust_file){.name = name};
    if (dir < 0)
        return err_errno(e, errno, "cannot open project folder %s", shown);
    rc = file_read_at(dir, name, TRUST_FILE_MAX, &out->bytes, e);
    if (rc < 0) {
        buf_free(&out->bytes);
        err_prefix(e, "%s", shown);
        return err_advise(e, "make it a plain file of at most 1 MiB, or remove it");
    }
    out->present = rc == 0;
    return 0;
}

void trust_file_free(struct trust_file *f)
{
    buf_free(&f->bytes);
    f->present = false;
}

static int open_folder(const struct paths *p, struct err *e)
{
    int dir = open(p->trust, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *shown = show_text(p->trust, 0);

    return dir < 0 ? err_errno(e, errno, "cannot open %s", shown) : dir;
}

static bool is_store_of(const cJSON *store, const char *project)
{
    const char *said = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(store, "project"));

    return said && strcmp(said, project) == 0 &&
           cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(store, "files"));
}

/* The store of the project, or NULL if there is none that makes sense: damage must never approve
 * anything, and never stand in the way of a new approval. */
static cJSON *load_store(int dir, const char *file, const char *project)
{
    auto_buf struct buf text = BUF_INIT;
    auto_json cJSON *store = NULL;

    if (file_read_at(dir, file, STORE_MAX_BYTES, &text, NULL) != 0)
        return NULL;
    store = cJSON_ParseWithLength(text.data, text.len);
    return is_store_of(store, project) ? steal_ptr(&store) : NULL;
}

int trust_state(const struct paths *p, const char *project, const struct trust_file *f,
                enum trust_state *state, struct err *e)
{
    auto_close int dir = open_folder(p, e);
    auto_json cJSON *store = NULL;
    char file[DIGEST_HEX + 1], digest[DIGEST_HEX + 1];
    const cJSON *files;
    const char *said;

    *state = f->present ? TRUST_UNKNOWN : TRUST_APPROVED;
    if (dir < 0)
        return -1;
    if (!f->present)
        return 0;
    digest_bytes(project, strlen(project), file);
    digest_bytes(f->bytes.data, f->bytes.len, digest);
    store = load_store(dir, file, project);
    files = cJSON_GetObjectItemCaseSensitive(store, "files");
    said = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(files, f->name));
    if (said)
        *state = strcmp(said, digest) == 0 ? TRUST_APPROVED : TRUST_CHANGED;
    return 0;
}

static cJSON *new_store(const char *project)
{
    cJSON *store = cJSON_CreateObject();

    cJSON_AddStringToObject(store, "project", project);
    cJSON_AddObjectToObject(store, "files");
    return store;
}

static int save_store(int dir, const char *file, const cJSON *store, struct err *e)
{
    auto_free char *text = cJSON_Print(store);

    if (!text)
        return err_set(e, "out of memory");
    return file_write_at(dir, file, text, strlen(text), 0600, e);
}

int trust_approve(const struct paths *p, const char *project, const struct trust_file *f,
                  struct err *e)
{
    auto_close int dir = open_folder(p, e);
    auto_close int lock = -1;
    auto_json cJSON *store = NULL;
    char file[DIGEST_HEX + 1], digest[DIGEST_HEX + 1];
    cJSON *files;

    if (dir < 0 || (lock = file_lock_at(dir, PATHS_TRUST_LOCK, false, true, e)) < 0)
        return -1;
    digest_bytes(project, strlen(project), file);
    store = load_store(dir, file, project);
    if (!store) {
        if (file_remove_tree_at(dir, file, e) < 0)
            return -1;
        store = new_store(project);
    }
    files = cJSON_GetObjectItemCaseSensitive(store, "files");
    while (cJSON_HasObjectItem(files, f->name)) /* a store made by hand may repeat a name */
        cJSON_DeleteItemFromObject(files, f->name);
    if (f->present) {
        digest_bytes(f->bytes.data, f->bytes.len, digest);
        cJSON_AddStringToObject(files, f->name, digest);
    }
    return save_store(dir, file, store, e);
}

int trust_revoke(const struct paths *p, const char *project, struct err *e)
{
    auto_close int dir = open_folder(p, e);
    auto_close int lock = -1;
    char file[DIGEST_HEX + 1];

    if (dir < 0 || (lock = file_lock_at(dir, PATHS_TRUST_LOCK, false, true, e)) < 0)
        return -1;
    digest_bytes(project, strlen(project), file);
    return file_remove_tree_at(dir, file, e);
}
