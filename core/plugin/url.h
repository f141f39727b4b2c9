/* The one thing that agentvm understands of URLs. */
#ifndef AGENTVM_PLUGIN_URL_H
#define AGENTVM_PLUGIN_URL_H

/* Returns the URL with its host replaced by guest_host if it points at the loopback (localhost,
 * 127.x.x.x, [::1]), and a copy of it otherwise; the caller frees it. */
char *url_for_guest(const char *url, const char *guest_host);

#endif
