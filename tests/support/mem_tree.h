/*
 * A guest's tree in memory, for tests and the fuzzer: a table of files, links and folders. Folders
 * of what is put are there by themselves.
 */
#ifndef TESTS_SUPPORT_MEM_TREE_H
#define TESTS_SUPPORT_MEM_TREE_H

#include "bridgectl/fixup/tree.h"

struct tree *mem_tree_new(void);
/* Paths without links in them; what is there already is replaced. */
void mem_tree_put(struct tree *t, const char *path, const char *data, size_t len);
void mem_tree_file(struct tree *t, const char *path, const char *text);
void mem_tree_link(struct tree *t, const char *path, const char *to);
void mem_tree_folder(struct tree *t, const char *path);
/* Of a file, borrowed; NULL: none. */
const char *mem_tree_get(struct tree *t, const char *path, size_t *ret_len);

#endif
