/* A domain's definition as an argument of a command. */
#ifndef BRIDGECTL_CMD_DEFINITION_H
#define BRIDGECTL_CMD_DEFINITION_H

/* The text of a file, "-" for standard input: a new string. NULL: told. */
char *definition_read(const char *path);

#endif
