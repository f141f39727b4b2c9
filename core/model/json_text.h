/* Texts of any bytes in JSON. */
#ifndef AGENTVM_MODEL_JSON_TEXT_H
#define AGENTVM_MODEL_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "base/str.h"

/* Whether data is UTF-8 without control characters other than tab and line ends. */
bool json_is_text(const char *data, size_t len);
/* A string, or {"base64": "..."} where s is no text. */
cJSON *json_text(const char *s);
/* The text that json_text made; NULL if item is none.  The caller frees it. */
char *json_text_take(const cJSON *item);
/* A list of them. */
cJSON *json_texts(const struct strv *sv);

#endif
