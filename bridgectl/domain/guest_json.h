/* The guest record and messages as JSON, doc/guest.md. */
#ifndef BRIDGECTL_DOMAIN_GUEST_JSON_H
#define BRIDGECTL_DOMAIN_GUEST_JSON_H

#include <jansson.h>

#include "bridgectl/domain/guest.h"
#include "bridgectl/domain/report.h"

/* New references. Passwords are never in them. */
json_t *guest_json(const struct guest *g);
json_t *guest_disk_json(const struct guest_disk *d);
json_t *guest_lost_json(const struct guest *g);
json_t *report_json(const struct report *r);

/* "vnc=1,vncpasswd=***": a new string. */
char *guest_mask(const char *spec);

#endif
