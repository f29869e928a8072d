/* The topology in the language of Graphviz (https://graphviz.org/doc/info/lang.html). */
#ifndef BRIDGECTL_CMD_GRAPH_DOT_H
#define BRIDGECTL_CMD_GRAPH_DOT_H

#include <stddef.h>

#include "bridgectl/cmd/graph.h"

/* To be freed; ends the program when there is no memory. */
char *graph_dot(const struct graph *g, size_t *ret_len);

#endif
