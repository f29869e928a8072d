/* Words for a POSIX shell. */
#ifndef BRIDGECTL_DISK_QUOTE_H
#define BRIDGECTL_DISK_QUOTE_H

#include <stdio.h>

/* One word, whatever is in it: as it is, or in single quotes. */
void quote_word(FILE *f, const char *s);
/* The words of a command as it was typed, "ssh -p 22": each quoted, with a space behind it. */
void quote_words(FILE *f, const char *s);

#endif
