/* The script of `domain prepare`, bridgectl/prepare/, as the build puts it into the program. */
#ifndef BRIDGECTL_CMD_PREPARE_SCRIPT_H
#define BRIDGECTL_CMD_PREPARE_SCRIPT_H

/* Its lines, each with its newline; NULL behind the last. */
extern const char *const prepare_script[];

#endif
