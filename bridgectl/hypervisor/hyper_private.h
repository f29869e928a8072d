/* What back-ends and hyper.c share. */
#ifndef BRIDGECTL_HYPERVISOR_HYPER_PRIVATE_H
#define BRIDGECTL_HYPERVISOR_HYPER_PRIVATE_H

#include "bridgectl/hypervisor/hyper.h"

/* A new one, off, its other things not known; sorted by hyper_list_sort() at the end. */
struct hyper_domain *hyper_list_add(struct hyper_list *l, const char *name);
void hyper_list_sort(struct hyper_list *l);
/* A sentence into `err` (HYPER_ERRLEN). Returns `r`. */
int hyper_fail(char *err, int r, const char *fmt, ...) _printf_(3, 4);
/* A path of the host, behind $BRIDGECTL_ROOT, which tests set. A new string. */
char *hyper_path(const char *path);

#endif
