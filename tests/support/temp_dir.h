/*
 * The temporary folder of a test program, and what tests put into it. It is made in TMPDIR (/tmp),
 * and gone with all that is in it when the program ends. What cannot be made ends the program.
 */
#ifndef TESTS_SUPPORT_TEMP_DIR_H
#define TESTS_SUPPORT_TEMP_DIR_H

/* Its path. The first call makes it; NAME tells leftovers of killed programs from each other. */
const char *temp_dir(const char *name);
/* Before the program's end, too; the next temp_dir() makes another one. */
void temp_dir_drop(void);

/* The path of something in it; the next call writes over it. */
const char *temp_dir_path(const char *path);

void temp_dir_put(const char *path, const char *text);
void temp_dir_link(const char *path, const char *to);
void temp_dir_folder(const char *path);

#endif
